"""PASCAL VOC's XML: a file for each image in Annotations, image sets in ImageSets/Main.

VOC's annotators looked for all of their classes; others did not. A class without an object is
unknown unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tacit.data.formats import Match
from tacit.data.formats.shared.assemble import Cells, assemble, place_names
from tacit.data.formats.shared.json_files import numbers
from tacit.data.formats.shared.objects import Objects
from tacit.data.formats.shared.xml_files import walk
from tacit.data.listing import Absent, Listing
from tacit.data.split_names import is_split_name
from tacit.errors import DataError, UsageError
from tacit.names import read_lines

FOLDER, SETS = "Annotations", Path("ImageSets", "Main")
EDGES = ("xmin", "ymin", "xmax", "ymax")
Difficult = Literal["positive", "unknown", "absent"]
STATES: dict[str, int] = {"positive": 1, "unknown": 0, "absent": -1}


def recognise(path: Path) -> Match | None:
    """Say why a path looks like VOC's folders."""
    found = next((path / FOLDER).glob("*.xml"), None) if path.is_dir() else None
    return Match(f"a folder with {FOLDER}/*.xml") if found else None


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    difficult: Difficult = "unknown",
    classes: Sequence[str] | None = None,
) -> Listing:
    """Read the annotations of the images that are in a set, or of all if there are no sets.

    Args:
        path: The folder that holds ``Annotations``.
        images: Folder of the images; ``JPEGImages`` beside the annotations if None.
        absent: What it means that a class has no object in an image.
        name: What the set is called; the folder's name if None.
        difficult: What a class is in an image where all its objects are marked as difficult.
        classes: Class names in order.
    """
    if difficult not in STATES:
        raise UsageError(f"difficult is positive, unknown or absent, not {difficult}.")
    splits = _sets(path)
    files = {file.stem: file for file in sorted((path / FOLDER).glob("*.xml"))}
    if not files:
        raise DataError(f"{path} has no {FOLDER}/*.xml.")
    cells, objects, doubtful = Cells(str(path), absent), Objects(), Objects()
    stems = [stem for stem in splits or files if stem in files]
    names = []
    for row, stem in enumerate(stems):
        names.append(_read_file(files[stem], row, objects, doubtful))
    if splits:
        missing, idle = len(splits.keys() - files.keys()), len(files.keys() - splits.keys())
        cells.notes.append(
            f"{missing} images of {SETS} have no annotations, and {idle} annotated images are in "
            f"no set; both are left out"
        )
    objects.put_into(cells)
    only = doubtful.drop_classes_of(objects)
    only.put_into(cells, STATES[difficult])
    cells.notes.append(f"where all of a class's objects are difficult ({len(only)}): {difficult}")
    return assemble(
        cells,
        name or path.name,
        place_names(names, path, images),
        [splits[stem] for stem in stems] if splits else None,
        classes or (),
        beside=path,
    )


def _sets(path: Path) -> dict[str, str]:
    """Return each image's split, as far as there are lists of images called like splits."""
    folder = path / SETS
    named = {file.stem: file for file in sorted(folder.glob("*.txt")) if is_split_name(file.stem)}
    if {"train", "val"} <= named.keys():
        named.pop("trainval", None)  # these two together
    splits: dict[str, str] = {}
    for split, file in named.items():
        for line in read_lines(file):
            if splits.setdefault(line.split()[0], split) != split:
                raise DataError(f"{file} lists an image that is in another set, too: {line[:60]}.")
    return splits


def _read_file(path: Path, row: int, objects: Objects, doubtful: Objects) -> str:
    """Add an image's objects, and return its file's name."""
    said: dict[str, str] = {}
    inside: dict[str, str] = {}

    def start(names: tuple[str, ...], _: dict[str, str]) -> None:
        if names[0] != "annotation":
            raise DataError(f"{path} is no annotation of VOC: it begins with <{names[0][:40]}>.")
        if names == ("annotation", "object"):
            inside.clear()

    def end(names: tuple[str, ...], text: str) -> None:
        if names == ("annotation", "object"):
            difficult = inside.get("difficult") == "1"
            (doubtful if difficult else objects).add(row, _name(inside, path), _box(inside, path))
        elif names[:2] == ("annotation", "object"):
            # The parts of an object have names and boxes of their own.
            inside["/".join(names[2:])] = text
        elif names == ("annotation", "filename"):
            said["filename"] = text

    walk(path, start, end)
    named = Path(said.get("filename") or path.stem).name
    return named if Path(named).suffix else f"{path.stem}.jpg"


def _name(inside: dict[str, str], path: Path) -> str:
    if not inside.get("name"):
        raise DataError(f"{path} has an object without a name.")
    return inside["name"]


def _box(inside: dict[str, str], path: Path) -> list[float] | None:
    edges = [inside[f"bndbox/{edge}"] for edge in EDGES if f"bndbox/{edge}" in inside]
    return numbers(edges, 4, str(path)) if edges else None
