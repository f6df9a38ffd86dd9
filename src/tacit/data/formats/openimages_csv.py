"""Open Images' CSV: a row for each label of an image that a person was asked about.

Confidence 1 says that the class is there, 0 that it is not. Whatever nobody was asked about is
unknown.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from tacit.data.formats import Match
from tacit.data.formats.shared.assemble import Cells, assemble, find_folder
from tacit.data.formats.shared.json_files import read_text
from tacit.data.formats.shared.writing import (
    describe_left_out,
    file_name,
    name_rows,
    refuse_existing,
    refuse_odd_names,
    write_classes,
    writing_folder,
)
from tacit.data.formats.table.files import read_first_line
from tacit.data.listing import Absent, Listing
from tacit.data.split_names import is_split_name
from tacit.errors import DataError
from tacit.files import write_atomically
from tacit.names import csv_writer

COLUMNS = ("ImageID", "LabelName", "Confidence")
HEADER = ("ImageID", "Source", "LabelName", "Confidence")
NAMES = "*class-descriptions*.csv"
ENDING = "-annotations-human-imagelabels"


def recognise(path: Path) -> Match | None:
    """Say why a path looks like Open Images' labels."""
    if path.is_file():
        return Match(f"CSV with {', '.join(COLUMNS)}") if _is_labels(path) else None
    return next((Match(f"a folder with {file.name}") for file in _files(path)), None)


def _is_labels(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and set(COLUMNS) <= set(read_first_line(path))


def _files(folder: Path) -> list[Path]:
    """Return the files of human labels in a folder; those of machines and of boxes are others."""
    found = [file for file in sorted(folder.glob("*.csv")) if "machine" not in file.name]
    return [file for file in found if _is_labels(file) and "XMin" not in read_first_line(file)]


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    suffix: str = ".jpg",
    classes: Sequence[str] | None = None,
) -> Listing:
    """Read a file of human labels, or a folder with one for each split.

    Classes are called as ``class-descriptions.csv`` beside the labels says.

    Args:
        path: The file or the folder.
        images: Folder of the images, perhaps with a folder for each split; looked for beside the
            labels if None.
        absent: What it means that nobody was asked about a class.
        name: What the set is called; the file's or folder's name if None.
        suffix: What stands behind an image's ID in its file's name.
        classes: Class names in order.
    """
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} has no CSV file with {', '.join(COLUMNS)}.")
    root = path if path.is_dir() else path.parent
    cells = Cells(str(path), absent)
    called = _read_descriptions(root)
    rows: list[str] = []
    splits: list[str] = []
    for file in files:
        split = file.stem.partition(ENDING)[0] if ENDING in file.stem else file.stem
        split = split if len(files) > 1 else next((p for p in [split] if is_split_name(p)), "")
        names = _read_file(file, cells, called, len(rows))
        named = [f"{name}{suffix}" for name in names]
        top = images or root
        folder = find_folder(named, top, images if images else None, [split] if split else [])
        below = folder.relative_to(top).as_posix()
        rows += named if below == "." else [f"{below}/{image}" for image in named]
        splits += [split] * len(named)
    several = splits if len(files) > 1 else None
    return assemble(
        cells, name or path.stem, (images or root, rows), several, classes or (), beside=root
    )


def _read_descriptions(folder: Path) -> dict[str, str]:
    """Return what the classes are called; where two are called alike, with their ID."""
    called: dict[str, str] = {}
    for file in sorted(folder.glob(NAMES)):
        try:
            for row in csv.reader(io.StringIO(read_text(file))):
                if len(row) > 1 and row[:2] != ["LabelName", "DisplayName"]:
                    called[row[0]] = row[1].strip() or row[0]
        except csv.Error as error:
            raise DataError(f"{file} cannot be read: {error}.") from error
    counts = Counter(called.values())
    return {key: name if counts[name] == 1 else f"{name} ({key})" for key, name in called.items()}


def _read_file(path: Path, cells: Cells, called: dict[str, str], first: int) -> list[str]:
    """Add a file's labels, and return the IDs of its images in the order of their first row."""
    types = {"ImageID": pa.string(), "LabelName": pa.string(), "Confidence": pa.float64()}
    try:
        table = arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(types), column_types=types
            ),
        )
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read: {str(error).partition(chr(10))[0]}") from error
    confidence = table["Confidence"].to_numpy()
    strange = ~np.isin(confidence, (0.0, 1.0))
    if strange.any():
        raise DataError(
            f"{path}: {int(strange.sum()):,} rows have a confidence other than 0 and 1, which "
            f"labels of people have. Is it a file of machine labels?"
        )
    images = table["ImageID"].combine_chunks().dictionary_encode()
    labels = table["LabelName"].combine_chunks().dictionary_encode()
    names = [called.get(label, label) for label in labels.dictionary.to_pylist()]
    rows = first + images.indices.to_numpy().astype(np.int64)
    which = labels.indices.to_numpy().astype(np.int64)
    for value, state in ((1.0, 1), (0.0, -1)):
        chosen = confidence == value
        cells.add(rows[chosen], names, which[chosen], state)
    found: list[str] = images.dictionary.to_pylist()
    return found


def write(listing: Listing, path: Path) -> list[str]:
    """Write a file, or a folder with a file for each split if there are splits."""
    refuse_odd_names(listing)
    suffix = Path(listing.images[0]).suffix
    others = [name for name in listing.images if not name.endswith(suffix) or name == suffix]
    if others:
        raise DataError(
            f"Open Images' labels name images by an ID and one suffix for all, and "
            f"{len(others)} images do not end in '{suffix}', first '{others[0]}'. Write a table."
        )
    known = listing.labels.per_image(1) + listing.labels.per_image(-1)
    if not known.all():
        raise DataError(
            f"Open Images' labels have no place for {int((known == 0).sum())} images of "
            f"'{listing.name}' of which nothing is known. Write a table."
        )
    notes = describe_left_out(listing)
    if suffix != ".jpg":
        notes.append(f'read it with suffix = "{suffix}"')
    if not listing.splits:
        refuse_existing(path)
        notes += write_classes(path.parent, listing, (1, -1))
        write_atomically(path, lambda target: _write(target, listing, suffix))
        return notes
    with writing_folder(path) as folder:
        for split, rows in zip(listing.split_names(), listing.rows_by_split(), strict=True):
            some = Listing(
                "",
                listing.root,
                [listing.images[row] for row in rows],
                listing.classes,
                listing.labels.take(rows),
            )
            _write(folder / f"{file_name(split)}{ENDING}.csv", some, suffix)
        notes += write_classes(folder, listing, (1, -1))
    return notes


def _write(path: Path, listing: Listing, suffix: str) -> None:
    labels, classes = listing.labels, listing.classes
    with path.open("w", encoding="utf-8", newline="") as file:
        write_row = csv_writer(file)
        write_row(HEADER)
        present, absent = (name_rows(labels, classes, state) for state in (1, -1))
        for image, there, not_there in zip(listing.images, present, absent, strict=True):
            for confidence, names in ((1, there), (0, not_there)):
                for name in names:
                    write_row((image.removesuffix(suffix), "verification", name, confidence))
