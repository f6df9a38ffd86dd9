"""`tacit decide`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tacit.cli.decide_options import AS_RECORDED, DecideOptions
from tacit.cli.label_options import AS_FOUND, LabelOptions
from tacit.cli.output import print_json, print_table, say, stderr, tell
from tacit.errors import UsageError

if TYPE_CHECKING:
    from tacit.data.source import Source


def decide(
    folder: Path,
    /,
    *,
    decide: DecideOptions = AS_RECORDED,
    verdicts: Path | None = None,
    data: Path | None = None,
    read: LabelOptions = AS_FOUND,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Decide labels for another goal, or from more that is known, without training.

    Thresholds are chosen anew on the validation images of the run and stored beside its model,
    where `tacit predict` and `tacit evaluate` find them.

    Parameters
    ----------
    folder
        A run folder that `tacit train` wrote.
    verdicts
        What people said of validation images: a review, or verdicts as JSON lines or CSV.
    data
        Labels of other images to choose on, which the model was not trained on, in any format that
        `tacit train` reads.
    dry_run
        Show the thresholds and store nothing.
    json
        Print the result as JSON.
    """
    if data is None and read != AS_FOUND:
        raise UsageError("Options of labels belong to --data; the run knows its own.")
    with stderr().status("deciding"):
        from tacit.models.artefact import write_decisions
        from tacit.runs.decide import check_decide, decide_again
        from tacit.runs.folder import Run

        run = Run(folder)
        config = run.config
        settings = config.decide.model_copy(update=decide.as_changes())
        source = run.splits().validation if data is None else _load(data, read)
        check_decide(settings, source)
        said = None if verdicts is None else _read_verdicts(verdicts, source)
        images = "validation" if data is None else "other"
        found = decide_again(folder, source, config, settings, images=images, verdicts=said)
        if not dry_run:
            write_decisions(folder, **found)
    if json:
        print_json(found)
        return
    print_table(
        ("class", "decided from"),
        [(name, f"{value:.3f}") for name, value in found["thresholds"].items()],
    )
    for line in _describe(found["decisions"]):
        say(line)
    if not dry_run:
        tell(f"Stored in {folder}; run.json keeps the scores of what was decided before.")


def _load(data: Path, read: LabelOptions) -> Source:
    from tacit.data.load import load

    return load(data, **read.as_arguments())


def _read_verdicts(path: Path, source: Source) -> dict[tuple[str, str], int]:
    """Return what all people who looked at a cell agree on, for images of the source."""
    from tacit.repair.verdict_files import open_verdicts
    from tacit.repair.verdicts import STATES, settle

    images = set(source.images)
    said: dict[tuple[str, str], int] = {}
    elsewhere = 0
    for cell, people in settle(open_verdicts(path).verdicts).items():
        states = {STATES.get(each.answer) for each in people.values()}
        state = states.pop()
        if states or state is None:
            continue
        if cell[0] in images:
            said[cell] = state
        else:
            elsewhere += 1
    if elsewhere:
        tell(
            f"{elsewhere:,} verdicts are of other images and left out: what a model says of images "
            f"that it was trained on tells nothing of new ones."
        )
    if not said:
        raise UsageError(
            f"{path} has no verdict on the {len(images):,} images of '{source.name}' that people "
            f"agree on."
        )
    return said


def _describe(decisions: dict[str, Any]) -> Iterator[str]:
    expected, number = decisions["expected"], decisions["labels_per_image"]
    yield (
        f"for {decisions['goal']}: {expected['labels']:.2f} labels an image of "
        f"{number['value']:.2f} that are there ({number['source']}) · expected precision "
        f"{expected['precision']:.2f}, recall {expected['recall']:.2f}, OF1 {expected['f1']:.2f}"
    )
    yield f"rests on {decisions['rests_on']}"
    if not decisions["met"]:
        yield f"No threshold serves {decisions['goal']}; this is the nearest."
    if decisions["undecided"]:
        yield f"at 0.5, since no image is known to show it: {', '.join(decisions['undecided'])}"
