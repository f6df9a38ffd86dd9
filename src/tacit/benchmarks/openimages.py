"""OpenImages V3: human-verified labels, present and absent, of 5,000 trainable classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from tacit.data.listing import Listing, join_splits
from tacit.errors import DataError
from tacit.labels import SparseLabels
from tacit.names import read_lines

FOLDER = Path("2017_11")
SPLITS = ("train", "validation", "test")


def read(root: Path) -> Listing:
    """Read the human labels: confidence 1 is present, 0 absent, everything else unknown.

    Images are those with a human label, sorted by their ID; labels of classes that are not
    trainable are left out.
    """
    folder = root / FOLDER
    classes = read_lines(folder / "classes-trainable.txt")
    found, notes = {}, []
    for split in SPLITS:
        table = _read(folder / split / "annotations-human.csv")
        images = sorted(pc.unique(table["ImageID"]).to_pylist())
        rows = pc.index_in(table["ImageID"], pa.array(images, pa.string())).to_numpy()
        columns = pc.fill_null(
            pc.index_in(table["LabelName"], pa.array(classes, pa.string())), -1
        ).to_numpy()
        states = np.where(table["Confidence"].to_numpy() == 1, 1, -1)
        kept = columns >= 0
        try:
            labels = SparseLabels.from_cells(
                rows[kept], columns[kept], states[kept], (len(images), len(classes))
            )
        except ValueError as error:
            raise DataError(f"OpenImages' {split} split contradicts itself: {error}.") from error
        notes.append(f"{int((~kept).sum()):,} labels of {split} are of classes not trainable")
        found[split] = ([f"{split}/{image}.jpg" for image in images], labels)
    return join_splits("openimages_v3", root, classes, found, notes)


def _read(path: Path) -> pa.Table:
    types = {"ImageID": pa.string(), "LabelName": pa.string(), "Confidence": pa.float64()}
    options = arrow_csv.ConvertOptions(include_columns=list(types), column_types=types)
    try:
        table = arrow_csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read: {first}") from error
    strange = ~np.isin(table["Confidence"].to_numpy(), (0.0, 1.0))
    if strange.any():
        raise DataError(
            f"{path}: {int(strange.sum()):,} rows have a confidence other than 0 and 1; human "
            f"labels have none. Is it the file of machine labels?"
        )
    return table
