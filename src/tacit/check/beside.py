"""What lies beside the labels: where labels contradict rules, and where groups are divided."""

from __future__ import annotations

import numpy as np

from tacit.check.duplicates import Ranks
from tacit.check.findings import Findings
from tacit.data.knowledge.options import CompletedListing


def find_beside(whole: CompletedListing, findings: Findings) -> None:
    """Report images that contradict what was said beside the labels."""
    listing, side = whole.listing, whole.side
    if side is None:
        return
    if side.contradicting is not None:
        for row in np.flatnonzero(side.contradicting).tolist():
            said = {"image": listing.images[row], "what": "the taxonomy or the catalogue"}
            findings.add("against_rules", said)
    if side.at_most is not None:
        counts = listing.labels.per_image(1)
        for row in np.flatnonzero(counts > side.at_most).tolist():
            image, count = listing.images[row], int(counts[row])
            findings.add("too_many", {"image": image, "count": count, "most": side.at_most})
    if side.groups is not None and listing.splits:
        _find_divided(whole, side.groups.tolist(), findings)


def _find_divided(whole: CompletedListing, groups: list[int], findings: Findings) -> None:
    """Report the images of a group that are in another split than the one that is kept."""
    listing = whole.listing
    ranks = Ranks(listing)
    first: dict[int, int] = {}
    for row in sorted(range(len(listing)), key=ranks.key):
        kept = first.setdefault(groups[row], row)
        if ranks.crosses(kept, row):
            said = {"image": listing.images[row], "other": listing.images[kept]}
            said |= {"split": listing.splits[row], "other_split": listing.splits[kept]}
            findings.add("divided_group", said)
