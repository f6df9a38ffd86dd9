"""Pixels: images that are scaled already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing import Self

    from PIL import Image
    from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """Square images in rows of an array, of which a source shows some.

    Attributes:
        array: (M, S, S, 3) uint8, mapped from a file or in memory.
        rows: (N,) the array's row of each image.
    """

    array: NDArray[np.uint8] | Tensor
    rows: NDArray[np.int64]

    @property
    def size(self) -> int:
        """The images' side."""
        return int(self.array.shape[1])

    def read(self, rows: NDArray[np.integer] | list[int]) -> NDArray[np.uint8]:
        """Return some images, (n, S, S, 3)."""
        array: NDArray[np.uint8] = np.asarray(self.array)  # without a copy
        return array[self.rows[rows]]

    def open(self, row: int) -> Image.Image:
        """Return one image."""
        from PIL import Image

        return Image.fromarray(self.read([row])[0])

    def take(self, rows: NDArray[np.integer]) -> Self:
        """Return some rows, in the order given."""
        return replace(self, rows=self.rows[rows])
