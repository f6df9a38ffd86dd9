"""By what features are found again: what an image is, and what looked at it."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tacit.data.source import Source
from tacit.errors import DataError
from tacit.features.store import KEY_BYTES, to_keys

# Raised when the same trunk would make something else of the same image.
VERSION = 1


def key_images(source: Source, rows: range) -> NDArray[Any]:
    """Return what tells images from all others: the bytes of their files, or their pixels.

    The name of a file does not count, so that an image is known again in another folder or table.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return to_keys(list(pool.map(lambda row: _digest(source, row), rows)))


def _digest(source: Source, row: int) -> bytes:
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    if source.files is not None:
        path = source.files(row)
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise DataError(f"The image {path} cannot be read: {error.strerror}.") from error
    else:
        image = source.open(row)
        digest.update(f"{image.mode} {image.size}".encode())
        digest.update(np.asarray(image).tobytes())
    return digest.digest()


def key_trunk(trunk: nn.Module, ways: dict[str, Any]) -> str:
    """Return what tells a trunk and its ways of reading from all others.

    Args:
        trunk: Every weight and every layer counts.
        ways: Size, colours, precision and the like.
    """
    digest = hashlib.blake2b(f"{VERSION}\n{trunk}\n".encode(), digest_size=KEY_BYTES)
    digest.update(json.dumps(ways, sort_keys=True).encode())
    for name, tensor in sorted(trunk.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
