"""What the splits of a data set are called."""

from __future__ import annotations

import re

# What people call the splits of a data set, in lower case.
TRAIN = ("train", "training", "trn", "trainval")
VALIDATION = ("validation", "valid", "val", "dev")
TEST = ("test", "testing", "tst", "eval")
SPLITS = frozenset(TRAIN + VALIDATION + TEST)

_YEAR = re.compile(r"[-_]?(19|20)\d\d$")


def is_split_name(name: str) -> bool:
    """Whether a file or folder is called as a split is."""
    return name.lower() in SPLITS


def find_split_name(stem: str, *before: str) -> str:
    """Return the split in a file's name such as "instances_train2017"."""
    for prefix in before:
        stem = stem.removeprefix(prefix)
    without = _YEAR.sub("", stem)
    return without if is_split_name(without) else stem


def find_kind(split: str) -> str | None:
    """Return "train", "validation" or "test", or None for a split that is called otherwise."""
    kinds = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    found = [kind for kind, names in kinds.items() if split.strip().lower() in names]
    return found[0] if found else None
