"""CVAT's XML "for images" 1.1: tags and shapes of each image.

Nobody says which classes an annotator was asked for, so what is not marked is unknown unless told
otherwise.
"""

from __future__ import annotations

from pathlib import Path

from tacit.data.formats import Match
from tacit.data.formats.shared.assemble import Cells, assemble, place_names
from tacit.data.formats.shared.json_files import numbers
from tacit.data.formats.shared.objects import Objects
from tacit.data.formats.shared.xml_files import names_at_the_beginning, walk
from tacit.data.listing import Absent, Listing
from tacit.errors import DataError

FILE = "annotations.xml"
SHAPES = frozenset(
    ("box", "polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton")
)
EDGES = ("xtl", "ytl", "xbr", "ybr")


def recognise(path: Path) -> Match | None:
    """Say why a path looks like an export of CVAT."""
    file = path / FILE if path.is_dir() else path
    if file.suffix.lower() != ".xml" or not file.is_file():
        return None
    seen = names_at_the_beginning(file)
    told = seen & {("annotations", "image"), ("annotations", "track"), ("annotations", "meta")}
    return Match("XML of annotations for images") if told else None


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
) -> Listing:
    """Read a file, or the folder of an export that was unpacked.

    Args:
        path: The file, or the folder with ``annotations.xml``.
        images: Folder of the images; looked for beside the file if None.
        absent: What it means that a class is not marked in an image.
        name: What the set is called; the file's or folder's name if None.
    """
    file = path / FILE if path.is_dir() else path
    export = _Export(file)
    walk(file, export.start, export.end)
    cells = Cells(str(path), absent)
    export.objects.put_into(cells)
    if export.unlabelled:
        cells.notes.append(f"{export.unlabelled} shapes without a label are left out")
    subsets = set(export.subsets)
    splits = export.subsets if len(subsets) > 1 and "" not in subsets else None
    classes = list(dict.fromkeys(export.classes))
    missing = sorted(cells.names() - set(classes)) if classes else []
    placed = place_names(export.images, file.parent, images)
    return assemble(cells, name or path.stem, placed, splits, [*classes, *missing])


class _Export:
    """What is gathered while an export is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: list[str] = []
        self.subsets: list[str] = []
        self.classes: list[str] = []
        self.objects = Objects()
        self.unlabelled = 0

    def start(self, names: tuple[str, ...], attributes: dict[str, str]) -> None:
        if names[0] != "annotations":
            raise DataError(f"{self.path} is no export of CVAT: it begins with <{names[0][:40]}>.")
        if names == ("annotations", "track"):
            raise DataError(
                f"{self.path} has tracks of a video; export it as 'CVAT for images 1.1'."
            )
        if names == ("annotations", "image"):
            if not attributes.get("name"):
                raise DataError(f"{self.path} has an image without a name.")
            self.images.append(attributes["name"])
            self.subsets.append(attributes.get("subset", ""))
        elif names[:2] == ("annotations", "image") and len(names) == 3:
            self._shape(names[2], attributes)

    def _shape(self, kind: str, attributes: dict[str, str]) -> None:
        if kind != "tag" and kind not in SHAPES:
            return
        label = attributes.get("label")
        if not label:
            self.unlabelled += 1
            return
        edges = [attributes.get(edge) for edge in EDGES]
        corners = numbers(edges, 4, str(self.path)) if kind == "box" else None
        self.objects.add(len(self.images) - 1, label, corners)

    def end(self, names: tuple[str, ...], text: str) -> None:
        if names[:2] != ("annotations", "meta") or names[-2:-1] != ("label",):
            return
        if names[-1] == "name":
            self.classes.append(text)
        elif names[-1] == "parent" and text and self.classes:  # a point of a skeleton
            self.classes.pop()
