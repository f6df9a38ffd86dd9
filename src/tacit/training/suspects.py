"""What a run's method suspected, cell by cell, kept whether or not anybody knows the truth.

Only cells that were suspected take memory. What steps suspect stays on the device, and is looked
at when much of it has come together or an epoch ends, so that no step waits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyarrow import parquet
from torch import Tensor

from tacit.config import Config
from tacit.data.source import Source
from tacit.distributed import gather_rows, is_first
from tacit.files import write_atomically
from tacit.types import Batch, Step

FORMAT = 1
CELLS_AT_ONCE = 4_000_000  # of batches that wait on the device, four bytes each
ROWS_AT_ONCE = 65_536
# Scores are added as whole numbers, so that their order does not matter to the last bit; a sum over
# 65,535 epochs fits into 32 bits.
ONE = 1 << 15

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("class", pa.dictionary(pa.int32(), pa.string())),
        ("times", pa.int32()),
        ("first_epoch", pa.int32()),
        ("last_epoch", pa.int32()),
        ("score", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Cells:
    """Some cells that were suspected, each once and in order, if they are `joined`."""

    places: NDArray[np.int64]  # (M,) row times classes plus column
    counts: NDArray[np.int32]  # (M, 4) times, first epoch, last epoch, sum of scores

    def __len__(self) -> int:
        return len(self.places)


NONE = Cells(np.empty(0, np.int64), np.empty((0, 4), np.int32))
WAYS = (np.add, np.minimum, np.maximum, np.add)  # in which the counts of equal cells become one


def joined(parts: Sequence[Cells]) -> Cells:
    """Put parts together, equal cells into one, and sort them."""
    places = np.concatenate([part.places for part in parts])
    order = places.argsort(kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    if not len(starts):
        return NONE
    counts = np.concatenate([part.counts for part in parts])[order]
    reduced = [way.reduceat(counts[:, n], starts, dtype=np.int32) for n, way in enumerate(WAYS)]
    return Cells(places[order[starts]], np.stack(reduced, axis=1))


class SuspectLog:
    """Counts how often each unknown cell was suspected, in which epochs, and at what score.

    The score of a cell is its mean probability in the steps that suspected it, where the method
    gives "logit" as evidence. Mixtures of images are not looked at: their cells are of no image.

    Args:
        source: The images that are trained on.
        fingerprint: That of the source.
        config: The run's configuration.
    """

    def __init__(self, source: Source, fingerprint: str, config: Config) -> None:
        self.source = source
        self.about = {"format": FORMAT, "method": config.method.name, "data": fingerprint}
        self.mixed = config.data.mix != "none"
        self.asked = self.scored = False
        self.waiting: list[tuple[Tensor, Tensor]] = []  # rows; scores, -1 where none is suspected
        self.epoch = 0
        self.fresh: list[Cells] = []
        self.cells = NONE

    def update(self, batch: Batch, step: Step, epoch: int) -> None:
        """Take in one training step; epochs count from 1 over all phases."""
        if step.suspects is None or self.mixed:
            return
        if epoch != self.epoch:
            self._look()
        self.asked, self.epoch = True, epoch
        logits = step.evidence.get("logit")
        self.scored = logits is not None
        scores = torch.zeros_like(step.suspects, dtype=torch.int32)
        if logits is not None:
            scores = (logits.float().sigmoid().nan_to_num() * ONE).round().int()
        self.waiting.append((batch.index, scores.masked_fill(~step.suspects, -1)))
        if len(self.waiting) * scores.numel() > CELLS_AT_ONCE:
            self._look()

    def _look(self) -> None:
        """Take the suspects out of what waits."""
        if not self.waiting:
            return
        index, scores = (torch.cat(parts) for parts in zip(*self.waiting, strict=True))
        self.waiting = []
        rows, columns = (scores >= 0).nonzero(as_tuple=True)
        places = (index[rows] * scores.shape[1] + columns).cpu().numpy()
        counts = np.full((len(places), 4), self.epoch, np.int32)
        counts[:, 0], counts[:, 3] = 1, scores[rows, columns].cpu().numpy()
        self.fresh.append(Cells(places, counts))

    def state_dict(self) -> dict[str, Any]:
        """Return what all processes have found, at the first one; all processes have to ask."""
        self._look()
        found = joined([NONE, *self.fresh])
        self.fresh = []
        places = gather_rows(torch.from_numpy(found.places)).numpy()
        counts = gather_rows(torch.from_numpy(found.counts)).numpy()
        if is_first():
            self.cells = joined([self.cells, Cells(places, counts)])
        return {
            "places": torch.from_numpy(self.cells.places),
            "counts": torch.from_numpy(self.cells.counts),
            "scored": self.scored,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self.scored = state["scored"]
        if is_first():
            self.cells = Cells(state["places"].numpy(), state["counts"].numpy())

    def write(self, path: Path) -> None:
        """Write what `state_dict` has last brought together, if the method names suspects."""
        if self.asked:
            write_atomically(path, self._write)

    def _write(self, path: Path) -> None:
        schema = SCHEMA.with_metadata({"tacit": json.dumps(self.about)})
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for first in range(0, len(self.cells), ROWS_AT_ONCE):
                rows = slice(first, first + ROWS_AT_ONCE)
                block = Cells(self.cells.places[rows], self.cells.counts[rows])
                writer.write_batch(self._name(block, schema))

    def _name(self, cells: Cells, schema: pa.Schema) -> pa.RecordBatch:
        """Put names to cells."""
        classes, images = self.source.classes, self.source.images
        rows, columns = np.divmod(cells.places, len(classes))
        times, first, last, total = cells.counts.T
        scores = (total / (times.astype(np.int64) * ONE)).astype(np.float32)
        arrays = [
            pa.array([images[row] for row in rows.tolist()], pa.string()),
            pa.DictionaryArray.from_arrays(pa.array(columns, pa.int32()), pa.array(classes)),
            *(pa.array(column, pa.int32()) for column in (times, first, last)),
            pa.array(scores) if self.scored else pa.nulls(len(cells), pa.float32()),
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
