"""The literature's protocol: observed labels drawn from the truth, and images set aside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tacit.config import DataConfig, LabelKind
from tacit.data import SOURCES, check_data_name
from tacit.data.source import OfficialSplits, Splits
from tacit.errors import DataError, UsageError
from tacit.ranges import check_arguments
from tacit.registry import check_options, find

if TYPE_CHECKING:
    from tacit.data.source import Source
    from tacit.labels import SparseLabels


def split_rows(
    count: int,
    validation: float = 0.2,
    seed: int = 1200,
    groups: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split rows into training and validation, both ascending.

    Fraction 0.2 and seed 1200 with numpy's legacy generator give the split of the published
    tables. The validation count is rounded half to even, as numpy rounds. Where rows belong to
    groups, no group is divided; groups are drawn until the count is met as nearly as they allow.
    """
    if not 0 <= validation <= 1 or count < 0:
        raise UsageError(
            f"A share of validation images is between 0 and 1, of 0 images or more; not "
            f"{validation:g} of {count:,}."
        )
    held_out = int(np.round(validation * count))
    if groups is not None:
        return _split_groups(groups, held_out, seed)
    shuffled = np.random.RandomState(seed).permutation(count)
    kept = count - held_out
    return np.sort(shuffled[:kept]), np.sort(shuffled[kept:])


def _split_groups(
    groups: NDArray[np.int64], held_out: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    names, group = np.unique(groups, return_inverse=True)
    order = np.random.RandomState(seed).permutation(len(names))
    sizes = np.bincount(group, minlength=len(names))
    left, drawn = held_out, []
    for number in order[::-1]:
        # A group goes in where it brings the count nearer than it is without it.
        if abs(left - sizes[number]) < abs(left):
            drawn.append(number)
            left -= int(sizes[number])
    aside = np.isin(group, drawn)
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def load_splits(
    data: DataConfig,
    labels: LabelKind | None = None,
    prepare: Callable[[Source], Source] | None = None,
    official: OfficialSplits | None = None,
) -> Splits:
    """Read a data set and prepare it as the literature does.

    Observed labels are drawn on the whole official training split, then a share of it is set aside
    for validation. The official test split stays the test split. Files of one's own keep the labels
    they have, unless a draw is asked for and they are fully labelled.

    Args:
        data: What to read and how to prepare it, with a description of every key.
        labels: What training sees; left out, ``data.labels``, or the observed ones. "full" and
            "true_negatives" are for bounds: all labels, or the known positives with every true
            negative, so that only the missed positives stay unknown.
        prepare: Called with each split as it was read, such as to scale its images once.
        official: The splits as they were read, if they are already in memory.
    """
    name, positives, negatives = data.name, data.positives, data.negatives
    labels = labels or data.labels or "observed"
    splits = official or _read_official_splits(name, data.options)
    if prepare is not None:
        splits = splits.map(prepare)
    keep_as_they_are = name not in SOURCES and positives is None and negatives is None
    one, none = (1 if positives is None else positives), (0 if negatives is None else negatives)
    keep = None if keep_as_they_are else (one, none, data.draw_seed)
    train, held, tested = splits.train, splits.validation, splits.test
    shown = _choose_training_labels(train, labels, keep)
    chosen = _choose_validation_labels(train, data.validation_labels, keep)
    kept, aside, apart = divide_rows(train, data, held is None, tested is None)
    if tested is None:
        tested = train.take(apart, f"{train.name}-test")
    if held is not None:
        held = held.with_labels(_choose_validation_labels(held, data.validation_labels, keep))
        return Splits(train.with_labels(shown).take(kept), held, tested)
    return Splits(
        train.with_labels(shown).take(kept, f"{train.name}-train"),
        train.with_labels(chosen).take(aside, f"{train.name}-validation"),
        tested,
    )


def divide_rows(
    source: Source, data: DataConfig, validation: bool, test: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of a training split that are trained on, validated on and tested on.

    Args:
        source: The training split, with the groups that stay together.
        data: The shares, and the seed.
        validation: Whether a share is set aside for validation.
        test: Whether a share is set aside for the test.
    """
    kept = np.arange(len(source))
    held = tested = kept[:0]
    if test:
        left, aside = _set_aside(source, data.test, data.split_seed, "a test")
        kept, tested = kept[left], kept[aside]
    if validation:
        rest = source.take(kept) if test else source
        left, aside = _set_aside(rest, data.validation, data.split_seed, "validation")
        kept, held = kept[left], kept[aside]
    return kept, held, tested


def _read_official_splits(name: str, options: dict[str, Any]) -> OfficialSplits:
    check_data_name(name)
    if name in SOURCES:
        load = find("data set", name, SOURCES)
        check_options(f"data set '{name}'", options, load)
        train, test = load(**check_arguments("data.options", load, options))
        return OfficialSplits(train, test=test)
    from tacit.data.load import read_official_splits

    return read_official_splits(Path(name), options)


def _draw_observed(source: Source, keep: tuple[int, int, int] | None) -> SparseLabels:
    from tacit.data.observe import draw_observed

    if keep is None:
        return source.labels
    drawn = draw_observed(source.require_truth("to draw observed labels from"), *keep)
    if source.side is None:
        return drawn
    from tacit.data.knowledge.rules import complete

    return complete(drawn, source.side).labels


def _choose_training_labels(
    source: Source, kind: LabelKind, keep: tuple[int, int, int] | None
) -> SparseLabels:
    """Return the labels that training sees."""
    from tacit.data.observe import drop_missed

    observed = _draw_observed(source, keep)
    if kind == "observed":
        return observed
    truth = source.require_truth("for a method that is a bound")
    return truth if kind == "full" else drop_missed(truth, observed)


def _choose_validation_labels(
    source: Source, kind: str | None, keep: tuple[int, int, int] | None
) -> SparseLabels:
    """Return the labels that choose the best epoch."""
    if kind == "observed" or (kind is None and source.truth is None):
        return _draw_observed(source, keep)
    return source.require_truth('to validate on (data.validation_labels = "clean")')


def _set_aside(source: Source, share: float, seed: int, purpose: str) -> Any:
    groups = source.side.groups if source.side else None
    kept, aside = split_rows(len(source), share, seed, groups)
    if not len(kept) or not len(aside):
        together = "" if groups is None else " Groups of images stay together."
        raise DataError(
            f"'{source.name}' has {len(source)} training images; setting {share:.0%} aside for "
            f"{purpose} leaves {len(kept)} and {len(aside)}. Both need one or more.{together}"
        )
    return kept, aside
