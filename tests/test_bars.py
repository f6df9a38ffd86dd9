"""Measurements run to the end, and are held to what this processor can reach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import bars
import run_all

import instruction_sets

Processor = Callable[[str], None]


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Processor:
    """Return a function that makes this one a processor with these instructions alone."""
    return lambda flags: monkeypatch.setattr(bars, "instructions", lambda: set(flags.split()))


@pytest.mark.parametrize(
    ("flags", "name", "expected"),
    [
        ("avx2 avx512f amx_bf16", "step, fp32 at 224", 1.2),
        ("avx2", "step, fp32 at 224", 1.05),
        ("avx2 avx512f avx512_bf16", "step, bf16 at 224", 2.5),
        ("avx2 amx_bf16", "predict, folded bf16", 2.8),
        ("avx2 avx512f", "step, bf16 at 224", None),
        ("", "metrics", 1.5),
    ],
)
def test_a_bar_is_that_of_the_instructions(
    processor: Processor, flags: str, name: str, expected: float | None
) -> None:
    processor(flags)
    bar = bars.bar_of(name)
    assert (bar and bar.least) == expected


def test_every_measurement_is_printed_with_its_bar(
    processor: Processor, capsys: pytest.CaptureFixture[str]
) -> None:
    processor("avx2")
    assert bars.judge({"step, fp32 at 224": 1.05, "step, bf16 at 224": 0.1})
    assert not bars.judge({"framework tax": 1.031, "memory, fp32": 0.8}, "forward")
    assert capsys.readouterr().err.splitlines() == [
        "bar met: step, fp32 at 224: 1.05, at least 1.05",
        "bar met: step, bf16 at 224: 0.1, no bar here",
        "BAR MISSED: framework tax, forward: 1.031, at most 1.03",
        "bar met: memory, fp32, forward: 0.8, at most 0.8",
    ]


def test_all_run_to_the_end_and_what_fell_short_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(Path(bars.__file__).parent)
    script = tmp_path / "measure.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {path!r}); from bars import judge; "
        "sys.exit(not judge({sys.argv[1]: float(sys.argv[2])}, 'here'))"
    )
    broken = tmp_path / "broken.py"
    broken.write_text("import sys; sys.exit('no such file')")
    commands = [f"{script} scale,\\ step 9", f"{broken}", f"{script} stream 1"]
    assert run_all.main(commands) == 1
    said = capsys.readouterr().out
    assert "bar met: stream, here: 1, at most 1.15" in said and "no such file" in said
    summary = said[said.index("| seconds") :]
    assert summary.count("| short |") == summary.count("| well |") == 1
    assert summary.endswith(
        f"\n2 of 3 commands fell short:\n"
        f"- {commands[0]}: scale, step, here: 9, at most 1.5\n"
        f"- {commands[1]}: ended with 1; see above\n"
    )
    assert run_all.main(commands[2:]) == 0
    assert "Nothing fell short." in capsys.readouterr().out


def test_every_command_is_of_a_file_that_is_there() -> None:
    folder = Path(bars.__file__).parent
    assert all((folder / command.split()[0]).is_file() for command in run_all.COMMANDS)


@pytest.mark.parametrize(
    ("asked", "flags", "run", "left_out"),
    [
        ([], "sse4_1 avx2 avx512f avx512_bf16", ["sse", "avx2", "avx512"], []),
        ([], "sse4_1 avx2", ["sse"], ["avx2: skipped, it is", "avx512: skipped, this"]),
        (["avx2"], "sse4_1 avx2", ["avx2"], []),
        (["avx512"], "sse4_1 avx2", [], ["avx512: skipped, this processor has no avx512f"]),
    ],
)
def test_sets_that_a_processor_lacks_are_skipped_and_that_is_said(
    asked: list[str], flags: str, run: list[str], left_out: list[str]
) -> None:
    found, told = instruction_sets.chosen(asked, set(flags.split()))
    assert found == run and len(told) == len(left_out)
    assert all(line.startswith(start) for line, start in zip(told, left_out, strict=True))


@pytest.mark.parametrize("name", ["sse", "avx2"])
def test_torch_keeps_to_a_set(name: str) -> None:
    """Otherwise the tests of that set would be those of this processor once more."""
    flag, environment = instruction_sets.SETS[name]
    if flag not in instruction_sets.known_flags():
        pytest.skip(f"this processor has no {flag}")
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == {"sse": "DEFAULT", "avx2": "AVX2"}[name]
