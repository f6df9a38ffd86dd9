"""Writing files so that nobody ever sees half of one, and reading what may hold anything."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacit.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside the target, flush to disk, then rename.

    A crash at any moment leaves either the old file or the new one.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        # Left behind by a process that was killed; in containers the numbers of processes repeat.
        partial.unlink(missing_ok=True)
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except Exception as error:
        refused = _find_refusal(error)
        if refused is None:
            raise
        refused.filename = str(path)  # a full disk names no file, and nobody knows the partial one
        raise refused from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _find_refusal(error: BaseException | None) -> OSError | None:
    """Return what the system refused; torch says something else when a disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda partial: _write(partial, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def read_text(path: Path) -> str:
    """Read a text file, or say why not."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def read_json(path: Path) -> Any:
    """Read a JSON file, or say why not."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise DataError(f"{path} is not readable as JSON: {error}.") from error
    except RecursionError as error:
        raise DataError(f"{path} is not readable as JSON: it is nested too deeply.") from error


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a ``.npz`` file by name, or the one of a ``.npy`` file as ``""``."""
    import numpy as np

    try:
        with path.open("rb") as opened:  # numpy leaves files open that it cannot read
            stored = np.load(opened, allow_pickle=False)
            return {"": stored} if isinstance(stored, np.ndarray) else dict(stored)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a damaged header makes numpy and zipfile raise almost anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path} is no file of numpy arrays, or damaged: {reason}.") from error


def read_array(path: Path) -> NDArray[Any]:
    """Read the one array of a ``.npy`` file."""
    arrays = read_arrays(path)
    if "" not in arrays:
        raise DataError(f"{path} holds several arrays, where one is expected (.npy).")
    return arrays[""]
