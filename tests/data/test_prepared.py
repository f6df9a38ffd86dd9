"""A prepared data set is read as it was written, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tacit.data.listing import Boxes, Listing
from tacit.data.prepared import FILES, read_prepared, write_observed, write_prepared
from tacit.errors import DataError
from tacit.labels import SparseLabels


def listing(root: Path, shift: int = 0) -> Listing:
    """Three images and classes; another shift makes another draw of the same set."""
    labels = SparseLabels.of(np.roll(np.eye(3, dtype=np.int8), shift, axis=0))
    truth = SparseLabels.of(np.full((3, 3), 1, dtype=np.int8))
    corners = np.arange(4 * 3, dtype=np.float32).reshape(3, 4) + shift
    boxes = Boxes(np.arange(3), np.arange(3, dtype=np.int32), corners)
    images, parts = ["1.jpg", "2.jpg", "3.jpg"], ("train", "train", "test")
    return Listing(
        "it", root, images, ("cat", "dog", "fox"), labels, parts, boxes, (), truth
    )  # fmt: skip


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Return a set, beside another draw of it called "other"."""
    write_prepared(tmp_path / "it", listing(tmp_path), {})
    write_prepared(tmp_path / "other", listing(tmp_path, 1), {})
    return tmp_path / "it"


def write_lines(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "classes.txt").write_text(text)


def bring(name: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copyfile(folder.parent / "other" / name, folder / name)


CHANGES = {
    "swapped": write_lines("dog\ncat\nfox\n"),
    "doubled": write_lines("cat\ncat\nfox\n"),
    "one more": write_lines("cat\ndog\nfox\nzebra\n"),
    "blank": write_lines("cat\n\nfox\n"),
    "marked": write_lines("\ufeffcat\ndog\nfox\n"),
    "another manifest": bring("manifest.parquet"),
    "a manifest in the truth's place": lambda folder: shutil.copyfile(
        folder / "manifest.parquet", folder / "truth.parquet"
    ),
}
NOT_IN_THE_FINGERPRINT = {"other boxes": bring("boxes.parquet")}
LOST = {f"no {name}": (lambda folder, name=name: (folder / name).unlink()) for name in FILES}


@pytest.mark.parametrize("change", [*CHANGES, *NOT_IN_THE_FINGERPRINT, *LOST])
def test_files_that_do_not_belong_together_are_refused(change: str, prepared: Path) -> None:
    read_prepared(prepared)
    (CHANGES | NOT_IN_THE_FINGERPRINT | LOST)[change](prepared)
    with pytest.raises(DataError, match="not as it was prepared: .* Restore the file, or prepare"):
        read_prepared(prepared)


def test_a_truth_from_elsewhere_is_refused(prepared: Path, tmp_path: Path) -> None:
    write_prepared(tmp_path / "blind", replace(listing(tmp_path), truth=None), {})
    shutil.copyfile(prepared / "truth.parquet", tmp_path / "blind" / "truth.parquet")
    with pytest.raises(DataError, match="truth.parquet is not the one"):
        read_prepared(tmp_path / "blind")


def as_earlier(folder: Path) -> None:
    """Make a set one of an earlier version, which had no digests."""
    record = json.loads((folder / "data.json").read_text())
    del record["digests"]
    (folder / "data.json").write_text(json.dumps(record))


def test_a_set_of_an_earlier_version_still_opens(prepared: Path, tmp_path: Path) -> None:
    as_earlier(prepared)
    assert read_prepared(prepared).labels.equals(listing(tmp_path).labels)
    # Parts without a name were written, and are read as none.
    unnamed = replace(listing(tmp_path), splits=["", "", ""])
    write_prepared(tmp_path / "unnamed", unnamed, {})
    as_earlier(tmp_path / "unnamed")
    assert not read_prepared(tmp_path / "unnamed").splits


@pytest.mark.parametrize("change", CHANGES)
def test_earlier_sets_are_compared_by_their_fingerprint(change: str, prepared: Path) -> None:
    as_earlier(prepared)
    CHANGES[change](prepared)
    if change in ("blank", "marked", "one more"):
        # A list with a mark or a blank line may say the same; then there is nothing to refuse.
        same = change == "marked"
        if same:
            assert read_prepared(prepared).classes == ("cat", "dog", "fox")
            return
    with pytest.raises(DataError, match=r"not as it was prepared|cannot be read as a manifest"):
        read_prepared(prepared)


def test_a_draw_belongs_to_its_set(prepared: Path, tmp_path: Path) -> None:
    drawn = write_observed(prepared, "draw", listing(tmp_path, 2), {"way": "by hand"})
    assert read_prepared(prepared, observed="draw").labels.equals(listing(tmp_path, 2).labels)
    other = write_observed(tmp_path / "other", "draw", listing(tmp_path, 1), {})
    kept = drawn.read_bytes()
    shutil.copyfile(other, drawn)
    with pytest.raises(DataError, match=r"not the one that draw.json describes; draw it again"):
        read_prepared(prepared, observed="draw")
    shutil.copyfile(other.with_suffix(".json"), drawn.with_suffix(".json"))
    with pytest.raises(DataError, match="drawn from another data set"):
        read_prepared(prepared, observed="draw")
    drawn.write_bytes(kept)
    drawn.with_suffix(".json").write_text('{"way": "by hand"}')  # as earlier versions wrote it
    assert read_prepared(prepared, observed="draw").labels.equals(listing(tmp_path, 2).labels)


def test_an_attempt_that_was_broken_off_leaves_nothing_of_it(tmp_path: Path) -> None:
    write_prepared(tmp_path / "it", listing(tmp_path), {})
    (tmp_path / "it" / "data.json").unlink()
    write_prepared(tmp_path / "it", replace(listing(tmp_path), truth=None, boxes=None), {})
    read = read_prepared(tmp_path / "it")
    assert read.truth is None and read.boxes is None
