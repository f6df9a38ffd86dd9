"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside the target, flush to disk, then rename.

    A crash at any moment leaves either the old file or the new one.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    # Left behind by a process that was killed; in containers the numbers of processes repeat.
    partial.unlink(missing_ok=True)
    try:
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda partial: _write(partial, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
