"""Run all measurements to the end, and then say which fell short.

    python bench/run_all.py [COMMAND ...]

Each is a command that prints its figures beside their bars (`bars.py`) and fails below them. What
they print is shown as it comes; a table of all commands and a list of the bars that were missed
follow. Fails if a command did. Given commands are run instead of these.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bars import BARS, MISSED, bar_of

COMMANDS = (
    "metrics.py",
    "loader.py --images 64 --rounds 3",
    "step.py --exact --trunk resnet18",
    "step.py --sizes 224 --precision fp32 --rounds 3",
    "step.py --sizes 224 --precision bf16 --run fuse_views --rounds 3",
    "memory.py --size 224",
    "framework_tax.py --rounds 7",
    "scale.py --images 1000,10000 --classes 20,300",
    "tables.py --images 20000 --classes 100",
    "predict.py --rounds 5",
    "stream.py --rows 1000,10000",
    "review.py load",
    "review.py kill",
    "review.py large",
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and the bars it missed."""

    command: str
    status: int
    seconds: float
    missed: tuple[str, ...]


def run(command: str) -> Outcome:
    """Run one command, show what it prints, and remember what fell short."""
    print(f"\n== {command}", flush=True)
    started, missed = time.monotonic(), []
    with subprocess.Popen(
        [sys.executable, *shlex.split(command)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith(f"{MISSED}: "):
                missed.append(line.removeprefix(f"{MISSED}: ").strip())
    return Outcome(command, process.returncode, time.monotonic() - started, tuple(missed))


def summary(outcomes: list[Outcome]) -> str:
    """Return a table of all commands, and what fell short."""
    lines = ["", "| seconds | ended | command |", "| ---: | --- | --- |"]
    for each in outcomes:
        ended = "well" if each.status == 0 else "short" if each.missed else f"with {each.status}"
        lines.append(f"| {each.seconds:.0f} | {ended} | `{each.command}` |")
    unmeasured = [name for name in BARS if bar_of(name) is None]
    if unmeasured:
        lines.append(f"\nNo bar on this processor ({platform.machine()}): {'; '.join(unmeasured)}.")
    failed = [each for each in outcomes if each.status]
    if not failed:
        return "\n".join([*lines, "\nNothing fell short."])
    lines.append(f"\n{len(failed)} of {len(outcomes)} commands fell short:")
    for each in failed:
        reasons = each.missed or (f"ended with {each.status}; see above",)
        lines += [f"- {each.command}: {reason}" for reason in reasons]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run everything, print the summary, and fail if anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", default=list(COMMANDS), metavar="COMMAND")
    outcomes = [run(command) for command in parser.parse_args(arguments).commands]
    print(summary(outcomes), flush=True)
    return 1 if any(outcome.status for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
