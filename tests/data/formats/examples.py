"""A small example of each format: three images, of a cat and a dog, of a dog, and of a bird."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from benchmark_copies import touch_image

SHOWN = {"1.jpg": ["cat", "dog"], "2.jpg": ["dog"], "3.jpg": ["bird"]}
CLASSES = ["bird", "cat", "dog"]


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def prepared(folder: Path) -> Path:
    from tacit.data.formats import read_listing
    from tacit.data.prepared import write_prepared

    write_prepared(folder / "prepared", read_listing(table(folder)), {})
    return folder / "prepared"


def table(folder: Path) -> Path:
    for name in SHOWN:
        touch_image(folder / "images" / name)
    lines = [f"{name},{';'.join(shown)}" for name, shown in SHOWN.items()]
    return _write(folder / "labels.csv", "\n".join(["file,labels", *lines]) + "\n")


def parquet_table(folder: Path) -> Path:
    path = folder / "labels.parquet"
    parquet.write_table(pa.table({"file": list(SHOWN), "labels": list(SHOWN.values())}), path)
    return path


def jsonl_table(folder: Path) -> Path:
    rows = [{"file": name, "labels": shown} for name, shown in SHOWN.items()]
    return _write(folder / "labels.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def imagefolder(folder: Path) -> Path:
    for part, names in {"train": ["1.jpg", "2.jpg"], "test": ["3.jpg"]}.items():
        for name in names:
            touch_image(folder / part / name)
        rows = [{"file_name": name, "labels": SHOWN[name]} for name in names]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        _write(folder / part / "metadata.jsonl", text)
    return folder


def coco_document(names: list[str]) -> dict[str, Any]:
    annotations = [
        {"id": row, "image_id": int(name[0]), "category_id": 10 * CLASSES.index(shown) + 1}
        | {"bbox": [1, 2, 3, 3], "area": 9, "iscrowd": int(shown == "bird")}
        for row, name in enumerate(names)
        for shown in SHOWN[name]
    ]
    return {
        "info": {"description": 'a "small" {set}'},
        "images": [{"id": int(name[0]), "file_name": name} for name in names],
        "annotations": annotations,
        "categories": [{"id": 10 * n + 1, "name": name} for n, name in enumerate(CLASSES)],
    }


def coco_json(folder: Path) -> Path:
    for name in SHOWN:
        touch_image(folder / "images" / name)
    return _write(folder / "labels.json", json.dumps(coco_document(list(SHOWN))))


def coco_folder(folder: Path) -> Path:
    for part, names in {"train2017": ["1.jpg", "2.jpg"], "val2017": ["3.jpg"]}.items():
        for name in names:
            touch_image(folder / part / name)
        target = folder / "annotations" / f"instances_{part}.json"
        _write(target, json.dumps(coco_document(names)))
    _write(folder / "annotations" / "captions_val2017.json", json.dumps({"images": []}))
    return folder


def voc_object(name: str, difficult: int = 0) -> str:
    box = "<xmin>1</xmin><ymin>2</ymin><xmax>4</xmax><ymax>5</ymax>"
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox>"
        f"<part><name>head</name><bndbox>{box}</bndbox></part></object>"
    )


def voc_xml(folder: Path) -> Path:
    for name, shown in SHOWN.items():
        touch_image(folder / "JPEGImages" / name)
        objects = "".join(voc_object(label) for label in shown)
        text = f"<annotation><filename>{name}</filename>{objects}</annotation>"
        _write(folder / "Annotations" / f"{name[0]}.xml", text)
    _write(folder / "ImageSets" / "Main" / "train.txt", "1\n2\n")
    _write(folder / "ImageSets" / "Main" / "val.txt", "3\n")
    _write(folder / "ImageSets" / "Main" / "trainval.txt", "1\n2\n3\n")
    return folder


def yolo(folder: Path) -> Path:
    for part, names in {"train": ["1.jpg", "2.jpg"], "val": ["3.jpg"]}.items():
        for name in names:
            touch_image(folder / "images" / part / name)
            lines = [f"{CLASSES.index(shown)} 0.5 0.5 0.25 0.5" for shown in SHOWN[name]]
            _write(folder / "labels" / part / f"{name[0]}.txt", "\n".join(lines) + "\n")
    text = "path: /content/data\ntrain: images/train\nval: images/val\ntest:\n"
    _write(folder / "data.yaml", text + "names:\n  0: bird\n  1: cat\n  2: dog\n")
    return folder


def openimages_csv(folder: Path) -> Path:
    for name in SHOWN:
        touch_image(folder / "images" / name)
    rows = [
        f"{name[0]},verification,/m/{label},{int(label in shown)}"
        for name, shown in SHOWN.items()
        for label in CLASSES
        if label in shown or (name, label) == ("2.jpg", "cat")
    ]
    _write(folder / "class-descriptions.csv", "/m/bird,bird\n/m/cat,cat\n/m/dog,dog\n")
    header = "ImageID,Source,LabelName,Confidence"
    return _write(
        folder / "train-annotations-human-imagelabels.csv", "\n".join([header, *rows]) + "\n"
    )


def label_studio_task(name: str, shown: list[str]) -> dict[str, Any]:
    results: list[dict[str, Any]] = [
        {"type": "choices", "from_name": "seen", "value": {"choices": shown[:1]}}
    ]
    for label in shown[1:]:
        value = {"x": 25.0, "y": 50.0, "width": 50.0, "height": 25.0, "rotation": 0}
        results.append(
            {"type": "rectanglelabels", "from_name": "box", "original_width": 8}
            | {"original_height": 6, "value": {**value, "rectanglelabels": [label]}}
        )
    return {
        "id": int(name[0]),
        "data": {"image": f"/data/upload/7/0123abcd-{name}"},
        "annotations": [
            {"result": results, "was_cancelled": False},
            {"result": [], "was_cancelled": True},
        ],
    }


def label_studio(folder: Path) -> Path:
    for name in SHOWN:
        touch_image(folder / "images" / name)
    tasks = [label_studio_task(name, shown) for name, shown in SHOWN.items()]
    return _write(folder / "project-1.json", json.dumps(tasks, indent=2))


def cvat(folder: Path) -> Path:
    for name in SHOWN:
        touch_image(folder / "images" / name)
    labels = "".join(f"<label><name>{name}</name></label>" for name in CLASSES)
    images = ""
    for row, (name, shown) in enumerate(SHOWN.items()):
        box = f'<box label="{shown[-1]}" xtl="1" ytl="2" xbr="4" ybr="5.5" z_order="0"></box>'
        tags = "".join(f'<tag label="{label}" source="manual"></tag>' for label in shown[:-1])
        images += f'<image id="{row}" name="{name}" width="8" height="6">{tags}{box}</image>'
    meta = f"<version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
    return _write(folder / "annotations.xml", f"<annotations>{meta}{images}</annotations>")


def xmp_packet(subject: list[str] = [], tree: list[str] = [], rest: str = "") -> str:  # noqa: B006
    """Return an XMP packet as photo managers write it."""

    def bag(name: str, items: list[str]) -> str:
        listed = "".join(f"\n     <rdf:li>{item}</rdf:li>" for item in items)
        return (
            f"\n   <{name}>\n    <rdf:Bag>{listed}\n    </rdf:Bag>\n   </{name}>" if items else ""
        )

    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
        '    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        '    xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmp:Rating="3">'
        f"{bag('dc:subject', subject)}{bag('lr:hierarchicalSubject', tree)}{rest}\n"
        '  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>\n'
    )


def xmp(folder: Path) -> Path:
    for name, shown in SHOWN.items():
        touch_image(folder / name)
        sidecar = f"{name}.xmp" if name != "2.jpg" else "2.xmp"
        _write(folder / sidecar, xmp_packet(shown))
    return folder


def folders(folder: Path) -> Path:
    for name, shown in SHOWN.items():
        for label in shown:
            touch_image(folder / label / name)
    return folder


# The example's name -> its format and what makes it.
EXAMPLES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "prepared": ("prepared", prepared),
    "csv": ("table", table),
    "parquet": ("table", parquet_table),
    "jsonl": ("table", jsonl_table),
    "imagefolder": ("imagefolder", imagefolder),
    "coco": ("coco_json", coco_json),
    "coco folder": ("coco_json", coco_folder),
    "voc": ("voc_xml", voc_xml),
    "yolo": ("yolo", yolo),
    "open images": ("openimages_csv", openimages_csv),
    "label studio": ("label_studio", label_studio),
    "cvat": ("cvat", cvat),
    "xmp": ("xmp", xmp),
    "folders": ("folders", folders),
}
