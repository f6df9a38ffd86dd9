"""Label Studio's JSON export: choices, taxonomies, boxes and other regions of each task.

Annotators may have been asked for one class only, so what they did not choose is unknown unless
told otherwise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tacit.data.formats import Match
from tacit.data.formats.shared.assemble import Cells, assemble, find_folder, place_names
from tacit.data.formats.shared.folders import is_image
from tacit.data.formats.shared.json_files import numbers, read_json, read_outline, words
from tacit.data.formats.shared.objects import Objects
from tacit.data.listing import Absent, Listing
from tacit.errors import DataError

ANSWERS = frozenset(("annotations", "completions"))  # the second is what old versions say
SHAPES = ("rectangle", "polygon", "ellipse", "brush", "keypoint", "vector")
KINDS = frozenset(("choices", "taxonomy", "labels", *(f"{shape}labels" for shape in SHAPES)))


def recognise(path: Path) -> Match | None:
    """Say why a path looks like an export of Label Studio."""
    seen = read_outline(path) if path.is_file() and path.suffix.lower() == ".json" else None
    if seen is None or seen.kind != "list" or "data" not in seen.keys or not seen.keys & ANSWERS:
        return None
    return Match("a JSON list of tasks with annotations")


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    image_key: str | None = None,
    control: str | None = None,
    classes: Sequence[str] | None = None,
) -> Listing:
    """Read the annotations of all annotators; what one of them saw is there.

    Args:
        path: The exported file, as JSON (not JSON-MIN).
        images: Folder of the images; looked for beside the file if None.
        absent: What it means that nobody chose a class. If absent means negative, tasks without
            annotations are left out.
        name: What the set is called; the file's name if None.
        image_key: The name in ``data`` under which a task has its image.
        control: Only what was chosen with this control (``from_name``).
        classes: Class names in order.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{path} is no export of Label Studio: it should be a list of tasks.")
    cells, reading = Cells(str(path), absent), _Reading(str(path), control)
    key = image_key or _image_key(tasks, str(path))
    addresses: list[str] = []
    bare = 0
    for task in tasks:
        answers = _answers(task, str(path))
        bare += not answers
        if answers or cells.rest == "unknown":
            addresses.append(_address(task, key, str(path)))
            for answer in answers:
                reading.add(len(addresses) - 1, answer)
    reading.objects.put_into(cells)
    if bare:
        fate = "unknown in every class" if cells.rest == "unknown" else "left out"
        cells.notes.append(f"{bare:,} tasks have no annotations; they are {fate}")
    if reading.others:
        cells.notes.append(f"{sum(reading.others.values()):,} answers of other kinds are left out")
    placed = place_names(_file_names(addresses, path.parent, images), path.parent, images)
    return assemble(cells, name or path.stem, placed, None, classes or (), beside=path.parent)


def _answers(task: dict[str, Any], where: str) -> list[Any]:
    """Return the results of all annotations of a task that were not skipped."""
    found = task.get("annotations", task.get("completions", []))
    if not isinstance(found, list) or not all(isinstance(answer, dict) for answer in found):
        raise DataError(f"{where} has a task whose annotations are no list.")
    return [answer.get("result") for answer in found if not answer.get("was_cancelled")]


class _Reading:
    """Turns results into objects."""

    def __init__(self, where: str, control: str | None) -> None:
        self.where, self.control = where, control
        self.objects = Objects()
        self.others: Counter[str] = Counter()

    def add(self, row: int, results: Any) -> None:
        if not isinstance(results, list):
            raise DataError(f"{self.where} has an annotation without a list called 'result'.")
        for result in results:
            value = result.get("value") if isinstance(result, dict) else None
            if not isinstance(result, dict) or (self.control or "") not in (
                "",
                result.get("from_name"),
            ):
                continue
            kind = str(result.get("type"))
            if not isinstance(value, dict) or kind not in KINDS:
                self.others[kind] += 1
                continue
            corners = self._corners(result, value) if kind == "rectanglelabels" else None
            for name in self._names(kind, value):
                self.objects.add(row, name, corners)

    def _names(self, kind: str, value: dict[str, Any]) -> list[str]:
        if kind != "taxonomy":
            return words(value.get(kind, []), f"{self.where}: '{kind}'")
        paths = value.get("taxonomy")
        if not isinstance(paths, list):
            raise DataError(f"{self.where}: 'taxonomy' should be a list of paths and is none.")
        return ["/".join(words(path, f"{self.where}: a path of a taxonomy")) for path in paths]

    def _corners(self, result: dict[str, Any], value: dict[str, Any]) -> list[float] | None:
        """Return a box in pixels; of a turned one, what it just fits in."""
        if "original_width" not in result or "original_height" not in result:
            return None
        size = [result["original_width"], result["original_height"]]
        shape = [value.get(key) for key in ("x", "y", "width", "height")]
        across, down, x, y, width, height, turn = numbers(
            [*size, *shape, value.get("rotation") or 0], 7, self.where
        )
        left, top, width, height = (
            percent * whole / 100
            for percent, whole in ((x, across), (y, down), (width, across), (height, down))
        )
        sine, cosine = math.sin(math.radians(turn)), math.cos(math.radians(turn))
        ends = [(a, b) for a in (0.0, width) for b in (0.0, height)]
        xs = [left + a * cosine - b * sine for a, b in ends]
        ys = [top + a * sine + b * cosine for a, b in ends]
        corners = [min(xs), min(ys), max(xs), max(ys)]
        return numbers(corners, 4, self.where)


def _image_key(tasks: list[dict[str, Any]], where: str) -> str:
    """Return the name under which tasks have their image."""
    data = tasks[0].get("data") if tasks else None
    found: dict[str, Any] = data if isinstance(data, dict) else {}
    for key, value in found.items():
        if isinstance(value, str) and (key.startswith("im") or is_image(_path(value))):
            return key
    raise DataError(f"{where}: the first task has no image in 'data'. Say which with image_key.")


def _address(task: dict[str, Any], key: str, where: str) -> str:
    data = task.get("data")
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, str) or not _path(value).strip("/"):
        raise DataError(f"{where} has a task without an image's address in '{key}'.")
    return value


def _path(address: str) -> str:
    """Return the path of an image in an address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    # Names of files may hold signs that mean something in an address, and drives end in a colon.
    if len(parts.scheme) < 2 and not parts.query.startswith("d="):
        return address
    local = parse_qs(parts.query).get("d")
    return str(local[0]) if local else unquote(parts.path)


def _file_names(addresses: list[str], root: Path, images: Path | None) -> list[str]:
    """Say addresses as names of files: as paths, or by their last part where files are found so.

    Label Studio puts eight signs before the name of an uploaded file.
    """
    paths = [_path(address).lstrip("/") for address in addresses]
    last = [PurePosixPath(path).name for path in paths]
    plain = [name[9:] if name[8:9] == "-" and len(name) > 9 else name for name in last]
    for names in (paths, last, plain):
        if len(set(names)) == len(set(paths)) and _is_there(names, root, images):
            return names
    uploads = all("upload/" in path for path in paths)
    return last if uploads and len(set(last)) == len(set(paths)) else paths


def _is_there(names: list[str], root: Path, images: Path | None) -> bool:
    folder = find_folder(names, root, images)
    try:
        return bool(names) and (folder / names[0]).is_file()
    except (OSError, ValueError):
        return False
