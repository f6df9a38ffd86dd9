"""From a benchmark's official files to a prepared data set, and what was checked on the way."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tacit.benchmarks import BENCHMARKS, read_benchmark
from tacit.benchmarks.published import Agreement, compare_labels, read_published
from tacit.data.listing import Listing
from tacit.data.observe import observe
from tacit.data.prepared import write_prepared
from tacit.data.splits import split_rows
from tacit.labels import SparseLabels

SEED = 1200


@dataclass(frozen=True)
class Preparation:
    """What came out: the record, warnings for the user, and how published labels compare."""

    record: dict[str, Any]
    warnings: tuple[str, ...]
    missing: tuple[str, ...]
    agreement: Agreement | None


def prepare(
    name: str,
    root: Path,
    out: Path,
    *,
    positives: int = 1,
    negatives: int = 0,
    seed: int = SEED,
    published: Path | None = None,
    use_published: bool = False,
) -> Preparation:
    """Read, check, draw and write.

    Args:
        name: A name from `BENCHMARKS`.
        root: The folder of the official files.
        out: The folder to write.
        positives: Known positives to keep per image.
        negatives: Known negatives to keep per image.
        seed: Of the draw.
        published: Observed labels of the training split that others published, to compare with.
        use_published: Take the published labels in place of our draw.
    """
    benchmark = BENCHMARKS.get(name)
    truth = read_benchmark(name, root)
    assert benchmark is not None  # an unknown name was refused by the reader
    labels, draw = truth.labels, None
    if benchmark.draws:
        labels, draw = (
            observe(truth, "uniform", positives, negatives, seed),
            [positives, negatives, seed],
        )
    agreement = None
    if published is not None:
        theirs, agreement = _compare(truth, labels, published)
        labels = theirs if use_published else labels
    warnings, missing = _compare_counts(name, truth), find_missing(truth)
    if missing:
        shown = ", ".join(missing[:5])
        warnings.append(f"{len(missing):,} images are not below {truth.root}, first: {shown}")
    listing = replace(truth, labels=labels, truth=truth.labels)
    record = write_prepared(
        out,
        listing,
        {
            "title": benchmark.title,
            "source": benchmark.source,
            "licence": benchmark.licence,
            "draw": draw if not use_published else f"published, {published and published.name}",
            "missing": len(missing),
            "split": _split(truth),
        },
    )
    return Preparation(record, tuple(warnings), missing, agreement)


def _split(listing: Listing) -> dict[str, Any] | None:
    """Return the literature's split, so that two copies can be compared."""
    if "validation" in listing.split_names():
        return None
    kept, held_out = split_rows(len(listing.rows_by_split()[0]))
    digest = hashlib.md5(held_out.astype("<i8").tobytes(), usedforsecurity=False).hexdigest()
    return {"train": len(kept), "validation": len(held_out), "validation md5": digest}


def _compare(truth: Listing, ours: SparseLabels, published: Path) -> tuple[SparseLabels, Agreement]:
    """Compare the training split, and return the labels with the published ones in its place."""
    splits = truth.rows_by_split()
    rows = splits[0]
    images = [truth.images[row] for row in rows]
    theirs, strangers = read_published(published, images, len(truth.classes))
    found = compare_labels(images, ours.take(rows), theirs, truth.labels.take(rows), strangers)
    others = np.concatenate([*splits[1:], np.zeros(0, dtype=np.int64)]).astype(np.int64)
    back = np.argsort(np.concatenate([rows, others]), kind="stable")
    return SparseLabels.stack([theirs, ours.take(others)]).take(back), found


def _compare_counts(name: str, listing: Listing) -> list[str]:
    """Return where the numbers of images are not those of the literature."""
    expected = BENCHMARKS[name].counts
    found = {p: len(r) for p, r in zip(listing.split_names(), listing.rows_by_split(), strict=True)}
    if not expected or found in [dict(packaging) for packaging in expected]:
        return []
    ours = ", ".join(f"{count:,} {split}" for split, count in found.items())
    theirs = " or ".join(
        ", ".join(f"{count:,} {split}" for split, count in packaging.items())
        for packaging in expected
    )
    return [f"{name} has {ours} images; the literature has {theirs}. Results do not compare."]


def find_missing(listing: Listing) -> tuple[str, ...]:
    """Return the images that are listed but not there; every folder is read once."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for image in listing.images:
        by_folder[os.path.dirname(image)].append(image)
    missing = []
    for folder, images in by_folder.items():
        path = listing.root / folder
        there = set(os.listdir(path)) if path.is_dir() else set()
        missing += [image for image in images if os.path.basename(image) not in there]
    return tuple(missing)
