"""The same image more than once: the same file, or what looks the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tacit.check.decode import Look
from tacit.check.findings import Findings
from tacit.check.near_duplicates import find_candidates, look_alike
from tacit.data.listing import Listing, image_path
from tacit.data.split_names import find_kind

# So many likely ones are opened for each image, leaks and the likeliest first.
TRIES = 16


class Ranks:
    """Which of two equal images is kept: the tested before the trained, the first of a split."""

    def __init__(self, listing: Listing, made: Sequence[str] = ()) -> None:
        self.made = made
        names = listing.split_names()
        order = ("test", "validation", None, "train")
        place = {
            name: order.index(find_kind(name)) * len(names) + n for n, name in enumerate(names)
        }
        self.splits = listing.splits
        self.of_row = [place[split] for split in listing.splits] or [0] * len(listing)

    def key(self, row: int) -> tuple[int, int]:
        """Return what to sort rows by."""
        return self.of_row[row], row

    def crosses(self, row: int, other: int) -> bool:
        """Whether two rows are in different splits."""
        return self.of_row[row] != self.of_row[other]


def find_duplicates(
    listing: Listing,
    rows: Sequence[int],
    looks: Sequence[Look],
    findings: Findings,
    made: Sequence[str] = (),
) -> None:
    """Report equal files and images that look alike, each against the one that is kept.

    Args:
        listing: The images.
        rows: Those that were looked at.
        looks: What they look like.
        findings: Where to report.
        made: The split of each image that training itself makes, if it makes any.
    """
    ranks = Ranks(listing, made)
    groups: dict[bytes, list[int]] = defaultdict(list)
    likeness: dict[int, bytes] = {}
    for row, look in sorted(zip(rows, looks, strict=True), key=lambda pair: ranks.key(pair[0])):
        if not look.digest:
            continue
        group = groups[look.digest]
        group.append(row)
        if len(group) == 1 and look.likeness:
            likeness[row] = look.likeness
    for first, *others in groups.values():
        for other in others:
            _tell(listing, ranks, first, other, ("leak", "duplicate"), findings)
            _report_disagreement(listing, first, other, findings)
    _report_near(listing, ranks, likeness, findings)


def _tell(
    listing: Listing,
    ranks: Ranks,
    kept: int,
    row: int,
    kinds: tuple[str, str],
    findings: Findings,
) -> None:
    said: dict[str, Any] = {"image": listing.images[row], "other": listing.images[kept]}
    if ranks.crosses(kept, row):
        said |= {"split": listing.splits[row], "other_split": listing.splits[kept]}
        findings.add(kinds[0], said)
    else:
        findings.add(kinds[1], said)
        if ranks.made and ranks.made[kept] != ranks.made[row]:
            said |= {"split": ranks.made[row], "other_split": ranks.made[kept]}
            findings.add("set_apart", said)


def _report_disagreement(listing: Listing, first: int, other: int, findings: Findings) -> None:
    """Report classes that one of two equal files has and the other has not."""
    one, two = listing.labels[[first, other]].astype(int)
    names = (listing.images[other], listing.images[first])
    for column in np.flatnonzero(one * two == -1):
        said = {"image": names[0], "other": names[1], "class": listing.classes[column]}
        findings.add("duplicates_disagree", said)


def _report_near(
    listing: Listing, ranks: Ranks, likeness: dict[int, bytes], findings: Findings
) -> None:
    """Report what looks alike; first where an image leaks, then within its split."""
    if len(likeness) < 2:
        return
    rows = list(likeness)
    bits = np.frombuffer(b"".join(likeness.values()), dtype=np.uint8).reshape(len(rows), -1)
    likely: dict[int, list[tuple[bool, int, int]]] = defaultdict(list)
    for one, two in find_candidates(bits):
        kept, row = sorted((rows[one], rows[two]), key=ranks.key)
        apart = int(np.bitwise_count(bits[one] ^ bits[two]).sum())
        likely[row].append((not ranks.crosses(kept, row), apart, kept))
    paths = {row: image_path(listing.root, listing.images[row]) for row in rows}
    near = {
        row: [kept for _, _, kept in sorted(others)[:TRIES] if look_alike(paths[kept], paths[row])]
        for row, others in likely.items()
    }
    covered: set[int] = set()
    for row in sorted(near, key=ranks.key):
        across = [kept for kept in near[row] if ranks.crosses(kept, row)]
        within = [kept for kept in near[row] if kept not in covered]
        kept = min(across or within, key=ranks.key, default=None)
        if kept is not None:
            covered.add(row)
            _tell(listing, ranks, kept, row, ("near_leak", "near_duplicate"), findings)
