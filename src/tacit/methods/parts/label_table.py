"""Per-image state: one row for every training image, one column for every class."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from tacit.distributed import gather_rows
from tacit.errors import UsageError
from tacit.files import reserve


class LabelTable(nn.Module):
    """A table of N x C cells that is read and written by the rows of a batch.

    It is saved with whatever holds it. Where N x C outgrows the device, it can stay in the
    host's memory or in a file that the operating system pages in and out; rows then travel to the
    device and back.

    Args:
        shape: Training images and classes, (N, C).
        fill: Value of every cell at first.
        dtype: Kind of cell; at most four bytes.
        keep: ``device``, ``cpu``, or the path of a file. The file is made, or filled anew if it
            is there and has the table's size, as after an interruption.
    """

    values: Tensor

    def __init__(
        self, shape: tuple[int, ...], fill: float, dtype: torch.dtype, keep: str = "device"
    ) -> None:
        super().__init__()
        self.keep = keep
        if keep in ("device", "cpu"):
            values = torch.full(shape, fill, dtype=dtype)
        elif keep.isidentifier():  # a single word is more likely a slip than a file
            raise UsageError(
                f"A label table is kept on the 'device', on the 'cpu' or in a file, and '{keep}' "
                f"is none of these; write './{keep}' if a file of this name is meant."
            )
        else:
            values = _mapped(Path(keep), shape, dtype).fill_(fill)
        self.register_buffer("values", values)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LabelTable:
        # Moving a module moves its buffers; a table that is kept elsewhere stays there.
        if self.keep == "device":
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def read(self, index: Tensor) -> Tensor:
        """Return the rows of a batch, on the batch's device."""
        return self.values[index.to(self.values.device)].to(index.device)

    def read_if_there(self, index: Tensor, otherwise: float) -> Tensor:
        """Return the rows of a batch, and a value in place of the rows that have an index of -1."""
        rows = self.read(index.clamp(min=0))
        return rows.masked_fill((index < 0)[:, None], otherwise)

    def write(self, index: Tensor, rows: Tensor) -> None:
        """Replace the rows of a batch, in the tables of all processes."""
        index, rows = gather_rows(index), gather_rows(rows.detach().to(self.values.dtype))
        self.values[index.to(self.values.device)] = rows.to(self.values.device)


def _mapped(path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if not path.parent.is_dir():
        raise UsageError(f"A label table cannot be kept at {path}: there is no such folder.")
    cells = math.prod(shape)
    size = cells * dtype.itemsize
    if path.exists() and (not path.is_file() or path.stat().st_size != size):
        raise UsageError(
            f"A label table of {size:,} bytes cannot be kept at {path}: something else is there "
            f"already. Choose another path, or remove it."
        )
    try:
        reserve(path, size)
        return torch.from_file(str(path), shared=True, size=cells, dtype=dtype).view(shape)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"A label table cannot be kept at {path}: {error}.") from error
