"""Repair: verdicts in plain files, and labels that are written back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from data.formats.examples import EXAMPLES
from fuzz.kinds import kind
from tacit.errors import TacitError
from tacit.repair.apply import compare
from tacit.repair.verdict_files import read_verdicts
from tacit.repair.verdicts import Verdict
from tacit.repair.write_back.write import complete_difference, read_labels, write_repaired


def verdicts(folder: Path) -> None:
    rows = [{"image": "1.jpg", "class": "cat", "answer": "present", "posterior": 0.5}]
    rows += [{"image": "2.jpg", "class": "dog", "answer": "undo", "who": "ann", "at": "2026"}]
    (folder / "v.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "v.csv").write_text("image,class,answer,who\n1.jpg,cat,absent,ann\n")


@kind("verdicts", verdicts)
def read_plain_verdicts(random: Random, folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(TacitError):
            read_verdicts(path)


def add_repair(name: str, make: Callable[[Path], Path]) -> None:
    """Add labels of which some are changed where they are, if they can be read at all."""
    where: dict[str, str] = {}

    def write(folder: Path) -> None:
        where["path"] = make(folder).relative_to(folder).as_posix()

    def repair(random: Random, folder: Path) -> None:
        path = folder / where["path"]
        labels = read_labels(path, format=EXAMPLES[name][0])
        images, classes = list(labels.listing.images), list(labels.listing.classes)
        if not classes:
            return
        answers = ("present", "absent")
        given = [
            Verdict(str(n), random.choice(images), random.choice(classes), answer, "ann", "2026")  # type: ignore[arg-type]
            for n, answer in enumerate(answers)
        ]
        difference = compare(labels.listing, given, conflicts="last")
        complete_difference(labels, difference)
        suffix = path.suffix if path.is_file() else ""
        write_repaired(labels, difference, folder / f"out{suffix}")

    suffixes = ("csv", "json", "jsonl", "parquet", "xmp")
    kind(f"repair: {name}", write, *(f"**/*.{suffix}" for suffix in suffixes))(repair)


for example in ("csv", "parquet", "jsonl", "imagefolder", "coco", "coco folder", "xmp"):
    add_repair(example, EXAMPLES[example][1])
