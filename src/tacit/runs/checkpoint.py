"""Checkpoints: everything training needs to go on, written so that one is always whole."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tacit.data.source import Source
from tacit.errors import DataError
from tacit.files import write_atomically

LAST, PREVIOUS = "last.pt", "previous.pt"


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to; continuing with anything else would be silently wrong."""

    classes: tuple[str, ...]
    images: int
    data: str

    def differs_from(self, other: Identity) -> str | None:
        """Return how another identity differs, or None."""
        if self.classes != other.classes:
            pairs = zip(self.classes, other.classes, strict=False)
            first = next((f"'{a}' against '{b}'" for a, b in pairs if a != b), "their number")
            return (
                f"its {len(self.classes)} classes are not the {len(other.classes)} of the data "
                f"(first difference: {first})"
            )
        if self.images != other.images:
            return (
                f"it was made from {self.images:,} training images, the data has {other.images:,}"
            )
        if self.data != other.data:
            return f"its labels or image names differ (fingerprint {self.data}, not {other.data})"
        return None


def identify(train: Source) -> Identity:
    """Return what a checkpoint that is made from these images belongs to."""
    return Identity(train.classes, len(train), train.fingerprint())


def save_checkpoint(folder: Path, identity: Identity, state: dict[str, Any]) -> None:
    """Write a checkpoint and keep the one before it."""
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / LAST
    written = {"identity": vars(identity), **state}

    if last.exists():
        write_atomically(folder / PREVIOUS, lambda path: _second_name(last, path))
    write_atomically(last, lambda path: _write_state(path, written))


def _write_state(path: Path, state: dict[str, Any]) -> None:
    # To an open file: given a path, torch does not say that the disk is full, and writes the name
    # of the file into it.
    with path.open("wb") as file:
        torch.save(state, file)


def _second_name(file: Path, name: Path) -> None:
    # A link costs nothing and leaves `file` where it is; some file systems have none.
    try:
        name.unlink()  # its name was only reserved
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)


def load_checkpoint(folder: Path, identity: Identity, which: str = LAST) -> dict[str, Any]:
    """Read a checkpoint and make sure that it belongs to the data at hand."""
    path = folder / which
    if not path.exists():
        raise DataError(f"There is no checkpoint at {path}.{_offer_previous(path)}")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        made_with = Identity(**state.pop("identity"))
    except Exception as error:  # torch.load fails in as many ways as a file can be damaged
        raise DataError(f"{path} is damaged and cannot be read.{_offer_previous(path)}") from error
    difference = made_with.differs_from(identity)
    if difference:
        raise DataError(f"{path} belongs to other data: {difference}. Start a new run folder.")
    return state


def _offer_previous(path: Path) -> str:
    previous = path.with_name(PREVIOUS)
    if path.name != PREVIOUS and previous.exists():
        return (
            f" The one before it is still there: move {previous} to {path} and resume again; "
            f"at most one epoch is repeated."
        )
    return " Start the run again in a new folder."
