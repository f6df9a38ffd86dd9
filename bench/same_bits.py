"""Prove that two checkouts of this project compute the same bits on this machine.

    python bench/same_bits.py OLD_CHECKOUT NEW_CHECKOUT [--methods an,role] [--python PATH]

For work that may not change any number: moves, renames, speed. One process for each checkout, on
one core, goes through the commands of `same_bits_work.py`: it trains every method and preset of OLD
on small images, trains in many other ways, stops runs and resumes them, prepares data sets,
predicts and evaluates. What they wrote is then compared: every line of metrics.jsonl without
seconds, every weight, results, predictions, prepared files, and resumed runs with those that
nothing stopped. A line for each item says "equal", or where and by how much it differs.

Everything goes through the command line and the files it writes, so that modules may move. Where a
verb, an option, a key or a file has a new name, write it into `RENAMED` of `same_bits_work.py`.
What only NEW has is ignored, but said. The exit status is 1 if anything differs, and 0 otherwise.
No expected number is kept anywhere: other machines round otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import load_file
from same_bits_work import STOPPED, Unknown, spell

# They tell of the clock, or of which code ran.
UNCOMPARED = {"seconds", "images_per_second", "versions", "tacit_version"}
# Sentences for people: none of OLD's may be gone, and one that only NEW has is said.
SENTENCES = {"notes"}
# Files of a run beside its results; that they are right is seen where runs are resumed.
UNREAD = ("checkpoints", "features")

CLASSES = ("blue", "cyan", "green", "red", "white")


@dataclass
class Comparison:
    """Where two things differ, and what only the newer one has."""

    differences: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def compare(self, old: Any, new: Any, where: str) -> Comparison:
        """Walk through both; numbers are compared to the last bit, NaN with NaN."""
        if hasattr(old, "numpy") and hasattr(new, "numpy"):
            self._compare_tensors(old, new, where)
        elif isinstance(old, dict) and isinstance(new, dict):
            self._compare_tables(old, new, where)
        elif isinstance(old, list) and isinstance(new, list):
            if len(old) != len(new):
                self.differences.append(f"{where}: {len(old)} entries against {len(new)}")
            for number, pair in enumerate(zip(old, new, strict=False), 1):
                self.compare(*pair, f"{where} {number}")
        elif isinstance(old, float) and isinstance(new, float):
            if old.hex() != new.hex():
                apart = f"{abs(old - new):.1e}"
                self.differences.append(f"{where}: {old!r} against {new!r}, by {apart}")
        elif type(old) is not type(new) or old != new:
            shown = (str(each)[:40] for each in (old, new))
            self.differences.append(f"{where}: {' against '.join(shown)}")
        return self

    def _compare_tables(self, old: dict[str, Any], new: dict[str, Any], where: str) -> None:
        found = set()
        for key, value in old.items():
            if key in UNCOMPARED:
                continue
            place = f"{where} {key}".strip()
            try:
                name = spell(key, new)
            except Unknown:
                self.differences.append(f"{place}: missing")
                continue
            found.add(name)
            pair = (value, new[name])
            if key in SENTENCES:
                pair = (dict.fromkeys(value), dict.fromkeys(new[name]))
            self.compare(*pair, place)
        self.added += [f"{where} {key}".strip() for key in new if key not in found | UNCOMPARED]

    def _compare_tensors(self, old: Any, new: Any, where: str) -> None:
        if (old.dtype, old.shape) != (new.dtype, new.shape):
            kinds = (f"{each.dtype} {tuple(each.shape)}" for each in (old, new))
            self.differences.append(f"{where}: {' against '.join(kinds)}")
            return
        one, other = (each.contiguous().reshape(-1, 1).view(torch.uint8) for each in (old, new))
        count = int((one != other).any(1).sum())
        if count:
            apart = (old.double() - new.double()).abs().max()
            said = f"{count} of {old.numel()} numbers, by up to {apart:.1e}"
            self.differences.append(f"{where}: {said}")

    def tell(self) -> str:
        """Say it in one line."""
        if not self.differences:
            return "equal" + (f"; new: {', '.join(self.added[:3])}" if self.added else "")
        # The first of each file says the most.
        firsts = list({each.split()[0]: each for each in reversed(self.differences)}.values())[
            :-4:-1
        ]
        more = len(self.differences) - len(firsts)
        return f"DIFFERS {'; '.join(firsts)}" + (f"; and {more} more" if more else "")


def read(path: Path) -> Any:
    """Read a file into what can be compared entry by entry."""
    if path.name == "run.json":
        return {"result": json.loads(path.read_text()).get("result")}
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        kinds = {field.name: str(field.type) for field in table.schema}
        return {"types": kinds, "columns": table.to_pydict()}
    if path.suffix in (".npy", ".npz"):
        stored = np.load(path)
        arrays = {"array": stored} if isinstance(stored, np.ndarray) else dict(stored)
        numbers = {name: each for name, each in arrays.items() if each.dtype.kind in "biuf"}
        words = {name: each.tolist() for name, each in arrays.items() if name not in numbers}
        return words | {name: torch.from_numpy(each) for name, each in numbers.items()}
    return path.read_bytes().decode(errors="backslashreplace").splitlines()


def read_item(folder: Path, item: str) -> dict[str, Any]:
    """Read all that an item left: its files, and what it printed."""
    found = {}
    for path in sorted((folder / item).rglob("*")):
        name = path.relative_to(folder / item)
        if path.is_file() and name.parts[0] not in UNREAD:
            found[name.as_posix()] = read(path)
    printed = folder / "printed" / f"{item}.json"
    if printed.exists():
        found["printed"] = read(printed)
    return found


def compare_items(
    old: Path, new: Path, failed: dict[str, str], item: str, other: str | None = None
) -> Comparison:
    """Compare what an item left in one folder with what it, or another item, left in one."""
    comparison = Comparison()
    if item in failed:
        comparison.differences.append(failed[item])
        return comparison
    before, after = read_item(old, item), read_item(new, other or item)
    if not before:
        comparison.differences.append("nothing was written")
    return comparison.compare(before, after, "")


def compare_checkouts(old: Path, new: Path) -> Iterator[tuple[str, Comparison]]:
    """Yield each item and how the two folders compare."""
    items, failures = json.loads((old / "items.json").read_text()), {}
    for folder in (new, old):
        for item, reason in json.loads((folder / "failed.json").read_text()).items():
            failures[item] = f"{folder.name} fails, {reason}"
    for item in items:
        yield item, compare_items(old, new, failures, item)
    for name in STOPPED:
        item = f"resumed {name}"
        for folder in (old, new):
            compared = compare_items(folder, folder, failures, item, f"straight {name}")
            yield f"{item}, {folder.name}, against not stopped", compared
    known = [json.loads((folder / "known.json").read_text()) for folder in (old, new)]
    yield "methods", compare_methods(*known)


def compare_methods(old: list[str], new: list[str]) -> Comparison:
    """Hear whether a method is gone, and name new ones."""
    return Comparison().compare(dict.fromkeys(old), dict.fromkeys(new), "")


def draw_inputs(folder: Path) -> None:
    """Write images and labels without the help of either checkout."""
    random = np.random.default_rng(0)
    colours = np.array([[0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 0, 0], [255, 255, 255]])
    lines, names = ["image,labels"], []
    coco = folder / "coco"
    for each in (folder / "images", coco / "train2014", coco / "val2014", coco / "annotations"):
        each.mkdir(parents=True)
    for number in range(64):
        pixels = random.integers(0, 120, (52 + number % 5, 48, 3))
        shown = np.flatnonzero(random.random(len(CLASSES)) < 0.4)
        shown = shown if len(shown) else np.array([number % len(CLASSES)])
        for label in shown:
            y, x = random.integers(0, 36, 2)
            pixels[y : y + 12, x : x + 12] = colours[label]
        names.append(f"images/{number:02}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(folder / names[-1])
        lines.append(f"{names[-1]},{';'.join(CLASSES[label] for label in shown)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    scores = random.random((64, len(CLASSES)), dtype=np.float32)
    np.savez(folder / "teacher.npz", names=np.array(names), scores=scores)
    for first, part in ((1, "train2014"), (9, "val2014")):
        numbers = range(first, first + 8)
        files = [{"id": n, "file_name": f"COCO_{part}_{n:012}.jpg"} for n in numbers]
        marks = [(n, k) for n in numbers for k in range(3) if (n + k) % 2 or not k]
        marked = [{"image_id": n, "category_id": k, "bbox": [k, 2, 3, n]} for n, k in marks]
        kinds = [{"id": k, "name": CLASSES[k]} for k in range(3)]
        content = {"images": files, "annotations": marked, "categories": kinds}
        (coco / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
        for file in files:
            Image.new("RGB", (8, 6), "gray").save(coco / part / str(file["file_name"]))


def start(python: str, checkout: Path, folder: Path, arguments: list[str]) -> None:
    """Let a process of its own work in a folder, with the code of one checkout."""
    source = checkout.resolve() / "src"
    if not (source / "tacit").is_dir():
        sys.exit(f"There is no src/tacit in {checkout}; name the folder of a checkout.")
    folder.mkdir()
    around = {name: value for name, value in os.environ.items() if name not in ("RANK", "COLUMNS")}
    around |= {"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1", "COLUMNS": "300"}
    around |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    begun = time.perf_counter()
    script = Path(__file__).resolve().with_name("same_bits_work.py")
    command = [python, str(script), str(source), *arguments]
    if subprocess.run(command, cwd=folder, env=around).returncode:
        sys.exit(f"The commands of {checkout} did not come to their end.")
    print(f"{folder.name}: {checkout}, {time.perf_counter() - begun:.0f} s", flush=True)


def main() -> int:
    """Compare two checkouts."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("old", type=Path, help="the checkout that is right")
    parser.add_argument("new", type=Path, help="the checkout that must compute the same")
    parser.add_argument("--methods", default="", help="only these, a,b; all if left out")
    parser.add_argument("--python", default=sys.executable, help="python that runs both")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs, old, new = folder / "inputs", folder / "old", folder / "new"
        draw_inputs(inputs)
        start(asked.python, asked.old, old, [str(inputs), asked.methods])
        start(asked.python, asked.new, new, [str(inputs), asked.methods, str(old)])
        different = 0
        for item, comparison in compare_checkouts(old, new):
            print(f"{item:<36} {comparison.tell()}", flush=True)
            different += bool(comparison.differences)
    print(f"{different} items differ." if different else "All items are equal.")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
