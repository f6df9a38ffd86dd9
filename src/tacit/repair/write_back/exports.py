"""Labels and suspects in files that tools for annotating read: tags to look at, and to correct.

None of these tools is installed by the tests: the files follow what their makers document, and
FiftyOne's own reader was tried on what is written for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from tacit.data.formats.shared.writing import name_rows
from tacit.data.listing import Listing, image_path
from tacit.data.open_image import read_size
from tacit.errors import DataError
from tacit.repair.suspects_file import SuspectsFile

Suspects = Mapping[str, list[tuple[str, float]]]
"""By image: classes that may well be there, with their posteriors."""

SUGGESTED = "suspects"
KNOWN = "labels"


@dataclass(frozen=True)
class Export:
    """What a tool reads, and how it is written.

    Attributes:
        title: What it is, in a line.
        write: Writes labels and suspects to a path, and returns what a person should know.
    """

    title: str
    write: Callable[[Listing, Suspects, Path], list[str]]


def find_suspects(suspects: SuspectsFile, listing: Listing, above: float) -> Suspects:
    """Return what is above a posterior and still unknown, by image.

    Args:
        suspects: The file.
        listing: The labels.
        above: The lowest posterior.
    """
    rows = {image: row for row, image in enumerate(listing.images)}
    columns = {name: column for column, name in enumerate(listing.classes)}
    found: dict[str, list[tuple[str, float]]] = {}
    seen = strange = 0
    for block in suspects.blocks(("image", "class", "posterior")):
        posteriors = block["posterior"].to_numpy(zero_copy_only=False)
        for number in np.flatnonzero(posteriors >= above):
            image, name = (block[key][int(number)].as_py() for key in ("image", "class"))
            row, column = rows.get(image), columns.get(name)
            seen, strange = seen + 1, strange + (row is None)
            if row is not None and column is not None and not listing.labels[row][column]:
                found.setdefault(image, []).append((name, float(posteriors[number])))
        if len(posteriors) and posteriors[-1] < above:
            break
    if seen and strange == seen:
        raise DataError(
            f"{suspects.path} is about images of which '{listing.name}' has none; it was found for "
            f"other labels. Find the suspects of these, or name theirs."
        )
    return found


def _present(listing: Listing) -> Iterator[tuple[str, list[str]]]:
    """Go through the images with the classes that are known to be there."""
    return zip(listing.images, name_rows(listing.labels, listing.classes, 1), strict=True)


def write_label_studio(listing: Listing, suspects: Suspects, out: Path) -> list[str]:
    """Write Label Studio's tasks with predictions, and the configuration that shows them."""

    def predict(version: str, scored: Sequence[tuple[str, float]]) -> dict[str, Any]:
        results = [
            {"id": f"{version}-{number}", "from_name": "tags", "to_name": "image"}
            | {"type": "choices", "value": {"choices": [name]}, "score": round(score, 4)}
            for number, (name, score) in enumerate(scored)
        ]
        least = min((score for _, score in scored), default=1.0)
        return {"model_version": version, "score": round(least, 4), "result": results}

    def write_task(image: str, names: list[str]) -> dict[str, Any]:
        known = [(name, 1.0) for name in names]
        predictions = [predict(KNOWN, known)]
        if image in suspects:
            predictions.append(predict(SUGGESTED, [*known, *suspects[image]]))
        address = f"/data/local-files/?d={quote(image)}"
        return {"data": {"image": address}, "predictions": predictions}

    tasks = [write_task(image, names) for image, names in _present(listing)]
    out.write_text(json.dumps(tasks, indent=1, ensure_ascii=False), encoding="utf-8")
    choices = "".join(f"\n    <Choice value={quoteattr(name)}/>" for name in listing.classes)
    config = out.with_name(f"{out.stem}.config.xml")
    config.write_text(
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <Choices name="tags" toName="image" choice="multiple">{choices}\n'
        "  </Choices>\n</View>\n",
        encoding="utf-8",
    )
    return [
        f"{config.name} beside it is the labelling configuration",
        f"images are named below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, which is to be "
        f"{listing.root.absolute()}",
    ]


def write_cvat(listing: Listing, suspects: Suspects, out: Path) -> list[str]:
    """Write "CVAT for images 1.1" with a tag for each label; suspects are marked as automatic."""
    for name in (*listing.classes, *listing.images):
        if any(ord(sign) < 32 and sign not in "\t\n\r" for sign in name):
            raise DataError(f"The name {name!r} cannot stand in XML; rename it.")
    unread = 0
    with out.open("w", encoding="utf-8") as file:
        labels = "".join(
            f"<label><name>{escape(name)}</name><type>tag</type></label>"
            for name in listing.classes
        )
        file.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
            f"<meta><task><labels>{labels}</labels></task></meta>\n"
        )
        for row, (image, names) in enumerate(_present(listing)):
            size = _measure(listing.root, image)
            unread += not size
            file.write(f'<image id="{row}" name={_attribute(image)}{size}>\n')
            tags = [(name, "manual") for name in names]
            tags += [(name, "auto") for name, _ in suspects.get(image, ())]
            for name, source in tags:
                file.write(f'  <tag label={_attribute(name)} source="{source}"></tag>\n')
            file.write("</image>\n")
        file.write("</annotations>\n")
    return [f"{unread:,} images were not found and have no size"] if unread else []


def _attribute(text: str) -> str:
    signs = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    return quoteattr(text, signs)


def _measure(root: Path, image: str) -> str:
    try:
        width, height = read_size(image_path(root, image))
    except DataError:
        return ""
    return f' width="{width}" height="{height}"'


def write_fiftyone(listing: Listing, suspects: Suspects, out: Path) -> list[str]:
    """Write a folder that FiftyOne reads as a FiftyOneImageClassificationDataset."""
    stems: dict[str, str] = {}
    for image in listing.images:
        stem = image.rpartition(".")[0] if "." in Path(image).name[1:] else image
        if stems.setdefault(stem, image) != image:
            raise DataError(
                f"FiftyOne calls an image by its name without the suffix, and '{stems[stem]}' and "
                f"'{image}' would be one. Rename one of them."
            )
    known = dict(_present(listing))
    number = {name: column for column, name in enumerate(listing.classes)}

    def write_targets(image: str) -> list[dict[str, Any]] | None:
        targets = [
            {"label": number[name], "attributes": {"source": KNOWN}} for name in known[image]
        ]
        targets += [
            {"label": number[name], "confidence": round(score, 4)}
            | {"attributes": {"source": SUGGESTED}}
            for name, score in suspects.get(image, ())
        ]
        return targets or None

    out.mkdir()
    root = listing.root.absolute()
    labels = {stem: write_targets(image) for stem, image in stems.items()}
    document = {"classes": list(listing.classes), "labels": labels}
    (out / "labels.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    places = {stem: str(image_path(root, image)) for stem, image in stems.items()}
    (out / "data.json").write_text(json.dumps(places, ensure_ascii=False), encoding="utf-8")
    return [
        "data.json names the images where they are; nothing is copied",
        f"read it with fiftyone.Dataset.from_dir({out.name!r}, data_path='data.json', "
        f"dataset_type=fiftyone.types.FiftyOneImageClassificationDataset)",
    ]


EXPORTS: dict[str, Export] = {
    "label_studio": Export("Label Studio's tasks with predictions", write_label_studio),
    "cvat": Export("CVAT for images 1.1, with tags", write_cvat),
    "fiftyone": Export("FiftyOne's folder of images with classifications", write_fiftyone),
}
