"""`tacit evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tacit.cli.label_options import AS_FOUND, LabelOptions
from tacit.cli.output import print_json, print_table, say, stderr, tell
from tacit.errors import UsageError

# So many names are said; programs get all of them.
MOST_NAMES = 8


def evaluate(
    folder: Path,
    /,
    *,
    split: Literal["test", "validation"] | None = None,
    data: Path | None = None,
    read: LabelOptions = AS_FOUND,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Score a trained model against the truth.

    Parameters
    ----------
    folder
        A run folder that `tacit train` wrote.
    split
        The split of the data to score on: test, if nothing is said.
    data
        Other labels to score on, in any format that `tacit train` reads; classes are matched by
        their names.
    json
        Print the result as JSON.
    """
    if data is not None and split is not None:
        raise UsageError("--split is of the run's own data; leave it out with --data.")
    if data is None and read != AS_FOUND:
        raise UsageError("Options of labels belong to --data; the run knows its own.")
    with stderr().status("scoring"):
        result = _score(folder, split or "test", data, read)
    if json:
        print_json(result)
        return
    rows = [(name, f"{ap:.2f}") for name, ap in result["per_class"].items()]
    print_table(("class", "AP"), rows)
    what = "images of " + str(data) if data is not None else f"{result['split']} images"
    say(
        f"mAP {result['map']:.2f} on {result['n_images']:,} {what} · "
        f"{result['classes_scored']} of {len(rows)} classes have positives · "
        f"OF1 {result['of1']:.2f} · CF1 {result['cf1']:.2f} · "
        f"P@3 {result['precision_at_3']:.2f} · R@3 {result['recall_at_3']:.2f} · "
        f"epoch chosen on {result['selection']}"
    )
    for line in describe_known(result):
        say(line)
    for line in describe_decided(result):
        say(line)
    for line in _describe_classes(result):
        tell(line)


def _score(folder: Path, split: str, data: Path | None, read: LabelOptions) -> dict[str, Any]:
    from tacit.runs.folder import Run
    from tacit.runs.score import evaluate, evaluate_on

    run = Run(folder)
    if data is None:
        return evaluate(folder, run.splits(), run.config, split)
    from tacit.data.load import load

    return evaluate_on(folder, load(data, **read.as_arguments()), run.config)


def describe_known(result: dict[str, Any]) -> Iterator[str]:
    """Say what is scored over known cells, and how sure that is."""
    known = result["known"]
    cells = result["n_images"] * len(result["per_class"])
    if known["unknown"]:
        yield (
            f"{known['unknown']:,} of {cells:,} cells are unknown: the line above takes them for "
            f"absent, the next ones leave them out."
        )
    for key, why in (("without_positive", "positive"), ("without_negative", "negative")):
        if known[key]:
            yield f"no known {why}, and so in no mean: {_name(known[key])}"
    if known["map"] is None:
        yield "No class has both known positives and known negatives, so nothing more is scored."
        return
    between = known["intervals"]
    yield (
        f"known cells: mAP {known['map']:.2f}{_between(between, 'map')} · "
        f"OF1 {known['of1']:.2f}{_between(between, 'of1')} and CF1 {known['cf1']:.2f} at 0.5 · "
        f"OF1 {known['of1_decided']:.2f}{_between(between, 'of1_decided')} and "
        f"CF1 {known['cf1_decided']:.2f} as decided"
    )


def describe_decided(result: dict[str, Any]) -> Iterator[str]:
    """Say what the stored thresholds decide, what was expected, and what that rests on."""
    decided = result["decided"]
    line = f"decided: {decided['labels_per_image']:.2f} labels an image"
    if decided["rests_on"] is None:
        yield f"{line}; nothing is stored of why."
        return
    expected = decided["expected"]
    yield (
        f"{line}, for {decided['goal']} · expected {expected['labels']:.2f}, "
        f"precision {expected['precision']:.2f}, recall {expected['recall']:.2f} · "
        f"rests on {decided['rests_on']}"
    )


def _describe_classes(result: dict[str, Any]) -> Iterator[str]:
    if result.get("missing_classes"):
        yield f"not in these labels, and not scored: {_name(result['missing_classes'])}"
    if result.get("extra_classes"):
        yield f"unknown to the model, and not scored: {_name(result['extra_classes'])}"


def show_score(value: float | None) -> str:
    """Return a score in percent, or a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


def _between(intervals: dict[str, Any], key: str) -> str:
    return " [{:.1f}, {:.1f}]".format(*intervals[key]) if key in intervals else ""


def _name(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
