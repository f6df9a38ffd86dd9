"""What speaks for a suspect: read from its file when somebody asks, and said in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tacit.data.arrow_files import read_parquet_batches
from tacit.repair.suspects_file import ROWS_AT_ONCE, SuspectsFile

SAYINGS = {
    "times": "A method suspected it {times} while it trained.",
    "neighbours": "Of the images most like this one, {number:.0%} show the class.",
}
"""By the name of a number in the column of evidence; others are told with their names."""


def read_evidence(path: Path, position: int) -> list[str]:
    """Return sentences about a suspect; none where nothing is known of it.

    Args:
        path: The file of suspects, opened anew, since another thread may be reading it.
        position: The suspect's row.
    """
    file = SuspectsFile(path).file
    first = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if position < first + rows:
            columns = ["score", "evidence"]
            for block in read_parquet_batches(file, [group], columns, ROWS_AT_ONCE):
                if position < first + len(block):
                    row = block.slice(position - first, 1).to_pylist()[0]
                    return describe_evidence(row["score"], dict(row["evidence"] or ()))
                first += len(block)
        first += rows
    return []


def describe_evidence(score: float | None, numbers: Mapping[str, float]) -> list[str]:
    """Say what a model that never saw the image thinks, and whatever else speaks for a suspect."""
    said = []
    if score is not None and 0 <= score <= 1:
        said.append(f"The score of a model that was not trained on this image: {score:.0%}.")
    for name, number in numbers.items():
        if name in SAYINGS:
            if number > 0 or name != "times":
                times = "once" if number == 1 else f"{number:,.0f} times"
                said.append(SAYINGS[name].format(number=number, times=times))
        else:
            said.append(f"{name}: {number:.3g}.")
    return said
