"""The feature store: arrays on disk that are found again by the content they were made of.

A shelf holds what one trunk makes of images in one way. It grows by files that are written whole
and never changed, so that several processes may read and add to it at once; where two compute the
same image, both find the same.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tacit.errors import DataError, UsageError
from tacit.files import write_atomically, write_text

KEY_BYTES = 16
KEY = np.dtype((np.void, KEY_BYTES))
ABOUT, PIECE = "about.json", ".safetensors"
KINDS = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True)
class Hit:
    """Where the features of some images lie: a file of the shelf, and rows in it."""

    file: Path
    rows: NDArray[np.intp]
    found: NDArray[np.intp]  # which of the images that were asked for


class Shelf:
    """The features that were made in one way.

    Args:
        folder: Where its files are.
        about: What made them, for a person who looks into the folder.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder, self.about = folder, about
        self._shape: torch.Size | None = None  # of the features of one image, once some are read

    def find(self, keys: NDArray[Any]) -> list[Hit]:
        """Say where features of images are; those that are not here are in none of the hits."""
        hits, missing = [], np.arange(len(keys))
        for file in sorted(self.folder.glob(f"*{PIECE}")):
            if not len(missing):
                break
            held = _read_keys(file)
            order = np.argsort(held)
            at = np.minimum(np.searchsorted(held, keys[missing], sorter=order), len(held) - 1)
            same = held[order[at]] == keys[missing]
            if same.any():
                hits.append(Hit(file, order[at][same], missing[same]))
                missing = missing[~same]
        return hits

    def read(self, hit: Hit) -> Tensor:
        """Return the features of one hit, in the order of its rows."""
        with _opened(hit.file) as file:
            kept: Tensor = file.get_tensor("features")
        shape = kept.shape[1:]
        if shape != (self._shape or shape):
            raise _foreign(hit.file)
        self._shape = shape
        return kept[torch.from_numpy(hit.rows)]

    def add(self, keys: NDArray[Any], features: Tensor) -> None:
        """Keep the features of more images."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / ABOUT).exists():
            write_text(self.folder / ABOUT, json.dumps(self.about, indent=2) + "\n")
        rows = torch.from_numpy(keys.view(np.uint8).reshape(len(keys), KEY_BYTES).copy())
        tensors = {"keys": rows, "features": features.cpu().contiguous()}
        name = f"{os.urandom(8).hex()}{PIECE}"
        write_atomically(self.folder / name, lambda partial: save_file(tensors, partial))


def _read_keys(file: Path) -> NDArray[Any]:
    with _opened(file) as opened:
        if {*opened.keys()} != {"keys", "features"}:
            raise _foreign(file)
        keys = opened.get_tensor("keys")
        features = opened.get_slice("features")
        shape, kind = features.get_shape(), features.get_dtype()
    if not len(keys) or keys.dtype != torch.uint8 or keys.shape[1:] != (KEY_BYTES,):
        raise _foreign(file)
    if shape[:1] != [len(keys)] or kind not in KINDS:
        raise _foreign(file)
    held: NDArray[Any] = np.ascontiguousarray(keys.numpy()).view(KEY).reshape(-1)
    return held


def _foreign(file: Path) -> DataError:
    return DataError(f"{file} holds no features of this kind; delete it, they are made again.")


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, "pt") as opened:
            yield opened
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{file} is damaged ({error}); delete it, and its features are made again."
        ) from error


def to_keys(digests: Sequence[bytes]) -> NDArray[Any]:
    """Return digests of content as an array that a shelf looks up."""
    return np.frombuffer(b"".join(digests), dtype=KEY)


def list_shelves(store: Path) -> dict[str, dict[str, Any]]:
    """Return what made each shelf of a store, with its ``bytes`` on the disk."""
    shelves = {}
    for about in sorted(store.glob(f"*/{ABOUT}")):
        try:
            told = json.loads(about.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            told = {}
        size = sum(file.stat().st_size for file in about.parent.iterdir())
        shelves[about.parent.name] = {**(told if isinstance(told, dict) else {}), "bytes": size}
    return shelves


def check_limit(shelf: Shelf, needed: int, limit: float) -> None:
    """Refuse to let a store grow beyond a number of GB, or beyond what its disk has left.

    Args:
        shelf: Where the features would be kept; what is there already is not needed again.
        needed: Bytes of all features that the shelf would hold.
        limit: GB that the whole store may take.
    """
    store = shelf.folder.parent
    shelves = list_shelves(store)
    used = sum(each["bytes"] for each in shelves.values())
    more = max(needed - shelves.get(shelf.folder.name, {"bytes": 0})["bytes"], 0)
    home = next(each for each in (store, *store.resolve().parents) if each.exists())
    free = shutil.disk_usage(home).free
    if not more or (used + more <= limit * 1e9 and more <= free):
        return
    raise UsageError(
        f"The features of this run take {more / 1e9:,.1f} GB more in {store}, which holds "
        f"{used / 1e9:,.1f} GB, may hold {limit:,.1f} GB (data.store_limit), and whose disk has "
        f"{free / 1e9:,.1f} GB left. Make room with `tacit cache --clean`, choose a smaller "
        f"model.size, freeze more stages, or set phases.versions = 1."
    )


def find_store(said: str | None) -> Path | None:
    """Return the folder of the store that a recipe names; "shared" is the one of this user."""
    if said is None:
        return None
    return find_user_cache() / "features" if said == "shared" else Path(said)


def find_user_cache() -> Path:
    """Return the folder for what can be made again: $TACIT_CACHE, or where such things belong."""
    told = os.environ.get("TACIT_CACHE")
    if told:
        return Path(told)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tacit"
