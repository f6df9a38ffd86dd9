"""The log: one JSON line per epoch, whole at any moment."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tacit.runs.folder import Log
from tacit.training.report import Silent


def test_records_come_back_in_order(tmp_path: Path) -> None:
    log = Log(tmp_path / "metrics.jsonl")
    assert log.read() == []
    records = [{"epoch": 1, "map": 12.5}, {"epoch": 2, "map": None, "term": {"Bögen": 0.25}}]
    for record in records:
        log.append(record)
    assert log.read() == records
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == records


def test_records_beyond_the_finished_epochs_are_dropped(tmp_path: Path) -> None:
    log = Log(tmp_path / "metrics.jsonl")
    for epoch in range(1, 5):
        log.append({"epoch": epoch})
    log.keep(9)
    assert len(log.read()) == 4
    log.keep(2)
    assert log.read() == [{"epoch": 1}, {"epoch": 2}]
    log.append({"epoch": 3})
    assert [record["epoch"] for record in log.read()] == [1, 2, 3]
    log.keep(0)
    assert log.read() == []


def test_a_crash_leaves_the_old_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path / "metrics.jsonl")
    log.append({"epoch": 1})

    def crash(*arguments: object, **options: object) -> None:
        raise OSError("the power is gone")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power"):
        log.append({"epoch": 2})
    assert log.read() == [{"epoch": 1}]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    silent.start_run("run")
    silent.start_epoch(0, 1, 2, 3, 0)
    silent.step(16)
    silent.end_epoch({"epoch": 1})
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_broken_line_is_left_out_and_counted_on(tmp_path: Path) -> None:
    log = Log(tmp_path / "metrics.jsonl")
    log.path.write_bytes(b'{"epoch": 1}\n{"epo\xff\n7\n{"epoch": 4}\n')
    with pytest.warns(UserWarning, match="2 of 4 lines"):
        assert log.read() == [{"epoch": 1}, {"epoch": 4}]
    log.keep(3)  # the third epoch is the one whose line is 7
    log.append({"epoch": 4, "again": True})
    with pytest.warns(UserWarning, match="2 of 4 lines"):
        assert log.read() == [{"epoch": 1}, {"epoch": 4, "again": True}]
