"""The table of data sets, and the literature's protocol for turning truth into observed labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tacit.errors import DataError, unknown_name
from tacit.registry import Row, check_options, find

if TYPE_CHECKING:
    from tacit.data.source import Source
    from tacit.labels import SparseLabels

Kind = Literal["observed", "full", "true_negatives"]


# A row stands for a function that returns the training and the test part.
SOURCES: dict[str, Row | Callable[..., tuple[Source, Source]]] = {
    "scenes": Row(
        "tacit.data.scenes:load_scenes", "Generated pictures of 12 classes, nothing to download"
    ),
}


@dataclass(frozen=True)
class Splits:
    """Training images with observed labels, validation images, test images."""

    train: Source
    validation: Source
    test: Source

    @property
    def validation_labels(self) -> str:
        """Which labels choose the best epoch: "clean" ones, or "observed" ones with gaps."""
        return "observed" if self.validation.labels.count(0) else "clean"


@dataclass(frozen=True)
class Parts:
    """The parts that a data set comes in; what is missing is set aside from the first."""

    train: Source
    validation: Source | None = None
    test: Source | None = None


def load_splits(
    name: str,
    *,
    options: dict[str, Any] | None = None,
    positives: int | None = None,
    negatives: int | None = None,
    draw_seed: int = 1200,
    split_seed: int = 1200,
    validation: float = 0.2,
    test: float = 0.1,
    validation_labels: Literal["clean", "observed"] | None = None,
    labels: Kind = "observed",
    cache: tuple[Path, int] | None = None,
) -> Splits:
    """Read a data set and prepare it as the literature does.

    Observed labels are drawn on the whole official training part, then a share of it is set aside
    for validation. The official test part stays the test part. Files of one's own keep the labels
    they have, unless a draw is asked for and they are fully labelled.

    Args:
        name: A name from `SOURCES`, or the path of labels in any known format.
        options: Passed on to the reader.
        positives: Known positives to keep per training image; -1 keeps all. Left out, one for a
            data set from `SOURCES`, and all labels as they are for files.
        negatives: Known negatives to keep per training image; -1 keeps all.
        draw_seed: Seed of the draw.
        split_seed: Seed of the split.
        validation: Share of the training part to set aside, where there is no validation part.
        test: Share of the training part to set aside, where there is no test part.
        validation_labels: Whether validation images show their full or their observed labels;
            left out, the full ones where they are known.
        labels: What training sees. The last two are for bounds: all labels, or the known positives
            with every true negative, so that only the missed positives stay unknown.
        cache: A folder for pictures scaled once, and their size.
    """
    parts = _read_parts(name, options or {})
    if cache is not None:
        parts = _cached(parts, *cache)
    keep_as_they_are = name not in SOURCES and positives is None and negatives is None
    one, none = (1 if positives is None else positives), (0 if negatives is None else negatives)
    keep = None if keep_as_they_are else (one, none, draw_seed)
    train, held, tested = parts.train, parts.validation, parts.test
    shown = _shown(train, labels, keep)
    chosen = _chosen(train, validation_labels, keep)
    if tested is None:
        kept, aside = _set_aside(train, test, split_seed, "a test")
        tested = train.take(aside, f"{train.name}-test")
        train, shown, chosen = train.take(kept), shown.take(kept), chosen.take(kept)
    if held is not None:
        held = held.with_labels(_chosen(held, validation_labels, keep))
        return Splits(train.with_labels(shown), held, tested)
    kept, aside = _set_aside(train, validation, split_seed, "validation")
    return Splits(
        train.with_labels(shown).take(kept, f"{train.name}-train"),
        train.with_labels(chosen).take(aside, f"{train.name}-validation"),
        tested,
    )


def check_data_name(name: str) -> None:
    """Refuse what is neither in the table nor a path to something."""
    if name in SOURCES or Path(name).exists():
        return
    if any(sign in name for sign in "/\\."):
        raise DataError(f"There is nothing at {name}.")
    raise unknown_name("data set", name, SOURCES)


def _read_parts(name: str, options: dict[str, Any]) -> Parts:
    check_data_name(name)
    if name in SOURCES:
        load = find("data set", name, SOURCES)
        check_options(f"data set '{name}'", options, load)
        train, test = load(**options)
        return Parts(train, test=test)
    from tacit.data.own import read_parts

    return read_parts(Path(name), options)


def _cached(parts: Parts, folder: Path, size: int) -> Parts:
    from tacit.data.cache import cached

    sources = {name: source for name, source in vars(parts).items() if source is not None}
    return Parts(**{name: cached(source, size, folder) for name, source in sources.items()})


def _observed(source: Source, keep: tuple[int, int, int] | None) -> SparseLabels:
    from tacit.data.observe import draw_observed

    if keep is None:
        return source.labels
    drawn = draw_observed(source.require_truth("to draw observed labels from"), *keep)
    if source.side is None:
        return drawn
    from tacit.data.side import complete

    return complete(drawn, source.side).labels


def _shown(source: Source, kind: Kind, keep: tuple[int, int, int] | None) -> SparseLabels:
    """Return the labels that training sees."""
    from tacit.data.observe import without_missed

    observed = _observed(source, keep)
    if kind == "observed":
        return observed
    truth = source.require_truth("for a method that is a bound")
    return truth if kind == "full" else without_missed(truth, observed)


def _chosen(source: Source, kind: str | None, keep: tuple[int, int, int] | None) -> SparseLabels:
    """Return the labels that choose the best epoch."""
    if kind == "observed" or (kind is None and source.truth is None):
        return _observed(source, keep)
    return source.require_truth('to validate on (data.validation_labels = "clean")')


def _set_aside(source: Source, share: float, seed: int, purpose: str) -> Any:
    from tacit.data.splits import split_rows

    groups = source.side.groups if source.side else None
    kept, aside = split_rows(len(source), share, seed, groups)
    if not len(kept) or not len(aside):
        together = "" if groups is None else " Groups of images stay together."
        raise DataError(
            f"'{source.name}' has {len(source)} training images; setting {share:.0%} aside for "
            f"{purpose} leaves {len(kept)} and {len(aside)}. Both need one or more.{together}"
        )
    return kept, aside
