"""Writing files so that nobody ever sees half of one, and reading what may hold anything."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacit.errors import DataError, TacitError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

# Names of partial files are random: processes in containers that share a folder have equal numbers.
_PARTIAL = re.compile(r"\..+\.[0-9a-f]{16}\.partial")
DAY = 24 * 60 * 60
# Folders that this process has looked through for what dead ones left behind.
_swept: set[Path] = set()

REASONS = {
    errno.ENOSPC: "there is no room left on its disk; free some and repeat the command",
    errno.EDQUOT: "your share of its disk is used up; free some and repeat the command",
    errno.EROFS: "its disk can only be read; choose another place",
    errno.EACCES: "you are not allowed to; choose another place, or change its permissions",
    errno.EPERM: "you are not allowed to; choose another place, or change its permissions",
    errno.ENOTDIR: "a part of its path is a file, not a folder; choose another place",
    errno.EISDIR: "it is a folder, not a file; choose another place",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
    errno.EIO: "its disk is broken, or gone",
}
"""What a person can do about errors of the operating system."""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside the target, flush to disk, then rename.

    A crash at any moment leaves either the old file or the new one.

    Args:
        path: The target.
        write: Writes into the file it is given, which is there and empty.
    """
    with telling(path), partial_beside(path) as partial:
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)


@contextmanager
def partial_beside(path: Path, folder: bool = False) -> Iterator[Path]:
    """Make a file, or a folder, beside a target to write in; it is gone in the end.

    Whoever writes holds a lock on it, so that others can tell what the dead have left behind.
    """
    _sweep(path.parent)
    partial, held = _make(path, folder)
    try:
        yield partial
    finally:
        if folder:
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        os.close(held)


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Say in a sentence why something cannot be written."""
    try:
        yield
    except TacitError:
        raise
    except Exception as error:
        refused = _find_refusal(error)
        if refused is None or not _is_about(refused, path):
            raise
        kind = UsageError if refused.errno == errno.ENAMETOOLONG else TacitError
        raise kind(f"{path} cannot be written: {REASONS[refused.errno or 0]}.") from error


def _find_refusal(error: BaseException | None) -> OSError | None:
    """Return what the system refused; libraries may say something else of it, as torch does."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in REASONS:
            return error
        error = error.__cause__ or error.__context__
    return None


def _is_about(refused: OSError, path: Path) -> bool:
    """Whether it is what was to be written that was refused, and no file that was read."""
    return refused.filename is None or str(refused.filename).startswith(str(path.parent))


def reserve(path: Path, size: int) -> None:
    """Make a file so many bytes long, all of which are on the disk.

    To be called before a file is mapped into memory: where a disk is full by the time that a byte
    of such a file is written, the process ends at once and cannot say why.
    """
    with telling(path), path.open("ab") as file:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def is_there(path: Path) -> bool:
    """Whether there is something at a path, also where no system would allow such a name."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_partial(path: Path) -> bool:
    """Whether a file is what a process that was killed has left of another one."""
    return path.name.startswith(".") and path.name.endswith(".partial")


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


def _make(path: Path, folder: bool) -> tuple[Path, int]:
    while True:
        partial = path.with_name(f".{path.name}.{os.urandom(8).hex()}.partial")
        if folder:
            partial.mkdir()
            held = os.open(partial, os.O_RDONLY)
        else:
            held = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        _lock(held)
        # Somebody who sweeps may have come between.
        with suppress(FileNotFoundError):
            if os.path.samestat(partial.stat(), os.fstat(held)):
                return partial, held
        os.close(held)


def _lock(file: int) -> bool | None:
    """Lock a file; False if another process has, None where the file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sweep(folder: Path) -> None:
    """Remove what processes that are gone have left in a folder, the first time it is asked for."""
    known = folder.absolute()
    if known in _swept:
        return
    _swept.add(known)
    with suppress(OSError):
        for entry in os.scandir(folder):
            if _PARTIAL.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_if_dead(Path(entry.path))


def _remove_if_dead(partial: Path) -> None:
    is_folder = partial.is_dir()
    held = os.open(partial, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        free = _lock(held)
        if free is None:  # nobody can tell; a day is more than any file takes
            free = time.time() - partial.stat().st_mtime > DAY
        if free:
            shutil.rmtree(partial) if is_folder else partial.unlink()
    finally:
        os.close(held)


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
