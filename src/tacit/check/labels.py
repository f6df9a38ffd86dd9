"""What the labels say, and what they leave out. The truth beside them is never looked at."""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b

import numpy as np

from tacit.check.findings import Findings
from tacit.check.spelling import find_spellings
from tacit.data.listing import Listing
from tacit.data.split_names import find_kind

RARE = 5  # images that show a class, below which it is hardly learnt
SEVERAL = 3  # images from which on it is no chance that two classes share all of theirs


def find_in_labels(listing: Listing, findings: Findings) -> None:
    """Report classes and images that training would learn nothing or nonsense from."""
    counts = listing.labels.per_class(1).tolist()
    if len(listing.classes) < 2:
        findings.add("few_classes", {"count": len(listing.classes)})
    find_spellings(listing.classes, counts, findings)
    _find_unlabelled(listing, findings)
    _counts(listing, counts, findings)
    _find_identical(listing, counts, findings)
    _check_splits(listing, findings)


def _find_unlabelled(listing: Listing, findings: Findings) -> None:
    known = listing.labels.per_image(1) + listing.labels.per_image(-1)
    for row in np.flatnonzero(known == 0).tolist():
        findings.add("unlabelled", {"image": listing.images[row]})


def _counts(listing: Listing, counts: list[int], findings: Findings) -> None:
    trained = _count_trained(listing)
    spelt = {f.said["class"] for kind in ("class_variant", "class_typo") for f in findings.of(kind)}
    for name, count, train in zip(listing.classes, counts, trained, strict=True):
        if not count:
            findings.add("empty_class", {"class": name})
        elif not train:
            findings.add("untrained_class", {"class": name})
        elif count == len(listing) and len(listing) >= SEVERAL:
            findings.add("always_present", {"class": name})
        elif count < RARE and name not in spelt:
            findings.add("rare_class", {"class": name, "count": count})


def _count_trained(listing: Listing) -> list[int]:
    """Count the images that show each class where the model is trained."""
    trained = [find_kind(split) == "train" for split in listing.splits]
    labels = listing.labels.take(np.flatnonzero(trained)) if any(trained) else listing.labels
    counts: list[int] = labels.per_class(1).tolist()
    return counts


def _find_identical(listing: Listing, counts: list[int], findings: Findings) -> None:
    labels = listing.labels
    present = labels.states == 1
    columns, rows = labels.columns[present], labels.row_of_cells()[present]
    rows = rows[np.argsort(columns, kind="stable")]
    ends = np.cumsum([0, *counts])
    groups: dict[bytes, list[int]] = defaultdict(list)
    for number, count in enumerate(counts):
        if count >= SEVERAL:
            shown = rows[ends[number] : ends[number + 1]]
            groups[blake2b(shown.tobytes(), digest_size=20).digest()].append(number)
    for first, *others in groups.values():
        for other in others:
            said = {"class": listing.classes[other], "other": listing.classes[first]}
            findings.add("identical_classes", said)


def _check_splits(listing: Listing, findings: Findings) -> None:
    """Report splits that training would refuse."""
    names = listing.split_names()
    if not names:
        return
    kinds = [find_kind(name) for name in names]
    if None in kinds or "train" not in kinds or len(set(kinds)) < len(kinds):
        findings.add("odd_splits", {"splits": ", ".join(names)})
