"""YOLO's folders: images beside labels, a text file for each image, and data.yaml.

An empty text file says that somebody looked and found nothing; where there is none, nobody looked.
Otherwise a class without a box is unknown unless told otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tacit.data.formats import Match
from tacit.data.formats.shared.assemble import Cells, assemble
from tacit.data.formats.shared.folders import list_image_files
from tacit.data.formats.shared.json_files import numbers, read_head, read_text
from tacit.data.formats.shared.objects import Objects
from tacit.data.listing import Absent, Listing
from tacit.data.open_image import read_size
from tacit.data.split_names import is_split_name
from tacit.errors import DataError
from tacit.names import read_lines

FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
IMAGES, LABELS, CLASSES = "images", "labels", "classes.txt"
SPLITS = ("train", "val", "test")
LONGEST = 5_000_000
_NAMES = re.compile(r"^[\"']?names[\"']?\s*:", re.MULTILINE)


def recognise(path: Path) -> Match | None:
    """Say why a path looks like YOLO's folders."""
    file = _description(path)
    if file is not None:
        known = file.suffix.lower() in (".yaml", ".yml") and _NAMES.search(read_head(file)[0])
        return Match(f"{file.name} with names") if known else None
    if path.is_dir() and any(_labels_beside(path)):
        return Match(f"{IMAGES} and {LABELS} with a text file for each image")
    return None


def _description(path: Path) -> Path | None:
    if path.is_dir():
        return next((path / name for name in FILES if (path / name).is_file()), None)
    return path


def _labels_beside(path: Path) -> Iterator[Path]:
    """Find folders of text files that mirror folders of images."""
    for folder in (path, *(inner for inner in sorted(path.iterdir()) if is_split_name(inner.name))):
        if (folder / IMAGES).is_dir() and (folder / LABELS).is_dir():
            yield from (folder / LABELS).glob("**/*.txt")


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    boxes: bool = False,
) -> Listing:
    """Read ``data.yaml`` and the text files, or folders called ``images`` and ``labels``.

    Args:
        path: ``data.yaml``, or the folder it is in, or a folder without it but with
            ``classes.txt``.
        images: The folder that ``data.yaml`` is about, if it was moved.
        absent: What it means that a class has no box in an image. If absent means negative, images
            without a text file are left out.
        name: What the set is called; the folder's name if None.
        boxes: Read where objects are. Every image is opened for it, because its size is needed.
    """
    file = _description(path)
    home = path if path.is_dir() else path.parent
    if file is not None:
        document = _read_yaml(file)
        classes = _classes(document, file)
        base = images or _base(document, home)
        allowed = [home, *([images] if images is not None else [])]
        found = {
            split: _list_images(document.get(split), base, home, file, allowed) for split in SPLITS
        }
    else:
        if not (home / CLASSES).is_file():
            raise DataError(f"{path} has neither {FILES[0]} nor {CLASSES}, which name the classes.")
        classes = dict(enumerate(read_lines(home / CLASSES)))
        base = images or home
        found = _find_images(base)
    found = {split: files for split, files in found.items() if files}
    files = [file for listed in found.values() for file in listed]
    if not files:
        raise DataError(f"{path} leads to no images.")
    splits = [split for split, listed in found.items() for _ in listed]
    cells = Cells(str(path), absent)
    kept = _read_labels(cells, files, classes, boxes)
    root = Path(os.path.commonpath([base.absolute(), *{file.absolute().parent for file in files}]))
    rows = [files[row].absolute().relative_to(root).as_posix() for row in kept]
    several = [splits[row] for row in kept] if len(found) > 1 else None
    return assemble(cells, name or base.name, (root, rows), several, list(classes.values()))


def _read_yaml(path: Path) -> dict[str, Any]:
    text = read_text(path)
    if len(text) > LONGEST:
        raise DataError(f"{path} is too long for a description of a data set.")
    try:
        # This loader makes nothing but texts, lists and mappings: "no" stays a class's name.
        document = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"{path} is not readable as YAML: {first}") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} does not describe a data set: it has no names.")
    return document


def _classes(document: dict[str, Any], path: Path) -> dict[int, str]:
    names = document.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    try:
        found = {int(number): name for number, name in names.items()} if names else {}
    except (AttributeError, TypeError, ValueError):
        found = {}
    if not found or not all(isinstance(name, str) for name in found.values()):
        raise DataError(f"{path} has no names: a list of classes, or a name for each number.")
    return dict(sorted(found.items()))


def _base(document: dict[str, Any], home: Path) -> Path:
    """Return the folder that paths are relative to; what it says may be of another machine."""
    said = document.get("path")
    folder = home / said if isinstance(said, str) else home
    return folder if _is_folder(folder) else home


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _list_images(said: Any, base: Path, home: Path, file: Path, allowed: list[Path]) -> list[Path]:
    """Return the images of a split: of a folder, of a list in a file, or of several of these."""
    if not said:
        return []
    entries = said if isinstance(said, list) else [said]
    if not all(isinstance(entry, str) for entry in entries):
        raise DataError(f"{file}: train, val and test are paths or lists of paths.")
    files: list[Path] = []
    for entry in entries:
        # Some exports say ../train/images and mean the folder beside the file.
        places = [base / entry, home / entry, home / entry.removeprefix("../")]
        inside = [place for place in places if _is_below(place, allowed)]
        folder = next((place for place in inside if _is_folder(place)), None)
        listed = next((place for place in inside if _is_list(place)), None)
        if folder is not None:
            files += list_image_files(folder)
        elif listed is not None:
            named = [listed.parent / line for line in read_lines(listed)]
            outside = [line for line in named if not _is_below(line, allowed)]
            if outside:
                raise _leads_out(f"{listed} names '{str(outside[0])[:200]}'", home)
            files += named
        elif any(_is_folder(place) or _is_list(place) for place in places):
            raise _leads_out(f"{file} names '{entry[:200]}'", home)
        else:
            raise DataError(f"{file} names '{entry[:200]}', and there is nothing at {base}.")
    return files


def _is_below(path: Path, folders: list[Path]) -> bool:
    """Say whether a path is below one of some folders as it is written; links may lead on."""
    plain = Path(os.path.normpath(path.absolute()))
    return any(plain.is_relative_to(os.path.normpath(folder.absolute())) for folder in folders)


def _leads_out(what: str, home: Path) -> DataError:
    """A description comes with its data, and nobody wants it to walk through the whole disk."""
    return DataError(
        f"{what}, which leads out of {home}; if the images are elsewhere, name their folder "
        f"yourself: --set data.options.images=FOLDER, or images=FOLDER."
    )


def _is_list(path: Path) -> bool:
    try:
        return path.suffix == ".txt" and path.is_file()
    except (OSError, ValueError):
        return False


def _find_images(base: Path) -> dict[str, list[Path]]:
    """Return the images of folders without a description file."""
    inner = {folder.name: folder for folder in sorted(base.iterdir()) if is_split_name(folder.name)}
    folders = {split: folder / IMAGES for split, folder in inner.items()}
    below = base / IMAGES
    if below.is_dir():
        folders = {
            folder.name: folder for folder in sorted(below.iterdir()) if is_split_name(folder.name)
        }
        if not folders:
            return {"": list_image_files(below)}
    return {split: list_image_files(folder) for split, folder in folders.items() if folder.is_dir()}


def _read_labels(
    cells: Cells, files: list[Path], classes: dict[int, str], boxes: bool
) -> list[int]:
    """Add the objects of all images, and return which images are kept."""
    objects, bare = Objects(), 0
    kept: list[int] = []
    for number, file in enumerate(files):
        labels = _label_file(file)
        if not labels.is_file():
            bare += 1
            if cells.rest == "negative":
                continue
        else:
            size = read_size(file) if boxes else None
            for line, text in enumerate(read_text(labels).split("\n"), 1):
                if text.strip():
                    _add(objects, len(kept), text.split(), classes, size, f"{labels}, line {line}")
        kept.append(number)
    objects.put_into(cells)
    if bare:
        fate = "left out" if cells.rest == "negative" else "unknown in every class"
        cells.notes.append(f"{bare:,} images have no text file: nobody looked, they are {fate}")
    if not kept:
        raise DataError(f"{cells.where}: none of {len(files):,} images has a text file.")
    return kept


def _label_file(image: Path) -> Path:
    """Return the text file of an image: below ``labels`` where it is below ``images``."""
    steps = list(image.parts)
    for place in range(len(steps) - 2, -1, -1):
        if steps[place] == IMAGES:
            steps[place] = LABELS
            break
    return Path(*steps).with_suffix(".txt")


def _add(
    objects: Objects,
    row: int,
    words: list[str],
    classes: dict[int, str],
    size: tuple[int, int] | None,
    where: str,
) -> None:
    name = classes.get(int(words[0])) if words[0].isdecimal() and len(words[0]) < 10 else None
    if name is None:
        raise DataError(
            f"{where}: '{words[0][:20]}' is no number of a class; there are {len(classes)}."
        )
    corners = None
    if size is not None and len(words) > 1:
        # A box and perhaps a score, or the outline of a shape.
        outline = len(words) > 6 and len(words) % 2 == 1
        values = numbers(
            words[1:] if outline else words[1:5], len(words) - 1 if outline else 4, where
        )
        across, down = values[0::2], values[1::2]
        if not outline:
            (x, width), (y, height) = across, down
            across, down = [x - width / 2, x + width / 2], [y - height / 2, y + height / 2]
        corners = [min(across) * size[0], min(down) * size[1]]
        corners += [max(across) * size[0], max(down) * size[1]]
    objects.add(row, name, corners)
