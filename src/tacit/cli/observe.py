"""`tacit observe`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tacit.cli.label_options import AS_FOUND, LabelOptions
from tacit.cli.output import print_json, print_table, tell


def observe(
    data: Path,
    /,
    *,
    positives: int = 1,
    negatives: int = 0,
    way: str = "uniform",
    seed: int = 1200,
    name: str | None = None,
    out: Path | None = None,
    read: LabelOptions = AS_FOUND,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Draw observed labels from full ones, as annotators would who name only some objects.

    Of a prepared data set, the draw is written beside the untouched truth. Of any other full
    labels, a prepared data set is written to --out.

    Parameters
    ----------
    data
        A prepared data set, or full labels in any format of `tacit datasets`.
    positives
        Known positives to keep per image, -1 for all.
    negatives
        Known negatives to keep per image, -1 for all.
    way
        How annotators choose: uniform, balanced, frequent, area or salient.
    seed
        Seed of the draw; 1200 with uniform is the literature's.
    name
        What the draw is called, in a prepared data set.
    out
        The folder to write, for other labels.
    json
        Print the result as JSON.
    """
    from tacit.data import observe as annotators
    from tacit.data.load import read_completed
    from tacit.data.prepared import is_prepared, write_observed, write_prepared

    listing = read_completed(data, read.as_arguments()).listing
    drawn = annotators.observe(listing, way, positives, negatives, seed)
    draw = {"way": way, "positives": positives, "negatives": negatives, "seed": seed}
    if data.is_dir() and is_prepared(data):
        called = name or f"{way}-{positives}-{negatives}-{seed}"
        target = write_observed(data, called, replace(listing, labels=drawn), draw)
        use = f"--data {shlex.quote(str(data))} --set data.options.observed={shlex.quote(called)}"
    else:
        target = out or Path("data") / data.stem
        truth = listing.truth if listing.truth is not None else listing.labels
        write_prepared(target, replace(listing, labels=drawn, truth=truth), {"draw": draw})
        use = f"--data {shlex.quote(str(target))}"
    known = drawn.per_class(1)
    result = {
        "written": str(target),
        **draw,
        "known positives": drawn.count(1),
        "known negatives": drawn.count(-1),
        "per class": dict(zip(listing.classes, known.tolist(), strict=True)),
    }
    if json:
        print_json(result)
    else:
        truth = listing.truth if listing.truth is not None else listing.labels
        _print(listing.classes, known.tolist(), truth.per_class(1).tolist())
    tell(f"{drawn.count(1):,} positives and {drawn.count(-1):,} negatives are known.")
    tell(f"Train on them with: tacit train {use}")


def _print(classes: tuple[str, ...], known: list[int], true: list[int]) -> None:
    """Print the classes of which the smallest share is known, and the largest."""
    shares = [k / t if t else 0.0 for k, t in zip(known, true, strict=True)]
    order = sorted(range(len(classes)), key=lambda column: shares[column])
    shown = order if len(order) <= 20 else [*order[:10], *order[-10:]]
    rows = [
        (classes[c], f"{known[c]:,}", f"{true[c]:,}", f"{shares[c]:.1%}")
        for c in shown
    ]  # fmt: skip
    print_table(("class", "known", "present", "share"), rows)
    if len(order) > 20:
        tell(f"{len(order) - 20:,} classes between them are not shown.")
