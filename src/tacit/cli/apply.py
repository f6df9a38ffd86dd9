"""`tacit apply`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tacit.cli.label_options import AS_FOUND, LabelOptions
from tacit.cli.output import print_json, print_table, say, tell

FIRST = 10  # of what is listed, before the rest is counted
KINDS = {
    "persons": "people disagree",
    "edited": "the labels were changed since the person was asked",
    "overruled": "a person unsays what came with the data",
}


def apply(
    verdicts: Path,
    /,
    *,
    data: Path | None = None,
    out: Path | None = None,
    conflicts: Literal["skip", "last", "majority"] = "skip",
    accept_above: float | None = None,
    suspects: Path | None = None,
    suggest_above: float = 0.5,
    to: str | None = None,
    beside: Annotated[bool, Parameter(negative=())] = False,
    read: LabelOptions = AS_FOUND,
    settings: Annotated[tuple[str, ...], Parameter(name=("--set", "-s"))] = (),
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    force: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write what people said of labels into a copy of these labels.

    Shows the difference first. The copy is in the format that the labels came in, and differs from
    them where something changes alone. Nothing that a person said is overruled by a model, and a
    label that came with the data goes only where a person said that it is absent.

    Parameters
    ----------
    verdicts
        A run that was reviewed, the file of a review, or verdicts as JSON lines or CSV.
    data
        The labels; those of the run if left out.
    out
        Where to write: a file, or a folder where the labels are one.
    conflicts
        Who wins where people disagree: nobody and the label stays (skip), the last one who
        answered, or more than half of them (majority).
    accept_above
        Also take the model's word from this posterior on, as far as the audit bears it out.
    suspects
        The file of suspects; that of the run if left out.
    suggest_above
        From which posterior on tools are shown suspects.
    to
        Write another format of `tacit datasets`, or for a tool: label_studio, cvat, fiftyone.
    beside
        Write sidecars beside their images, over those that are there.
    settings
        An option of another format than tables, such as data.options.hierarchy=leaf.
    dry_run
        Show the difference and write nothing.
    force
        Replace what is there.
    json
        Print the difference as JSON.
    """
    from tacit.errors import UsageError
    from tacit.repair.apply import compare
    from tacit.repair.write_back.write import complete_difference, write_repaired

    if out is None and not dry_run and not beside:
        raise UsageError("Say where to write with --out, or see the difference with --dry-run.")
    said = (*read.as_settings(), *settings)
    labels, given, found, edited = _open(verdicts, data, suspects, said)
    difference = compare(labels.listing, given.verdicts, conflicts=conflicts, edited=edited)
    if accept_above is not None:
        _accept(difference, labels, given, found, accept_above)
    complete_difference(labels, difference)
    summary = difference.summary()
    if not json:
        _print(summary)
    if not dry_run:
        goal = out or Path()
        written = write_repaired(
            labels,
            difference,
            goal,
            to=to,
            suspects=_suggest(found, labels, to, suggest_above),
            force=force,
            beside=beside,
        )
        summary |= {"out": str(out) if out else None, "notes": written.notes}
        if not json:
            _print_written(labels, len(difference.changes), goal, written, to)
    if json:
        print_json(summary)
    return 0


def _open(
    source: Path, data: Path | None, suspects: Path | None, said: tuple[str, ...]
) -> tuple[Any, Any, Any, bool]:
    """Read the labels, the verdicts and the suspects that a command names.

    Returns:
        These three, and whether the labels were edited since the verdicts were given.
    """
    from tacit.config import resolve
    from tacit.data.knowledge.options import BESIDE
    from tacit.errors import UsageError
    from tacit.repair.suspects_file import SuspectsFile
    from tacit.repair.verdict_files import find_store, is_about, open_verdicts
    from tacit.repair.write_back.write import read_labels
    from tacit.runs.folder import Run

    config = resolve(settings=said).data
    if source.is_dir():
        run = Run(source)
        config = _find_labels(run, config) if data is None else config
        data = data or Path(config.name)
        source = find_store(run)
        beside = source.with_name(run.suspects_file.name)
        suspects = suspects or (beside if beside.is_file() else None)
    if data is None:
        raise UsageError("Say with --data which labels the verdicts are about.")
    config = config.model_copy(update={"name": str(data)})
    options = {name: value for name, value in config.options.items() if name not in BESIDE}
    if "images" in options:
        options["images"] = Path(options["images"])
    labels, given = read_labels(data, **options), open_verdicts(source)
    edited = given.data is not None and not is_about(given.data, labels.listing, config)
    return labels, given, SuspectsFile(suspects) if suspects else None, edited


def _find_labels(run: Any, said: Any) -> Any:
    """Return how a run reads its labels, with what the command says besides."""
    from tacit.data import SOURCES
    from tacit.errors import UsageError
    from tacit.registry import require_trust

    data = run.config.data
    if data.name in SOURCES:
        raise UsageError(
            f"The run in {run.folder} learned from '{data.name}', which is no file of labels; "
            f"name one with --data."
        )
    require_trust("format", str(data.options.get("format", "")), run.record_file)
    return data.model_copy(update={"options": {**data.options, **said.options}})


def _accept(difference: Any, labels: Any, given: Any, suspects: Any, above: float) -> None:
    from tacit.errors import UsageError
    from tacit.repair.accept import accept_suspects, bound_by_audit

    if suspects is None:
        raise UsageError("--accept-above needs --suspects FILE, which says what the model thinks.")
    bound = bound_by_audit(given.verdicts)
    accept_suspects(difference, labels.listing, suspects, given.verdicts, above, bound)


def _suggest(suspects: Any, labels: Any, to: str | None, above: float) -> Any:
    from tacit.repair.write_back.exports import EXPORTS, find_suspects

    if suspects is None or to not in EXPORTS:
        return None
    return find_suspects(suspects, labels.listing, above)


def _print(summary: dict[str, Any]) -> None:
    """Print what changes, what does not although somebody said so, and why."""
    counts = {"added": "labels are added", "removed": "removed", "absent": "known to be absent"}
    say(", ".join(f"{summary[kind]:,} {words}" for kind, words in counts.items()) + ".")
    say(f"{summary['confirmed']:,} are what they were said to be, {summary['unsure']:,} unsure.")
    if summary["by_model"]:
        say(
            f"{summary['by_model']:,} of them by the model's word: about "
            f"{summary['expected_wrong']:,} are wrong by its own posteriors, and at most "
            f"{summary['most_wrong']:,} by the audit."
        )
    rows = [
        (name, *(f"{row[kind]:,}" for kind in counts)) for name, row in summary["per_class"].items()
    ]
    if rows:
        say()
        print_table(("class", "added", "removed", "absent"), rows)
    _print_conflicts(summary["conflicts"])
    _print_gone(summary)


def _print_conflicts(conflicts: list[dict[str, Any]]) -> None:
    for kind, title in KINDS.items():
        found = [conflict for conflict in conflicts if conflict["kind"] == kind]
        if not found:
            continue
        open_ends = sum(conflict["outcome"] == "none" for conflict in found)
        say(f"\n{title}: {len(found):,}, of which {open_ends:,} are left as they were")
        for conflict in found[:FIRST]:
            said = ", ".join(f"{who}: {answer}" for who, answer in conflict["said"].items())
            held = "left" if conflict["outcome"] == "none" else conflict["outcome"]
            say(f"  {conflict['image']}, {conflict['label']}: {said} -> {held}")
        if len(found) > FIRST:
            say(f"  … and {len(found) - FIRST:,} more")
        if open_ends and kind != "overruled":
            say("  settle them with --conflicts last or majority, or by another look")


def _print_gone(summary: dict[str, Any]) -> None:
    images, classes = summary["gone_images"], summary["gone_classes"]
    if images:
        count = sum(images.values())
        say(f"\n{len(images):,} images are not in the labels; {count:,} verdicts are passed over:")
        for name in list(images)[:FIRST]:
            say(f"  {name}")
    for name, gone in classes.items():
        near = f"; is it '{gone['nearest']}' now?" if gone["nearest"] else ""
        say(f"\nno class is called '{name}': {gone['verdicts']:,} verdicts are passed over{near}")


def _print_written(labels: Any, changes: int, out: Path, written: Any, to: str | None) -> None:
    """Print what to know of what was written, and how to train on it."""
    from tacit.data.load import write_flags
    from tacit.repair.write_back.exports import EXPORTS

    for note in written.notes:
        tell(f"note: {note}")
    if out == Path():
        tell(f"{changes:,} changes are written beside the images.")
        return
    tell(f"{out} is written, with {changes:,} changes.")
    if to not in EXPORTS:
        options = {name: value for name, value in labels.options.items() if name != "images"}
        options |= {"images": written.images} if written.images else {}
        flags = write_flags(options)
        tell(f"Train on it with: {shlex.join(['tacit', 'train', '--data', str(out), *flags])}")
