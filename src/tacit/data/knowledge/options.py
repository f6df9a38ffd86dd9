"""From what a user says beside the labels to side information of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.data.knowledge.rules import SideInformation, complete
from tacit.data.listing import Listing
from tacit.data.source import Source
from tacit.errors import UsageError


@dataclass(frozen=True)
class SideOptions:
    """What a user says, as arguments of `tacit.load` or as options of a recipe.

    Attributes:
        groups: A column of groups, or the path of a table of them.
        taxonomy: The path of a taxonomy.
        catalogue: The path of a table of what can be in the images of a group.
        at_most: The most labels that an annotator could give an image.
        merge_duplicates: Whether equal files become one image.
    """

    groups: str | Path | None = None
    taxonomy: str | Path | None = None
    catalogue: str | Path | None = None
    at_most: int | None = None
    merge_duplicates: bool = False

    def __post_init__(self) -> None:
        if self.catalogue is not None and self.groups is None:
            raise UsageError("A catalogue speaks of groups: say which column they are, as groups.")
        whole = isinstance(self.at_most, int) and not isinstance(self.at_most, bool)
        if self.at_most is not None and (not whole or self.at_most < 1):
            raise UsageError(f"at_most is a number of labels, 1 or more, not {self.at_most!r}.")


BESIDE = tuple(field.name for field in fields(SideOptions))


@dataclass(frozen=True)
class CompletedListing:
    """A listing and its side information."""

    listing: Listing
    side: SideInformation | None

    def source(self, split: str | None) -> Source:
        """Return the images of one split, or all of them."""
        source = self.listing.source(split)
        if self.side is None:
            return source
        rows = np.arange(len(self.listing))
        if split is not None:
            rows = np.flatnonzero(np.asarray(self.listing.splits, dtype=object) == split)
        return source.with_side(self.side.take(rows))


def add_side(
    listing: Listing,
    beside: SideOptions,
    labels: Any,
    image_column: str | None,
    images: Path | None,
) -> tuple[Listing, SideInformation | None]:
    """Read what lies beside the labels, and add the known labels that follow from it.

    Args:
        listing: What the labels were read into.
        beside: What the user says.
        labels: The file or table that the labels were read from.
        image_column: Its column of file names, if it is called otherwise.
        images: The folder of the images, if the user says it.
    """
    if beside == SideOptions():
        return listing, None
    notes: list[str] = []
    side = SideInformation(at_most=beside.at_most)
    if beside.at_most is not None:
        notes += _report_too_many(listing, beside.at_most)
    groups = None
    if beside.groups is not None:
        from tacit.data.knowledge.catalogue import read_groups

        groups = read_groups(labels, str(beside.groups), listing, image_column, images)
    if beside.merge_duplicates:
        from tacit.data.knowledge.equal_files import merge_equal_files

        listing, kept, found = merge_equal_files(listing)
        notes += found
        groups = groups and groups.take(kept)
    if groups is not None:
        side = replace(side, groups=groups.numbers)
        notes += _count_across_splits(listing, groups.numbers)
    if beside.taxonomy is not None:
        from tacit.data.knowledge.taxonomy import read_taxonomy

        taxonomy = read_taxonomy(Path(beside.taxonomy), listing.classes)
        side = replace(side, implications=taxonomy.implications, exclusions=taxonomy.exclusions)
        notes += taxonomy.notes
    if beside.catalogue is not None and groups is not None:
        from tacit.data.knowledge.catalogue import read_catalogue

        ruled_out, found = read_catalogue(
            Path(beside.catalogue), groups, listing.classes, side.implications
        )
        side = replace(side, ruled_out=ruled_out)
        notes += found
    return _complete_labels(listing, side, notes)


def _complete_labels(
    listing: Listing, side: SideInformation, notes: Sequence[str]
) -> tuple[Listing, SideInformation]:
    """Add what follows, and say where the labels contradict what lies beside them."""
    found = [*notes]
    if side.implications or side.exclusions or side.ruled_out is not None:
        done = complete(listing.labels, side)
        found.append(
            f"{done.positives:,} known positives and {done.negatives:,} known negatives follow "
            f"from the given labels and were added"
        )
        rows, columns = done.contradictions
        contradicting = np.zeros(len(listing), dtype=bool)
        contradicting[rows] = True
        side = replace(side, contradicting=contradicting)
        if len(rows):
            found.append(
                f"{int(contradicting.sum()):,} images contradict the taxonomy or the catalogue, "
                f"first '{listing.images[rows[0]]}' about '{listing.classes[columns[0]]}'; what "
                f"was given for them stays"
            )
        listing = replace(listing, labels=done.labels)
    listing = replace(listing, notes=(*listing.notes, *found))
    return listing, replace(side, notes=tuple(found))


def _report_too_many(listing: Listing, at_most: int) -> list[str]:
    count = int((listing.labels.per_image(1) > at_most).sum())
    return [f"{count:,} images have more than {at_most} known positives"] if count else []


def _count_across_splits(listing: Listing, groups: NDArray[np.int64]) -> list[str]:
    """Say how many groups have images in several splits, which the user's files decided."""
    if not listing.splits:
        return []
    _, split = np.unique(np.asarray(listing.splits), return_inverse=True)
    pairs = np.unique(np.stack([groups, split]), axis=1)
    divided = int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())
    return [f"{divided:,} groups have images in several splits"] if divided else []
