"""Data: labels in every format, what lies beside them, images, archives, official files."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import feather, parquet

import benchmark_copies
from data.formats.examples import EXAMPLES
from fuzz.kinds import kind
from tacit.benchmarks import read_benchmark
from tacit.benchmarks.published import read_published
from tacit.benchmarks.unpack import unpack
from tacit.check.decode import look_at
from tacit.data.formats import read_listing, recognise
from tacit.data.load import load
from tacit.data.open_image import open_image
from tacit.errors import DataError, TacitError

TEXTS = ("csv", "tsv", "json", "jsonl", "xml", "xmp", "yaml", "txt", "parquet")
# What a reader may be told beside the path.
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "yolo": ({}, {"boxes": True}),
    "table": ({}, {}, {"negative_value": -1}, {"negative_value": 0}, {"separator": ","}),
    "voc_xml": ({}, {"difficult": "absent"}, {"difficult": "positive"}),
    "folders": ({}, {"join": "name"}),
    "xmp": ({}, {"hierarchy": "leaf"}),
}


def read_labels(random: Random, path: Path, format: str) -> None:
    """Read labels as training does, and look at all that was read."""
    if random.random() < 0.3:
        with suppress(TacitError):
            recognise(path)
    absent = None if format == "prepared" else random.choice((None, None, "unknown", "negative"))
    options = random.choice(OPTIONS.get(format, ({},)))
    listing = read_listing(path, format=format, absent=absent, **options)
    source = listing.source()
    source.describe()
    source.fingerprint()
    assert len(set(listing.images)) == len(listing.images) == len(listing.labels)
    assert len(set(listing.classes)) == len(listing.classes)
    for row in range(min(3, len(listing))):
        with suppress(TacitError):
            source.files(row) if source.files else None
        if listing.boxes is not None:
            listing.boxes.of(row)


def add_labels(name: str, format: str, make: Callable[[Path], Path]) -> None:
    """Add a kind whose files are labels."""
    where: dict[str, str] = {}

    def write(folder: Path) -> None:
        where["path"] = make(folder).relative_to(folder).as_posix()

    def read(random: Random, folder: Path) -> None:
        read_labels(random, folder / where["path"], format)

    patterns = [f"**/*.{suffix}" for suffix in (*TEXTS, "arrow")]
    documents = name in ("coco", "coco folder", "jsonl", "label studio", "imagefolder", "prepared")
    kind(f"labels: {name}", write, *patterns, documents=documents)(read)


def write_table(path: Path, text: str, folder: Path) -> Path:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")
    return folder / path


ONES = "image,cat,dog,bird,split\n1.jpg,1,1,,train\n2.jpg,0,1,0,train\n3.jpg,,0,1,test\n"
LISTS = 'image\tlabels\tnegatives\n1.jpg\t["cat", "dog"]\t[]\n2.jpg\t["dog"]\t["cat"]\n'


def arrow_table(folder: Path) -> Path:
    columns = {"file": ["1.jpg", "2.jpg"], "labels": [["cat", "dog"], ["dog"]]}
    feather.write_feather(pa.table(columns), folder / "l.arrow", compression="uncompressed")
    return folder / "l.arrow"


def ones_parquet(folder: Path) -> Path:
    columns = {
        "image": ["1.jpg", "2.jpg"],
        "cat": [1, 0],
        "dog": [1.0, None],
        "bird": [True, False],
    }
    parquet.write_table(pa.table(columns), folder / "l.parquet")
    return folder / "l.parquet"


for example, (example_format, make_example) in EXAMPLES.items():
    if example != "folders":  # folders hold no text
        add_labels(example, example_format, make_example)
add_labels("ones in csv", "table", partial(write_table, Path("l.csv"), ONES))
add_labels("lists in tsv", "table", partial(write_table, Path("l.tsv"), LISTS))
add_labels("ones in parquet", "table", ones_parquet)
add_labels("arrow", "table", arrow_table)


def beside(folder: Path) -> None:
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (folder / name).write_bytes(b"x")
    texts = {
        "labels.csv": "file,labels,shop\n1.jpg,cat;dog,a\n2.jpg,dog,b\n3.jpg,bird,b\n",
        "catalogue.csv": "shop,allowed\na,cat;dog\nb,dog;bird\n",
        "groups.csv": "file,product\n1.jpg,a\n2.jpg,b\n3.jpg,b\n",
        "taxonomy.txt": "# x\ncat > dog > animal\nexclusive: bird, dog\n",
        "taxonomy.toml": 'exclusive = [["bird", "dog"]]\n[parents]\ncat = ["dog"]\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text)


@kind("groups and catalogue", beside, "*.csv")
def read_beside(random: Random, folder: Path) -> None:
    catalogue, groups = folder / "catalogue.csv", str(folder / "groups.csv")
    options: dict[str, Any] = random.choice(
        [
            {"groups": "shop", "catalogue": catalogue},
            {"groups": groups},
            {"groups": groups, "catalogue": catalogue},
            {"groups": "shop", "catalogue": catalogue, "at_most": 2},
        ]
    )
    load(folder / "labels.csv", **options).describe()


@kind("taxonomy", beside, "taxonomy.*")
def read_taxonomy(random: Random, folder: Path) -> None:
    path = folder / random.choice(("taxonomy.txt", "taxonomy.toml"))
    load(folder / "labels.csv", taxonomy=path).describe()


def images(folder: Path) -> None:
    random = np.random.RandomState(0)
    image = Image.fromarray(random.randint(0, 255, (24, 32, 3), np.uint8))
    for suffix in ("jpg", "png", "gif", "webp", "bmp", "tif", "ppm", "ico", "tga", "dds", "avif"):
        with suppress(OSError, KeyError, ValueError):  # what this Pillow was built without
            image.save(folder / f"a.{suffix}")
    for path in folder.iterdir():
        if not path.stat().st_size:
            path.unlink()
    deep = random.randint(0, 65535, (12, 12)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray(random.rand(12, 12).astype("f4")).save(folder / "float.tif")
    image.convert("P").save(folder / "palette.png", transparency=3)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    turned = Image.Exif()
    turned[274] = 6
    image.save(folder / "turned.jpg", exif=turned)
    image.save(folder / "moving.gif", save_all=True, append_images=[image, image])


@kind("images", images)
def read_images(random: Random, folder: Path) -> None:
    for path in folder.iterdir():
        if random.random() < 0.1:
            look_at([str(path)])
        with suppress(DataError):
            assert open_image(path).mode == "RGB"


def archives(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x/a.txt", "hello" * 50)
        packed.writestr("y.txt", "b")
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")):
        with tarfile.open(folder / name, mode) as tar:  # type: ignore[call-overload]
            for inside in ("x/a.txt", "y.txt"):
                member = tarfile.TarInfo(inside)
                member.size = 5
                tar.addfile(member, io.BytesIO(b"hello"))


@kind("archives", archives)
def read_archives(random: Random, folder: Path) -> None:
    there = set(folder.iterdir())
    for number, path in enumerate(sorted(there)):
        root = folder / f"root{number}"
        root.mkdir()
        with suppress(DataError):
            unpack(path, root)
    left = {path for path in folder.iterdir() if not path.name.startswith("root")}
    assert left == there, "an archive was unpacked out of its folder"


OFFICIAL = ("voc2012", "coco2014", "nuswide", "cub", "openimages_v3")


def add_official(name: str) -> None:
    """Add the official files of a benchmark."""
    where: dict[str, str] = {}
    make = getattr(benchmark_copies, name).__wrapped__

    def write(folder: Path) -> None:
        where["root"] = make(folder).relative_to(folder).as_posix()

    def read(random: Random, folder: Path) -> None:
        read_benchmark(name, folder / where["root"])

    kind(f"official files: {name}", write, *(f"**/*.{suffix}" for suffix in (*TEXTS, "npy")))(read)


for benchmark in OFFICIAL:
    add_official(benchmark)

IMAGES = ("1.jpg", "2.jpg", "3.jpg")


def published(folder: Path) -> None:
    np.save(folder / "s.npy", np.eye(3, 3))
    (folder / "s.txt").write_text("1.jpg,0 1\n2.jpg,2\n3.jpg,\n")


@kind("published labels", published)
def read_published_labels(random: Random, folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(TacitError):
            read_published(path, IMAGES, 3)
