"""The benchmark of large devices runs whole, in a small form, where there is none."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

BENCHMARKS = Path(__file__).parent.parent / "bench"
SMALL = ["gpu.py", "--device", "cpu", "--small"]
# G7 counts waits that only CUDA tells of; G8 decodes files on the device.
CUDA_ONLY = ["G7", "G8"]


@pytest.fixture(scope="module")
def gpu() -> Iterator[Any]:
    """Import the benchmark as a script would, and leave nothing behind."""
    before, threads = set(sys.modules), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setattr(sys, "argv", SMALL)
        yield import_module("gpu")
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == BENCHMARKS:
            del sys.modules[name]


def told(gpu: Any, capsys: Any, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command, and return its status and its rows."""
    sys.argv[:] = [*SMALL, "--json", *arguments]
    status = gpu.main()
    return status, json.loads(capsys.readouterr().out)["rows"]


def test_every_part_runs_small_on_a_processor(gpu: Any, capsys: Any, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    files = ["--out", str(tmp_path / "kept"), "--markdown", str(table)]
    status, rows = told(gpu, capsys, *files)
    assert [row["id"] for row in rows] == [
        name for name, part in gpu.PARTS.items() for _ in part.bars
    ]
    without = [row for row in rows if not row["ratios"]]
    assert [row["id"] for row in without] == CUDA_ONLY
    assert all("CUDA" in row["verdict"] for row in without)
    assert {row["verdict"] for row in rows if row["ratios"]} == {"not compared"}
    assert all(row["least"] <= row["median"] <= row["most"] for row in rows if row["ratios"])
    assert status == 0
    kept = json.loads((tmp_path / "kept" / "gpu.json").read_text())
    assert kept["rows"] == rows and kept["around"]["torch"] and set(kept["around"]["seconds"])
    assert table.read_text() == (tmp_path / "kept" / "gpu.md").read_text()
    assert "cpu, whose numbers are not to be compared" in table.read_text()


def test_a_part_that_breaks_says_why_and_the_others_go_on(
    gpu: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(scale: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.\nand how much")

    monkeypatch.setattr(import_module("gpu_steps"), "framework_tax", out_of_memory)
    status, rows = told(gpu, capsys, "--only", "G4,G10")
    reason = "not measured: OutOfMemoryError: CUDA out of memory."
    assert [row["verdict"] for row in rows] == [reason, reason, "not compared"]
    assert status == 1


def test_what_does_not_fit_into_the_time_is_not_begun(gpu: Any, capsys: Any) -> None:
    _, rows = told(gpu, capsys, "--only", "G1,G4", "--minutes", "-1")
    assert [row["verdict"] for row in rows] == ["not reached"] * 3


@pytest.mark.parametrize(
    ("ratios", "at_most", "verdict"),
    [([2.0, 3.0, 9.0], False, "met"), ([2.0, 2.9, 9.0], False, "missed")]
    + [([0.0, 3.0, 9.0], True, "met"), ([0.0, 3.1, 9.0], True, "missed")],
)
def test_the_median_is_compared(gpu: Any, ratios: list[float], at_most: bool, verdict: str) -> None:
    turns = import_module("gpu_turns")
    row = gpu.Row("G0", turns.Bar("something", 3.0, at_most), turns.Found(ratios))
    assert row.verdict == verdict
    assert row.cells()[2] == f"{ratios[1]:g} [{ratios[0]:g}, {ratios[2]:g}]"


def test_the_documentation_shows_the_bars_that_are_measured(gpu: Any) -> None:
    page = (BENCHMARKS.parent / "docs" / "results" / "speed.md").read_text(encoding="utf-8")
    empty = import_module("gpu_turns").Found(why="not reached")
    for name, part in gpu.PARTS.items():
        for bar in part.bars:
            key, what, _, sign, _ = gpu.Row(name, bar, empty).cells()
            assert f"| {key} | {what} |" in page and f"| {sign} |" in page


def test_sides_take_turns_after_they_are_warm(gpu: Any) -> None:
    turns, seen = import_module("gpu_turns"), []
    sides = {
        "a": turns.Side(lambda: seen.append("a"), store=1),
        "b": turns.Side(lambda: seen.append("b")),
    }
    seconds = turns.in_turns(sides, torch.device("cpu"), turns.Plan(warm=3, steps=4, rounds=2))
    assert "".join(seen) == "aaabbb" + 2 * ("aaaaaaa" + "bbbbbb")
    assert [len(times) for times in seconds.values()] == [2, 2]
    late = turns.Plan(warm=0, steps=1, rounds=5, deadline=0.0)
    assert len(turns.in_turns(sides, torch.device("cpu"), late)["a"]) == 1


CARD = SimpleNamespace(type="cuda")


def pretend(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> list[str]:
    """Let functions of torch.cuda answer what is given, and note in which order they are asked."""
    asked: list[str] = []

    def answer(name: str) -> Any:
        def told(*arguments: Any, **options: Any) -> Any:
            asked.append(name)
            return answers[name]

        return told

    for name in answers:
        monkeypatch.setattr(torch.cuda, name, answer(name))
    return asked


def test_on_a_card_its_own_clock_counts(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    event = SimpleNamespace(
        record=lambda: asked.append("record"),
        synchronize=lambda: asked.append("wait"),
        elapsed_time=lambda last: 600.0,
    )
    pretend(monkeypatch, Event=event, synchronize=None)
    turns = import_module("gpu_turns")
    assert turns.block(turns.Side(lambda: asked.append("step")), CARD, 2) == 0.6
    assert asked == ["record", "step", "step", "record", "wait"]


def test_on_a_card_memory_is_what_lies_above_the_model(
    gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(
        monkeypatch,
        **{"empty_cache": None, "synchronize": None, "reset_peak_memory_stats": None},
        **{"memory_allocated": 100, "memory_reserved": 200},
        **{"max_memory_allocated": 1100, "max_memory_reserved": 2200},
    )
    steps, turns = import_module("gpu_steps"), import_module("gpu_turns")
    model = torch.nn.Linear(1, 1)  # 8 bytes
    side = turns.Side(lambda: asked.append("step"))
    found = steps.peak(turns.Scale(CARD), lambda: (side, model))
    assert found == {"allocated": 992, "reserved": 1992}
    assert asked.index("memory_allocated") < asked.index("step")
    assert asked.count("step") == 6
    assert asked[asked.index("reset_peak_memory_stats") :].count("step") == 3


def test_waits_are_counted_by_their_place(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend(monkeypatch, set_sync_debug_mode=None, synchronize=None)
    with import_module("gpu_data").synchronisations() as found:
        for _ in range(2):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    ((place, times),) = found.items()
    assert place.startswith(f"{Path(__file__).name}:") and times == 2
    assert asked == ["synchronize", "set_sync_debug_mode", "set_sync_debug_mode"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_every_part_runs_small_on_a_card(gpu: Any, capsys: Any) -> None:
    status, rows = told(gpu, capsys, "--device", "cuda")
    assert status == 0 and all(row["ratios"] for row in rows)


@pytest.mark.parametrize("name", ["cam", "query2label"])
def test_the_plain_step_computes_what_ours_does(
    gpu: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In double precision, with nothing dropped, whatever the memory layout."""
    steps, turns = import_module("gpu_steps"), import_module("gpu_turns")
    monkeypatch.setitem(steps.OPTIONS, "query2label", {"dropout": 0.0})
    scale = turns.small(torch.device("cpu"), turns.Plan())
    plain = steps.plain_learning(scale, name)
    for part in plain.model.modules():
        if hasattr(part, "dropout") and isinstance(part.dropout, float):
            part.dropout = 0.0
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    labels = steps.images(scale.size, scale.batch)[2]
    ours = steps.our_learning(scale, steps.RunConfig(), plain, steps.described(labels), name)
    plain.model.double(), ours.learner.double()
    plain.tau, plain.mu = plain.tau.double(), plain.mu.double()
    weak, strong = (view.double() / 99 - 1 for view in steps.images(scale.size, scale.batch)[:2])
    batch = steps.Batch(torch.arange(scale.batch), labels, {"weak": weak, "strong": strong})
    for _ in range(3):
        expected = plain((weak, strong, weak), labels)
        assert ours.take(batch, steps.LATE).loss.item() == pytest.approx(expected.item(), abs=1e-10)
    found: dict[str, Tensor] = ours.learner.model.state_dict()
    for key, value in gpu_names(plain).items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=1e-10)
    assert ours.learner.method.gap_average.value.item() == pytest.approx(plain.tau.item())


def gpu_names(plain: Any) -> dict[str, Tensor]:
    named: dict[str, Tensor] = import_module("plain").our_names(plain.model.state_dict())
    return named


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["--device", "cpu"], "add --small"), ([*SMALL[1:], "--only", "G11"], "no part G11")],
)
def test_what_makes_no_sense_is_refused(
    gpu: Any, arguments: list[str], problem: str, capsys: Any
) -> None:
    sys.argv[:] = ["gpu.py", *arguments]
    with pytest.raises(SystemExit):
        gpu.main()
    assert problem in capsys.readouterr().err
