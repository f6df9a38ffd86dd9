"""The table of benchmarks: the literature's data sets, read from their official files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tacit.errors import DataError, unknown_name
from tacit.registry import Row

if TYPE_CHECKING:
    from tacit.data.listing import Listing


@dataclass(frozen=True)
class Archive:
    """A file that an official page offers, and how to know that it came over whole.

    Attributes:
        address: Where it is.
        size: Its bytes.
        digest: Its checksum.
        room: About how many bytes its contents take.
    """

    address: str
    size: int
    digest: str
    room: int

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.address.rpartition("/")[2].partition("?")[0]


@dataclass(frozen=True)
class Benchmark(Row):
    """One row: what a benchmark is, which files it needs, and what must come out.

    Attributes:
        target: A function of the root that returns a `Listing` with splits and full labels.
        title: What it is.
        source: Where it comes from.
        licence: The terms of its labels and images.
        files: What must lie below the root, each with where to get it.
        counts: Images in each split, where the literature knows them; several packagings are
            several rows.
        draws: Whether observed labels are drawn from the truth; where annotators said what is
            absent as well, their labels are the observed ones.
        archives: What can be fetched of it; ``files`` says which of them holds what.
        by_hand: What cannot be fetched, and where it has to lie.
    """

    source: str
    licence: str
    files: Mapping[str, str]
    counts: tuple[Mapping[str, int], ...]
    draws: bool = True
    archives: tuple[Archive, ...] = ()
    by_hand: str = ""

    @property
    def read(self) -> Callable[[Path], Listing]:
        """The reader, imported when it is asked for."""
        reader: Callable[[Path], Listing] = self.load()
        return reader


FLICKR = "the photographs belong to their Flickr authors under their own terms"

BENCHMARKS: dict[str, Benchmark] = {
    "voc2012": Benchmark(
        "tacit.benchmarks.voc2012:read",
        "PASCAL VOC 2012, 20 classes",
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        f"research use; {FLICKR}",
        {
            "VOCdevkit/VOC2012/ImageSets/Main": "VOCtrainval_11-May-2012.tar",
            "VOCdevkit/VOC2012/JPEGImages": "VOCtrainval_11-May-2012.tar",
        },
        ({"train": 5717, "test": 5823},),
        archives=(
            Archive(
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                1_999_639_040,
                "md5:6cd6e144f989b92b3379bac3b3de84fd",
                2_000_000_000,
            ),
        ),
    ),
    "coco2014": Benchmark(
        "tacit.benchmarks.coco2014:read",
        "Microsoft COCO 2014, 80 classes",
        "https://cocodataset.org/#download",
        f"annotations CC BY 4.0; {FLICKR}",
        {
            "annotations/instances_train2014.json": "annotations_trainval2014.zip",
            "annotations/instances_val2014.json": "annotations_trainval2014.zip",
            "train2014": "train2014.zip",
            "val2014": "val2014.zip",
        },
        ({"train": 82081, "test": 40137},),
        archives=(
            Archive(
                "http://images.cocodataset.org/annotations/annotations_trainval2014.zip",
                252_872_794,
                "md5:0a379cfc70b0e71301e0f377548639bd",
                900_000_000,
            ),
            Archive(
                "http://images.cocodataset.org/zips/train2014.zip",
                13_510_573_713,
                "md5:0da8c0bd3d6becc4dcb32757491aca88",
                13_600_000_000,
            ),
            Archive(
                "http://images.cocodataset.org/zips/val2014.zip",
                6_645_013_297,
                "md5:a3d79f5ed8d289b7a7554ce06a5782b3",
                6_700_000_000,
            ),
        ),
    ),
    "nuswide": Benchmark(
        "tacit.benchmarks.nuswide:read",
        "NUS-WIDE, 81 classes, as packed by Cole et al. or by Zhou et al.",
        "https://zenodo.org/records/10162606",
        f"the labels for research; {FLICKR}",
        {
            "Flickr": "the photographs, in the folders that the arrays name",
            "formatted_train_images.npy": "the arrays of the packaging",
            "formatted_train_labels.npy": "the arrays of the packaging",
            "formatted_val_images.npy": "the arrays of the packaging",
            "formatted_val_labels.npy": "the arrays of the packaging",
        },
        ({"train": 126034, "test": 84226}, {"train": 150000, "test": 60260}),
        by_hand="They cannot be fetched from here: the photographs are given out on request, and "
        "the arrays by the authors of the packagings. Put both where they are listed.",
    ),
    "cub": Benchmark(
        "tacit.benchmarks.cub:read",
        "CUB-200-2011, 312 attributes of birds",
        "https://www.vision.caltech.edu/datasets/cub_200_2011/",
        "research and education; the photographs belong to their authors",
        {
            "CUB_200_2011/images.txt": "CUB_200_2011.tgz",
            "CUB_200_2011/train_test_split.txt": "CUB_200_2011.tgz",
            "CUB_200_2011/attributes/image_attribute_labels.txt": "CUB_200_2011.tgz",
            "CUB_200_2011/images": "CUB_200_2011.tgz",
        },
        ({"train": 5994, "test": 5794},),
        archives=(
            Archive(
                "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",
                1_150_585_339,
                "md5:97eceeb196236b17998738112f37df78",
                1_300_000_000,
            ),
        ),
    ),
    "openimages_v3": Benchmark(
        "tacit.benchmarks.openimages:read",
        "OpenImages V3, 5,000 trainable classes, with verified negatives",
        "https://github.com/openimages/dataset/blob/main/READMEV3.md",
        f"annotations CC BY 4.0; {FLICKR}",
        {
            "2017_11/train/annotations-human.csv": "annotations_human_2017_11.tar.gz",
            "2017_11/validation/annotations-human.csv": "annotations_human_2017_11.tar.gz",
            "2017_11/test/annotations-human.csv": "annotations_human_2017_11.tar.gz",
            "2017_11/classes-trainable.txt": "classes_2017_11.tar.gz",
        },
        (),
        draws=False,
        archives=(
            Archive(
                "https://storage.googleapis.com/openimages/2017_11/annotations_human_2017_11.tar.gz",
                144_102_834,
                "md5:cdcbb5e9aba900530c85cb370564f599",
                974_000_000,
            ),
            Archive(
                "https://storage.googleapis.com/openimages/2017_11/classes_2017_11.tar.gz",
                303_055,
                "md5:3937f6dddf777ca912c816d5f6ffe06f",
                750_000,
            ),
        ),
        by_hand="The photographs, nine million files, are not fetched: put those you want at "
        "train/ID.jpg, validation/ID.jpg and test/ID.jpg below the root, ID being the ImageID.",
    ),
}


def find_benchmark(name: str) -> Benchmark:
    """Return a row of the table."""
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]


def unpacking_marker(root: Path, archive: str) -> Path:
    """Return the file that is there while an archive is being unpacked."""
    return root / f".{archive}.unpacking"


def find_missing_files(benchmark: Benchmark, root: Path) -> dict[str, str]:
    """Return the files that are not there or not whole, each with where to get it."""
    return {
        file: origin
        for file, origin in benchmark.files.items()
        if not (root / file).exists() or unpacking_marker(root, origin).exists()
    }


def read_benchmark(name: str, root: Path) -> Listing:
    """Read a benchmark's official files, or say which of them are not there."""
    benchmark = find_benchmark(name)
    missing = find_missing_files(benchmark, root)
    if missing:
        raise DataError(_say_missing(name, benchmark, root, missing))
    return benchmark.read(root)


def _say_missing(name: str, benchmark: Benchmark, root: Path, missing: Mapping[str, str]) -> str:
    listed = "".join(
        f"\n  {root / file}  (from {origin}"
        f"{', not wholly unpacked' if unpacking_marker(root, origin).exists() else ''})"
        for file, origin in missing.items()
    )
    said = (
        f"{len(missing)} of the {len(benchmark.files)} files of {name} are not below {root}:"
        f"{listed}\nGet them from {benchmark.source} and unpack them there"
    )
    fetched = [archive.name for archive in benchmark.archives if archive.name in missing.values()]
    if fetched:
        said += f", or let `tacit prepare {name} --root {root} --download` fetch "
        said += " and ".join(fetched)
    return f"{said}. {benchmark.by_hand}".strip()
