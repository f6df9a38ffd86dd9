"""Labels in other formats, labels that cannot be read, and truth beside labels."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from check.planted import healthy
from tacit.check.run import check
from tacit.data.formats import read_listing, write_listing
from tacit.data.prepared import write_prepared
from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels


def kinds(path: Path, **options: object) -> set[str]:
    report = check(path, jobs=1, **options)  # type: ignore[arg-type]
    return {finding.kind for finding in report.findings.all}


@pytest.mark.parametrize(("format", "name"), [("imagefolder", "set"), ("coco_json", "set.json")])
def test_other_formats_are_as_healthy(format: str, name: str, tmp_path: Path) -> None:
    photos = healthy(tmp_path / "photos")
    listing = replace(read_listing(photos.table), splits=())
    inside = format == "imagefolder"
    options = {"transfer": "copy"} if inside else {}
    write_listing(listing, tmp_path / name, format, **options)
    assert kinds(tmp_path / name, images=None if inside else photos.images) == set()


def test_labels_that_cannot_be_read_leave_the_images(tmp_path: Path) -> None:
    photos = healthy(tmp_path)
    shutil.copytree(photos.images, tmp_path / "images")
    (tmp_path / "images" / "003.png").write_bytes(b"")
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": "none"}))
    report = check(path, format="coco_json", jobs=1)
    found = [(finding.kind, finding.severity) for finding in report.findings.all]
    assert ("unreadable", "error") in found and ("empty_file", "error") in found
    assert report.looked_at == len(photos.rows) - 1 and report.status() == 1


def test_the_truth_is_never_taken_for_labels(tmp_path: Path) -> None:
    photos = healthy(tmp_path / "photos")
    listing = read_listing(photos.table, absent="negative")
    observed = listing.labels.dense().copy()
    for row in observed:
        row[np.flatnonzero(row == 1)[1:]] = 0
    observed[observed == -1] = 0
    observed[5] = 0
    observed[:, 2] = 0  # trees are in the truth alone
    # Two equal images whose truths contradict each other, and whose labels do not.
    photos.path(7).write_bytes(photos.path(0).read_bytes())
    labels = SparseLabels.of(observed)
    write_prepared(tmp_path / "set", replace(listing, labels=labels, truth=listing.labels), {})
    report = check(tmp_path / "set", jobs=1)
    found = {(f.kind, f.said.get("class", f.said.get("image"))) for f in report.findings.all}
    assert ("empty_class", "tree") in found and ("unlabelled", "005.png") in found
    assert ("duplicate", "007.png") in found
    assert not {kind for kind, _ in found} & {"duplicates_disagree", "conflict"}
    shutil.rmtree(tmp_path / "blind", ignore_errors=True)
    write_prepared(tmp_path / "blind", replace(listing, labels=labels), {})
    blind = check(tmp_path / "blind", jobs=1).findings.all
    assert [f.sentence for f in blind] == [f.sentence for f in report.findings.all]


def test_images_are_left_alone_if_not_wanted(tmp_path: Path) -> None:
    photos = healthy(tmp_path)
    photos.path(3).write_text("no image")
    photos.path(5).unlink()
    assert kinds(photos.table, decode=False) == {"missing"}
    assert kinds(photos.table, without=("missing",)) == {"not_an_image"}


def test_what_is_ambiguous_or_unknown_is_said(tmp_path: Path) -> None:
    photos = healthy(tmp_path)
    with pytest.raises(DataError, match="nothing at"):
        check(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="no known format"):
        check(photos.path(3))
    (tmp_path / "metadata.csv").write_text("file_name,labels\n000.png,boat\n")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "1.xml").write_text("<annotation/>")
    with pytest.raises(DataError, match="imagefolder.*voc_xml.*--format"):
        check(tmp_path)
    with pytest.raises(UsageError, match="did you mean 'missing'"):
        check(photos.table, without=("mising",))
