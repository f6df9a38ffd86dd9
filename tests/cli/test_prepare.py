"""`tacit prepare` as a user calls it."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from local_server import Page, Server
from local_server import server as server
from tacit.benchmarks import BENCHMARKS, Archive

Call = Callable[..., Any]


def test_a_benchmark_is_prepared_and_trained_on(call: Call, voc2012: Path) -> None:
    out = voc2012 / "voc"
    answer = call("prepare", "voc2012", f"--root={voc2012}", f"--out={out}")
    assert answer.status == 0
    rows = [line.split()[:2] for line in answer.out.splitlines()[1:]]
    assert rows == [["train", "3"], ["test", "2"]]
    assert "the literature has 5,717" in answer.err and "tacit train --data" in answer.err
    trained = call(
        "train", f"--data={out}", "--method=an", "--trunk=tiny", "--epochs=1", "--out=run",
        "--json",
        "--set=phases.batch=2", "--set=data.validation=0.34", "--set=model.size=16",
    )  # fmt: skip
    assert trained.status == 0 and trained.json()["n_images"] == 2


def test_strict_turns_warnings_into_a_status(call: Call, voc2012: Path) -> None:
    strict = call("prepare", "voc2012", f"--root={voc2012}", "--out=a", "--strict", "--json")
    assert strict.status == 1 and len(strict.json()["warnings"]) == 1
    assert call("prepare", "voc2012", f"--root={voc2012}", "--out=b", "--json").status == 0


def test_wrong_requests_end_with_one_sentence(call: Call, tmp_path: Path) -> None:
    missing = call("prepare", "cub", f"--root={tmp_path}")
    assert missing.status == 3 and "CUB_200_2011.tgz" in missing.err
    unknown = call("prepare", "voc2013", f"--root={tmp_path}")
    assert unknown.status == 2 and "did you mean 'voc2012'?" in unknown.err
    kept = call("prepare", "cub", f"--root={tmp_path}", "--keep-archives")
    assert kept.status == 2 and "--keep-archives needs --download" in kept.err
    alone = call("prepare", "cub", f"--root={tmp_path}", "--use-published")
    assert alone.status == 2 and "--published FILE" in alone.err


@pytest.mark.parametrize("flag", ["--positives=2", "--seed=5"])
def test_the_draw_is_recorded(call: Call, coco2014: Path, flag: str) -> None:
    answer = call("prepare", "coco2014", f"--root={coco2014}", "--out=x", "--json", flag)
    expected = [2, 0, 1200] if "positives" in flag else [1, 0, 5]
    assert answer.json()["draw"] == expected


def test_a_benchmark_is_downloaded_and_prepared(
    call: Call, server: Server, voc2012: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(voc2012 / "voc.tar", "w") as tar:
        tar.add(voc2012 / "VOCdevkit", "VOCdevkit")
    content = (voc2012 / "voc.tar").read_bytes()
    shutil.rmtree(voc2012 / "VOCdevkit")
    address = server.put("/VOCtrainval_11-May-2012.tar", Page(content))
    digest = f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
    row = BENCHMARKS["voc2012"]
    archives = (Archive(address, len(content), digest, 1000),)
    monkeypatch.setitem(BENCHMARKS, "voc2012", replace(row, archives=archives))
    without = call("prepare", "voc2012", "--root=official")
    assert without.status == 3 and server.asked == []
    assert "let `tacit prepare voc2012 --root official --download` fetch VOC" in without.err
    answer = call("prepare", "voc2012", "--root=official", "--out=x", "--download", "--json")
    assert answer.status == 0 and answer.json()["counts"]["train"]["images"] == 3
    lines = answer.err.splitlines()
    assert lines[1] == f"Licence: {row.licence}" and lines[2].startswith(f"Fetching {address}")
    assert len(server.asked) == 1 and not list(Path("official").glob("*.tar"))
    again = call("prepare", "voc2012", "--root=official", "--out=y", "--download")
    assert again.status == 0 and "Licence" not in again.err and len(server.asked) == 1


def test_downloading_says_what_has_to_be_put_there_by_hand(call: Call) -> None:
    answer = call("prepare", "nuswide", "--root=nus", "--download")
    assert answer.status == 3 and "nus/formatted_train_images.npy" in answer.err
    assert "They cannot be fetched from here" in answer.err and not Path("nus").exists()


def test_lines_tell_how_far_a_long_download_is(capsys: pytest.CaptureFixture[str]) -> None:
    from tacit.cli.output import stderr
    from tacit.cli.progress import reporting

    with reporting(stderr()) as reporter:
        for done in range(0, 100_000_001, 5_000_000):
            reporter("fetching a.zip", done, 100_000_000)
        reporter("unpacking a.zip", 60_000_000, 100_000_000)
        reporter("checking small.zip", 100, 200)
        reporter("fetching b.zip", 100, None)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"fetching a.zip: {tenth * 10} %" for tenth in range(1, 11)]


def test_a_bar_tells_it_on_a_terminal() -> None:
    from rich.console import Console

    from tacit.cli.progress import reporting

    console = Console(force_terminal=True, width=160, record=True, file=StringIO())
    with reporting(console) as reporter:
        reporter("fetching a.zip", 50_000_000, 100_000_000)
        reporter.tell("[kept] as it is")
        reporter.progress.refresh()
    text = console.export_text()
    assert "fetching a.zip" in text and "50.0/100.0 MB" in text and "[kept] as it is" in text
