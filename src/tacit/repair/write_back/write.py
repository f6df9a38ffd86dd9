"""Writing repaired labels to a new place, whole or not at all, and saying who changed what."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacit.data.formats import FORMATS, is_writable, read_listing, write_listing
from tacit.data.formats.imagefolder import COLUMN, FILES
from tacit.data.formats.shared.folders import list_folders
from tacit.data.formats.table.files import SUFFIXES
from tacit.data.listing import Listing
from tacit.data.split_names import is_split_name
from tacit.errors import DataError, UsageError, unknown_name
from tacit.files import partial_beside, read_text, telling
from tacit.names import join_lines, read_lines, split_lines
from tacit.repair.apply import Change, Difference
from tacit.repair.write_back.coco import edit_coco
from tacit.repair.write_back.exports import EXPORTS, Suspects
from tacit.repair.write_back.sidecars import edit_sidecars, imply_above
from tacit.repair.write_back.table_files import edit_table

CHANGES, CLASSES = "changes.jsonl", "classes.txt"
TABLE = "table"


@dataclass(frozen=True)
class Labels:
    """Labels as they came in, and how they were read.

    Attributes:
        path: The file or the folder.
        format: Its format.
        listing: What was read.
        options: What the reader was told beside the path.
    """

    path: Path
    format: str
    listing: Listing
    options: Mapping[str, Any]

    @property
    def is_complete(self) -> bool:
        """Whether a class that is not mentioned is absent."""
        return self.options.get("absent") == "negative"


@dataclass
class Written:
    """What a person should know of labels that were written.

    Attributes:
        notes: A sentence each.
        images: The folder to name when they are read, where the images are not beside them.
    """

    notes: list[str]
    images: Path | None = None


Edit = Callable[[Labels, Path, Sequence[Change]], list[str]]


def _edit_table(labels: Labels, out: Path, changes: Sequence[Change]) -> list[str]:
    if out.suffix.lower() != labels.path.suffix.lower():
        raise UsageError(
            f"{labels.path.name} is changed in place of being written anew, so --out ends in "
            f"{labels.path.suffix}; for another kind of table say --to table as well."
        )
    return edit_table(labels.path, out, changes, labels.listing.classes, labels.options)


def _edit_imagefolder(labels: Labels, out: Path, changes: Sequence[Change]) -> list[str]:
    """Change the tables of a folder; everything beside them becomes links."""
    tops = [labels.path, *(f for f in list_folders(labels.path) if is_split_name(f.name))]
    tables = {top / name for top in tops for name in FILES if (top / name).is_file()}
    out.mkdir()
    for top in tops:
        inside = out / top.relative_to(labels.path)
        inside.mkdir(exist_ok=True)
        for entry in sorted(top.iterdir()):
            if entry not in tables and entry not in tops and not entry.name.startswith("."):
                (inside / entry.name).symlink_to(entry.absolute())
    notes: list[str] = []
    for table in sorted(tables):
        below = table.parent.relative_to(labels.path).as_posix()
        prefix = "" if below == "." else f"{below}/"
        some = [change for change in changes if _home(change.image, tops, labels) == table.parent]
        target = out / table.relative_to(labels.path)
        notes += edit_table(
            table, target, some, labels.listing.classes, labels.options, COLUMN, prefix
        )
    return list(dict.fromkeys(notes))


def _home(image: str, tops: Sequence[Path], labels: Labels) -> Path:
    """Return the folder whose table names an image."""
    first = labels.path / image.partition("/")[0]
    return first if "/" in image and first in tops[1:] else labels.path


def _edit_coco(labels: Labels, out: Path, changes: Sequence[Change]) -> list[str]:
    return edit_coco(labels.path, out, labels.listing, changes, labels.is_complete)


def _edit_xmp(labels: Labels, out: Path, changes: Sequence[Change]) -> list[str]:
    out.mkdir()
    leaf = labels.options.get("hierarchy") == "leaf"
    return edit_sidecars(labels.path, out, labels.listing, changes, leaf)


# Formats whose files are changed where they say otherwise now, and left alone elsewhere.
EDITED: dict[str, Edit] = {
    TABLE: _edit_table,
    "imagefolder": _edit_imagefolder,
    "coco_json": _edit_coco,
    "xmp": _edit_xmp,
}
HOLD_IMAGES = ("imagefolder", "folders")  # which have the images in them
ANEW = ("openimages_csv",)  # what has a place for all that people say, and is written anew


def read_labels(path: Path, **options: Any) -> Labels:
    """Read labels so that they can be written again.

    Args:
        path: The file or the folder.
        options: Those of `read_listing`, ``format`` among them.
    """
    from tacit.data.formats import recognise

    if not path.exists():
        raise DataError(f"There is nothing at {path}.")
    format = options.pop("format", None) or recognise(path)
    return Labels(path, format, read_listing(path, format=format, **options), options)


def complete_difference(labels: Labels, difference: Difference) -> None:
    """Add what follows from changes in the format that the labels are in."""
    if labels.format == "xmp" and labels.options.get("hierarchy") != "leaf":
        imply_above(difference, labels.listing, labels.path)


def write_repaired(
    labels: Labels,
    difference: Difference,
    out: Path,
    *,
    to: str | None = None,
    suspects: Suspects | None = None,
    force: bool = False,
    beside: bool = False,
) -> Written:
    """Write repaired labels, with ``changes.jsonl`` beside a file or in a folder.

    What was written is read again before it gets its name, and has to say what it should.

    Args:
        labels: The labels as they came in.
        difference: What changes.
        out: Where to write them.
        to: Another format, or a tool of `EXPORTS`; the format that they came in if None.
        suspects: What else may be there, for tools.
        force: Whether what is there may be replaced.
        beside: Whether sidecars are written beside their images, over those that are there.

    """
    if beside:
        if labels.format != "xmp" or to is not None:
            raise UsageError("--beside is for sidecars of images with keywords alone.")
        out = labels.listing.root.parent / f"{labels.listing.root.absolute().name}.sidecars"
    else:
        _check_goal(out, labels, to, force)
    repaired = difference.apply_to(labels.listing)
    with telling(out), partial_beside(out, folder=True) as partial:
        goal = partial / out.name
        if to in EXPORTS:
            written = Written(EXPORTS[to].write(repaired, suspects or {}, goal))
        else:
            written = _write_labels(labels, repaired, difference.changes, goal, to)
        changes = _changes_file(goal)
        _write_changes(changes, difference.changes, _changes_file(labels.path))
        if beside:
            _move_beside(goal, labels.listing.root)
        else:
            _check_classes(partial, out, repaired.classes)
            _move(partial, out, force)
    return written


def _check_goal(out: Path, labels: Labels, to: str | None, force: bool) -> None:
    known = {**EXPORTS, **{name: None for name in FORMATS if is_writable(name)}}
    if to is not None and to not in known:
        raise unknown_name("format to write", to, known)
    if not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent} to write {out.name} in.")
    if out.exists() and labels.path.exists() and os.path.samefile(out, labels.path):
        raise UsageError(f"{out} is where the labels are read from; write them somewhere else.")
    beside = [path for path in (out, _changes_file(out)) if path.exists() or path.is_symlink()]
    if beside and not force:
        raise UsageError(
            f"There is something at {beside[0]} already; choose another --out, or say --force."
        )
    if out.is_dir() and force:
        raise UsageError(f"{out} is a folder, and --force replaces files alone; remove it first.")


def _write_labels(
    labels: Labels, repaired: Listing, changes: Sequence[Change], goal: Path, to: str | None
) -> Written:
    """Write labels where they came from or as another format, and check what is read again."""
    if to is None and labels.format in EDITED:
        notes = EDITED[labels.format](labels, goal, changes)
        written = _check_written(labels, repaired, goal)
        return Written([*notes, *written.notes], written.images)
    format = to or (labels.format if labels.format in ANEW else TABLE)
    if format == TABLE and goal.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"Labels of {labels.format} are not changed in place: what people say of an image has "
            f"no box and no file, and none is invented. They are written as a table, so --out ends "
            f"in {', '.join(SUFFIXES)}; or choose --to."
        )
    notes = write_listing(repaired, goal, format)
    images = None if format in HOLD_IMAGES else repaired.root
    return Written([f"the labels are written anew, as {format}", *notes], images)


def _check_written(labels: Labels, repaired: Listing, goal: Path) -> Written:
    """Read what was written and compare it with what it should say."""
    options = dict(labels.options)
    if labels.format not in HOLD_IMAGES:
        options["images"] = options.get("images") or repaired.root
    notes: list[str] = []
    try:
        read = read_listing(goal, format=labels.format, **options)
        if read.classes != repaired.classes:
            place = goal if goal.is_dir() else goal.parent
            (place / CLASSES).write_text(join_lines(repaired.classes), encoding="utf-8")
            notes.append(f"{CLASSES} lists the classes in their order")
            read = read_listing(goal, format=labels.format, **options)
        if not _says(read, repaired) and not repaired.labels.count(0):
            read = read_listing(goal, format=labels.format, **{**options, "absent": "negative"})
            notes.append("everything is known by now: read it with absent = negative")
    except DataError as error:
        raise DataError(
            f"{labels.path.name} cannot be changed in place, for it would be refused: {error} "
            f"Write another file: --to table --out labels.jsonl."
        ) from error
    if not _says(read, repaired):
        raise DataError(
            f"{labels.path.name} cannot say what it should by changing it in place. Write another "
            f"file: --to table --out labels.jsonl."
        )
    if labels.format in HOLD_IMAGES:
        return Written(notes)
    name, found = repaired.images[0], read.images[0]
    below = name[: len(name) - len(found)] if name.endswith(found) else ""
    return Written(notes, repaired.root / below)


def _says(read: Listing, wanted: Listing) -> bool:
    """Whether labels are those that were wanted; names may begin at another folder."""
    if read.classes != wanted.classes or len(read) != len(wanted):
        return False
    pairs = zip(read.images, wanted.images, strict=True)
    same = all(one == two or f"/{two}".endswith(f"/{one}") for one, two in pairs)
    return same and list(read.splits) == list(wanted.splits) and read.labels.equals(wanted.labels)


def _changes_file(path: Path) -> Path:
    """Return where the changes of labels are told: in their folder, or beside their file."""
    if path.is_dir() or not path.suffix:
        return path / CHANGES
    return path.with_name(f"{path.name}.{CHANGES}")


def read_changes(path: Path) -> Iterator[dict[str, Any]]:
    """Read the changes that were told of labels; none where nothing was told."""
    file = _changes_file(path)
    if not file.is_file():
        return
    for number, line in enumerate(split_lines(read_text(file)), 1):
        try:
            said = json.loads(line)
            yield {**said, "image": said["image"], "class": said["class"]}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file}, line {number}, tells no change of a label.") from error


def _write_changes(path: Path, changes: Sequence[Change], earlier: Path) -> None:
    """Write what was told of the labels before, and what changes now, a line each."""
    before = read_text(earlier) if earlier.is_file() else ""
    lines = [json.dumps(change.to_dict(), ensure_ascii=False) + "\n" for change in changes]
    path.write_bytes((before + "".join(lines)).encode())


def _check_classes(partial: Path, out: Path, classes: Sequence[str]) -> None:
    """Refuse a folder in which other classes are listed than those of the labels."""
    listed = out.parent / CLASSES
    there = out.suffix.lower() in SUFFIXES and listed.is_file()
    if there and not (partial / CLASSES).exists() and read_lines(listed) != list(classes):
        raise UsageError(f"{listed} lists classes of other labels; choose another folder.")


def _move(partial: Path, out: Path, force: bool) -> None:
    """Give everything its name, the labels last."""
    for entry in sorted(partial.iterdir(), key=lambda entry: entry.name == out.name):
        target = out.parent / entry.name
        if target.exists() and entry.name == CLASSES:
            if target.read_bytes() != entry.read_bytes():
                raise UsageError(f"{target} lists classes of other labels; choose another folder.")
            continue
        if target.exists() and not force:
            raise UsageError(f"There is something at {target} already; choose another --out.")
        entry.replace(target)


def _move_beside(written: Path, root: Path) -> None:
    """Put sidecars beside their images, each as a whole, and what changed last."""
    files = [file for file in written.rglob("*") if file.is_file()]
    for file in sorted(files, key=lambda file: (file.name == CHANGES, file)):
        file.replace(root / file.relative_to(written))
