"""Everything that is to hold on one large CUDA device, in one command, in under ten minutes.

    python bench/gpu.py [--only G1,G5] [--minutes 9] [--out FOLDER] [--markdown FILE] [--json]
    python bench/gpu.py --device cpu --small

Ten parts, G1 to G10, each a ratio of two things that take turns in one process: training steps of
IGNORE against plain ones (`bench/plain.py`) and against timm's bare network, memory, training
with its data, loaders, inference, and scoring. A block is 30 steps after 10 to warm up, between
two CUDA events; printed is the median of the ratios of five rounds, with the spread. The bars are
meant for one H200. A part that fails says why and the others go on; one that would not end within
the minutes is not begun. With `--out`, what is known is written there after every part. Fails if a
bar is missed or a part is not measured. `--small` runs every part at a size that means nothing, on
a processor, to see that it works; it fails only if a part breaks.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import platform
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "src"))  # for a machine where nothing is installed

import torch
from gpu_turns import Bar, Found, Plan, Scale, compiles, failure, forget, small

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "pillow", "pydantic")


@dataclass(frozen=True)
class Part:
    """One id: what measures it, how long that takes on an H200, and what is wanted."""

    module: str
    function: str
    seconds: int
    bars: tuple[Bar, ...]


PARTS = {
    "G1": Part("gpu_steps", "half_precision", 100, (
        Bar("training step of IGNORE, ResNet-50, 448 px, batch 16, bf16, compiled", 3.0),
    )),
    "G2": Part("gpu_steps", "single_precision", 40, (
        Bar("the same in TF32, exact but for rounding", 1.3),
    )),
    "G3": Part("gpu_steps", "queries", 80, (
        Bar("the same with Query2Label, bf16, compiled trunk", 4.0),
    )),
    "G4": Part("gpu_steps", "framework_tax", 70, (
        Bar("images/s, as a share of timm's bare loop by FLOP", 0.90),
        Bar("time, over that of the same passes of the bare network", 1.05, at_most=True),
    )),
    "G5": Part("gpu_steps", "memory", 30, (
        Bar("memory of a step above its model, as a share", 0.5, at_most=True),
    )),
    "G6": Part("gpu_data", "end_to_end", 80, (
        Bar("training with its data, against 4 workers", 3.5),
        Bar("the same, against 16 workers", 2.5),
    )),
    "G7": Part("gpu_data", "waiting", 35, (
        Bar("share of a step that waits for its batch", 0.03, at_most=True),
        Bar("times that the host waits for the device, a step", 0.0, at_most=True),
    )),
    "G8": Part("gpu_loaders", "loaders", 30, (
        Bar("loading alone, against small JPEG files and libjpeg-turbo", 1.0),
        Bar("the same, against decoding on the device", 1.0),
    )),
    "G9": Part("gpu_scoring", "inference", 25, (
        Bar("inference at 448 px, folded, bf16, against a plain loop", 5.0),
        Bar("the same, against timm's bare network in bf16", 0.95),
    )),
    "G10": Part("gpu_scoring", "scoring", 25, (
        Bar("mAP of 125,436 x 600, against scikit-learn, equal to 1e-12", 50.0),
    )),
}  # fmt: skip


@dataclass
class Row:
    """One line of the table."""

    name: str
    bar: Bar
    found: Found
    compared: bool = True

    @property
    def verdict(self) -> str:
        """Met, missed, or why there is nothing."""
        if self.found.why:
            return self.found.why
        if not self.compared:
            return "not compared"
        return "met" if self.found.meets(self.bar) else "missed"

    def cells(self) -> tuple[str, ...]:
        """The line, column by column."""
        ratio = ""
        if ratios := self.found.ratios:
            median = statistics.median(ratios)
            ratio = " ".join((f"{median:.3g}", f"[{min(ratios):.3g}, {max(ratios):.3g}]"))
        sign = "≤" if self.bar.at_most else "≥"
        return self.name, self.bar.what, ratio, f"{sign} {self.bar.bar:g}", self.verdict

    def record(self) -> dict[str, Any]:
        """The line as plain values."""
        told: dict[str, Any] = {"id": self.name, **asdict(self.bar), **asdict(self.found)}
        if ratios := self.found.ratios:
            told |= {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
        return told | {"verdict": self.verdict}


def surroundings(device: torch.device) -> dict[str, Any]:
    """Say when, where and with what this was measured."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    told: dict[str, Any] = {"date": now, "command": shlex.join(["python", *sys.argv])}
    told |= {"python": platform.python_version(), "cuda": torch.version.cuda, "device": str(device)}
    for package in PACKAGES:
        try:
            told[package] = version(package)
        except PackageNotFoundError:
            told[package] = None
    if device.type == "cuda":
        told["card"] = torch.cuda.get_device_name(device)
        told["memory, GiB"] = torch.cuda.get_device_properties(device).total_memory / 2**30
        told["cudnn"] = torch.backends.cudnn.version()
        told["driver"] = driver()
    return told


def driver() -> str:
    """Return the version of the device's driver."""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip().splitlines()[0]


def measured(part: Part, scale: Scale) -> list[Found]:
    """Run one part; of one that breaks, say why."""
    try:
        # Imported now, so that what one part lacks does not stop the others.
        work = getattr(import_module(part.module), part.function)
        found: list[Found] = work(scale)
    except Exception as error:
        failed = failure(error)
        return [failed for _ in part.bars]
    return found


def markdown(rows: list[Row], around: dict[str, Any]) -> str:
    """Write the table as it stands in the documentation."""
    lines = ["| id | what | ratio | bar | |", "| --- | --- | ---: | ---: | --- |"]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    where = around.get(
        "card", f"{around['device']}, whose numbers are not to be compared with bars"
    )
    what = [f"{name} {around[name]}" for name in ("torch", "cuda", "driver") if around.get(name)]
    if around.get("compiled") is False:
        what.append("WITHOUT compiling, which failed")
    return "\n".join([*lines, "", f"{around['date']}, {where}, {', '.join(what)}: "
                      f"`{around['command']}`", ""])  # fmt: skip


def write(folder: Path, rows: list[Row], around: dict[str, Any]) -> None:
    """Keep what is known so far."""
    folder.mkdir(parents=True, exist_ok=True)
    records = {"around": around, "rows": [row.record() for row in rows]}
    (folder / "gpu.json").write_text(json.dumps(records, indent=2) + "\n")
    (folder / "gpu.md").write_text(markdown(rows, around))


def run(options: argparse.Namespace, scale: Scale, around: dict[str, Any]) -> list[Row]:
    """Run the parts that were asked for, as far as the time allows."""
    rows: list[Row] = []
    end = time.monotonic() + 60 * options.minutes
    for name in options.only or PARTS:
        part, begun = PARTS[name], time.monotonic()
        if begun + (0 if options.small else part.seconds) > end:
            found = [Found(why="not reached") for _ in part.bars]
        else:
            timed = replace(
                scale, plan=replace(scale.plan, deadline=min(begun + 2 * part.seconds, end))
            )
            forget(scale.device)
            found = measured(part, timed)
            around.setdefault("seconds", {})[name] = round(time.monotonic() - begun, 1)
        for bar, each in zip(part.bars, found, strict=True):
            rows.append(Row(name, bar, each, not options.small))
            if not options.json:
                print("  ".join(rows[-1].cells()), flush=True)
        if options.out:
            write(options.out, rows, around)
    return rows


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := [name for name in options.only if name not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}; they are {', '.join(PARTS)}")
    if options.device == "cpu" and not options.small:
        parser.error("a processor would take hours; add --small")
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error("this machine has no CUDA device; --device cpu --small shows what would run")
    return options


def main() -> int:
    """Measure, print, and compare with the bars."""
    options = parse()
    device = torch.device(options.device)
    scale = small(device, Plan(1, 1, 1)) if options.small else Scale(device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    if importlib.util.find_spec("pydantic") is None:
        print("pydantic is not installed; without it only G10 is measured.", file=sys.stderr)
    around = surroundings(device)
    if device.type == "cuda" and scale.compiled:
        around["compiled"] = compiles(device)
        scale = replace(scale, compiled=around["compiled"])
    rows = run(options, scale, around)
    if options.small and not options.json:
        print("Everything was small: no number here is to be compared with its bar.")
    if options.json:
        print(json.dumps({"around": around, "rows": [row.record() for row in rows]}))
    if options.markdown:
        options.markdown.write_text(markdown(rows, around))
    broken = any(row.found.broken for row in rows)
    return int(broken if options.small else any(row.verdict != "met" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
