"""Keywords of images as photo managers keep them: in XMP sidecars, or in the images themselves.

Somebody put a keyword on an image for what it shows; what else it shows, nobody said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from tacit.data.formats import CONTENT, KIND, SHAPE, Match
from tacit.data.formats.folders import TABLES
from tacit.data.formats.shared.assemble import Cells, assemble
from tacit.data.formats.shared.folders import is_image, list_folders, list_image_files
from tacit.data.formats.shared.objects import Objects
from tacit.data.formats.shared.xml_files import make_parser, parse
from tacit.data.listing import Absent, Listing
from tacit.data.open_image import open_undecoded
from tacit.errors import DataError, UsageError

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
ITEM = f"{RDF} li"
# Each by its namespace and its name in it, as expat says it.
SUBJECT = "http://purl.org/dc/elements/1.1/ subject"
TAGS = "http://www.digikam.org/ns/1.0/ TagsList"
TREE = "http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject"
ABSENT = "urn:tacit:labels# absent"
# What stands between the steps of a path, from the most general keyword down.
STEPS = {TAGS: "/", TREE: "|"}
INTERNAL = "_Digikam"  # what digiKam notes for itself
SUFFIX = ".xmp"
FEW, GLANCE, LARGEST = 16, 2000, 1 << 26
Hierarchy = Literal["ancestors", "leaf"]


@dataclass
class Keywords:
    """The keywords of one image, as each property lists them."""

    items: dict[str, list[str]] = field(default_factory=dict)

    def paths(self) -> list[list[str]]:
        """Return the keywords that are paths, step by step."""
        split = [
            [step.strip() for step in text.split(sign) if step.strip()]
            for name, sign in STEPS.items()
            for text in self.items.get(name, ())
        ]
        return [steps for steps in split if steps and not steps[0].startswith(INTERNAL)]

    def present(self, hierarchy: Hierarchy = "ancestors") -> list[str]:
        """Return the classes that are there, each once."""
        paths = self.paths()
        above = [step for steps in paths for step in steps[:-1]]
        leaves = [steps[-1] for steps in paths]
        flat = [text for text in self.items.get(SUBJECT, ()) if text]
        if hierarchy == "leaf":
            flat = [text for text in flat if text not in above]
            above = []
        return list(dict.fromkeys([*flat, *leaves, *above]))


def read_keywords(content: bytes, where: Path) -> Keywords:
    """Read the keywords of an XMP packet; no items where it has no place for keywords."""
    keywords = Keywords()
    known = {SUBJECT, TAGS, TREE, ABSENT}

    def start(names: tuple[str, ...], _: dict[str, str]) -> None:
        if names[-1] in known:
            keywords.items.setdefault(names[-1], [])

    def end(names: tuple[str, ...], text: str) -> None:
        if names[-1] == ITEM and len(names) > 2 and names[-3] in known and text:
            keywords.items[names[-3]].append(text)

    parse(make_parser(where, start, end, namespaces=True), content.strip(b"\0"), where)
    return keywords


def read_packet(image: Path) -> bytes:
    """Return the XMP packet in an image; nothing where there is none, or no image."""
    try:
        with open_undecoded(image) as opened:
            packet = opened.info.get("xmp", b"")
            return packet if isinstance(packet, bytes) else str(packet).encode()
    except Exception:  # decoders raise whatever they like; `tacit check` says what is wrong with it
        return b""


def recognise(path: Path) -> Match | None:
    """Say why a path looks like images with keywords."""
    if not path.is_dir():
        return None
    files = list(islice(_list_files(path), GLANCE))
    sidecars = [file for file in files if file.suffix.lower() == SUFFIX]
    if any(_says_keywords(file) for file in sidecars[:FEW]):
        return Match("sidecars with keywords", CONTENT)
    if any(next(path.glob(f"*.{suffix}"), None) for suffix in TABLES):
        return None
    images = [file for file in files if is_image(file.name)]
    if not any(_says_keywords(file) for file in images[:: len(images) // FEW + 1]):
        return None
    # Images for training have keywords as well; but folders of years are no classes.
    years = all(re.match(r"\d{4}(?!\d)", folder.name) for folder in list_folders(path))
    return Match("images with keywords in them", KIND if years else SHAPE - 1)


def _list_files(path: Path) -> Iterator[Path]:
    for folder, inside, names in os.walk(path):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names))


def _says_keywords(file: Path) -> bool:
    """Whether there are keywords in a sidecar or in an image."""
    try:
        if file.suffix.lower() == SUFFIX:
            return any(read_sidecar(file).items.values())
        packet = read_packet(file)
        return bool(packet) and any(read_keywords(packet, file).items.values())
    except (DataError, OSError):
        return False


def read_sidecar(file: Path) -> Keywords:
    """Read the keywords of a sidecar."""
    if file.stat().st_size > LARGEST:
        raise DataError(f"{file} is too large for a sidecar of an image.")
    return read_keywords(file.read_bytes(), file)


def find_sidecars(folder: Path) -> dict[str, Path]:
    """Return all sidecars below a folder by their path in small letters."""
    files = (file for file in _list_files(folder) if file.suffix.lower() == SUFFIX)
    return {file.relative_to(folder).as_posix().lower(): file for file in files}


def sidecars_of(image: str, sidecars: dict[str, Path]) -> list[Path]:
    """Return the sidecars that may belong to an image: ``a.jpg.xmp`` before ``a.xmp``."""
    names = (f"{image}{SUFFIX}".lower(), f"{os.path.splitext(image)[0]}{SUFFIX}".lower())
    return [sidecars[name] for name in names if name in sidecars]


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    hierarchy: Hierarchy = "ancestors",
    classes: Sequence[str] | None = None,
) -> Listing:
    """Read the keywords of all images in a folder.

    The first that has a place for keywords counts: ``a.jpg.xmp``, ``a.xmp``, the image itself.

    Args:
        path: The folder of images, of sidecars, or of both.
        images: The folder of the images, where sidecars lie in another one; what these do not say
            is read beside the images.
        absent: What it means that an image does not have a keyword.
        name: What the set is called; the folder's name if None.
        hierarchy: "ancestors" takes every step of a path such as ``animal|dog`` for a class, "leaf"
            the last one alone.
        classes: Class names in order.
    """
    if hierarchy not in ("ancestors", "leaf"):
        raise UsageError(f"hierarchy is ancestors or leaf, not {hierarchy}.")
    root = images or path
    rows = [file.relative_to(root).as_posix() for file in list_image_files(root)]
    if not rows:
        raise DataError(f"{path} has no images whose keywords could be read.")
    places = [find_sidecars(folder) for folder in dict.fromkeys((path, root))]
    objects, absents = Objects(), Objects()
    beside = inside = 0
    for row, image in enumerate(rows):
        found, is_sidecar = _read_image(image, root, places)
        beside += is_sidecar
        inside += bool(found.items) and not is_sidecar
        for label in found.present(hierarchy):
            objects.add(row, label)
        for label in found.items.get(ABSENT, ()):
            absents.add(row, label)
    if not len(objects) and not len(absents):
        raise DataError(f"{path} has {len(rows):,} images and none of them has a keyword.")
    cells = Cells(str(path), absent)
    objects.put_into(cells)
    absents.drop_classes_of(objects).put_into(cells, -1)
    none = len(rows) - beside - inside
    cells.notes.append(
        f"keywords of {beside:,} images are those of sidecars, of {inside:,} those in the images; "
        f"{none:,} have no place for keywords"
    )
    return assemble(cells, name or path.name, (root, rows), None, classes or (), beside=path)


def _read_image(image: str, root: Path, places: list[dict[str, Path]]) -> tuple[Keywords, bool]:
    """Return an image's keywords, and whether they are those of a sidecar."""
    for sidecars in places:
        for file in sidecars_of(image, sidecars):
            found = read_sidecar(file)
            if found.items:
                return found, True
    packet = read_packet(root / image)
    try:
        return read_keywords(packet, root / image) if packet else Keywords(), False
    except DataError:  # nobody can mend what a camera wrote
        return Keywords(), False
