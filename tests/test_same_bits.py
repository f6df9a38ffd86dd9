"""The command that compares two checkouts hears the last digit."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

BENCH = Path(__file__).parent.parent / "bench"
ITEM = "train an"
LINE = {"epoch": 1, "seconds": 0.25, "terms": {"an": 0.5}}


@pytest.fixture(scope="module")
def bits() -> Iterator[Any]:
    """Import the command as a script would, and leave nothing behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        patch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")  # the command line sets it
        yield import_module("same_bits")
    for name in ("same_bits", "same_bits_work"):
        del sys.modules[name]


def write_checkout(folder: Path, **changes: Any) -> Path:
    """Write what a checkout leaves that trained one method."""
    run = folder / ITEM
    run.mkdir(parents=True)
    line = LINE | changes.get("line", {})
    (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    weight = changes.get("weight", torch.tensor([1.0, 2.0, float("nan")]))
    save_file({"head.weight": weight}, run / "model.safetensors")
    record = {"result": {"map": changes.get("map", 50.0)}, "versions": changes.get("versions")}
    (run / "run.json").write_text(json.dumps(record))
    pq.write_table(pa.table({"cat": [0.25, changes.get("cat", 0.5)]}), run / "rows.parquet")
    np.save(run / "starts.npy", changes.get("starts", np.arange(3)))
    np.savez(run / "names.npz", names=np.array(changes.get("names", ["a", "b"])))
    for name, value in (("items", [ITEM]), ("failed", {}), ("known", ["an", "role"])):
        (folder / f"{name}.json").write_text(json.dumps(changes.get(name, value)))
    return folder


def compare(bits: Any, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Compare a checkout with a changed one, and return the items."""
    old, new = write_checkout(tmp_path / "old"), write_checkout(tmp_path / "new", **changes)
    found = dict(bits.compare_checkouts(old, new))
    return {ITEM: found[ITEM], "methods": found["methods"]}


def test_equal_is_equal_whatever_the_clock_says(bits: Any, tmp_path: Path) -> None:
    changes = {"line": {"seconds": 9.0, "loss": 1}, "versions": {"tacit": "9"}}
    found = compare(bits, tmp_path, **changes)
    assert not found["methods"].differences and not found[ITEM].differences
    assert found[ITEM].tell() == "equal; new: metrics.jsonl 1 loss"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"line": {"terms": {"an": np.nextafter(0.5, 1)}}}, "metrics.jsonl 1 terms an: 0.5 agai"),
        ({"line": {"terms": {}}}, "metrics.jsonl 1 terms an: missing"),
        ({"map": np.nextafter(50.0, 0)}, "run.json result map: 50.0 against 49.99999999999999, by"),
        ({"map": 50}, "run.json result map: 50.0 against 50"),
        (
            {"weight": torch.tensor([1.0, 2.0, float("nan")]).nextafter(torch.tensor(0.0))},
            "model.safetensors head.weight: 2 of 3 numbers, by up to",
        ),
        ({"weight": torch.tensor([1.0, 2.0])}, "head.weight: torch.float32 (3,) against torch.flo"),
        ({"cat": float(np.nextafter(0.5, 1))}, "rows.parquet columns cat 2: 0.5 against 0.5000000"),
        ({"starts": np.array([0, 1, 3])}, "starts.npy array: 1 of 3 numbers, by up to 1.0e+00"),
        ({"names": ["a", "c"]}, "names.npz names 2: b against c"),
        ({"failed": {ITEM: "status 2"}}, "new fails, status 2"),
    ],
)
def test_it_hears_a_last_digit_and_says_where(
    bits: Any, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    found = compare(bits, tmp_path, **changes)[ITEM]
    assert len(found.differences) == 1 and said in found.differences[0]
    assert found.tell() == f"DIFFERS {found.differences[0]}"


def test_it_hears_that_a_method_or_a_file_is_gone(bits: Any, tmp_path: Path) -> None:
    found = compare(bits, tmp_path, known=["an", "epr"])["methods"]
    assert found.differences == ["role: missing"] and found.added == ["epr"]
    (tmp_path / "new" / ITEM / "rows.parquet").unlink()
    gone = bits.compare_items(tmp_path / "old", tmp_path / "new", {}, ITEM)
    assert gone.differences == ["rows.parquet: missing"]
    nothing = bits.compare_items(tmp_path / "old", tmp_path / "new", {}, "train role")
    assert nothing.differences == ["nothing was written"]


def test_a_further_note_is_said_and_a_missing_one_differs(bits: Any) -> None:
    old, new = {"notes": ["a", "b"]}, {"notes": ["c", "b", "a"]}
    assert bits.Comparison().compare(old, new, "").tell() == "equal; new: notes c"
    assert bits.Comparison().compare(new, old, "").differences == ["notes c: missing"]


def test_a_new_name_is_looked_for_where_the_old_one_is_unknown(
    bits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules["same_bits_work"].RENAMED, "an", ("assume_negative",))
    line = {"terms": {"assume_negative": 0.5}}
    assert not compare(bits, tmp_path, line=line)[ITEM].differences


def test_it_speaks_the_language_of_the_checkout(bits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work = sys.modules["same_bits_work"]
    commands = work.CommandLine()
    step = work.Step("x", "learn", (), {"--into": "x"}, "an", {"phases.rate": "1"})
    with pytest.raises(work.Unknown, match="'learn' is unknown"):
        commands.spelled(step, Path("teacher.npz"))
    for name, other in (("learn", "train"), ("--into", "--out"), ("phases.rate", "phases.lr")):
        monkeypatch.setitem(work.RENAMED, name, (other,))
    arguments = commands.spelled(step, Path("teacher.npz"))
    assert arguments[:3] == ["train", "--out", "x"]
    assert arguments[3:] == ["--set", "phases.lr=1", "--set", "method.name=an"]


def test_a_run_is_stopped_and_resumed(
    bits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = sys.modules["same_bits_work"]
    monkeypatch.chdir(tmp_path)
    bits.draw_inputs(tmp_path / "inputs")
    commands, failed = work.CommandLine(), []
    for step in work.plan([], [], tmp_path / "inputs"):
        if step.item.split()[-1] == "em_apl":
            failed.append(work.take(step, commands, tmp_path / "inputs"))
    assert failed == [None] * 3
    straight, resumed = "straight em_apl", "resumed em_apl"
    compared = bits.compare_items(tmp_path, tmp_path, {}, resumed, straight)
    assert not compared.differences and len(bits.read_item(tmp_path, resumed)) >= 4
