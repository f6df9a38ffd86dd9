"""One process at a time: a file that says who is at work.

A lock whose owner has died on this machine is taken over, so that a run that was killed can go on.
Nobody can tell from here whether a process on another machine still lives.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tacit.errors import UsageError

ATTEMPTS = 5  # at a file that others make and remove in the meantime


@dataclass(frozen=True)
class Owner:
    """A process: where it is, its number there, and when it started, if the system tells."""

    host: str
    pid: int
    started: int | None

    @classmethod
    def this(cls) -> Owner:
        """Return the process that asks."""
        return cls(socket.gethostname(), os.getpid(), _started(os.getpid()))

    def has_died(self) -> bool:
        """Say whether the process is known to be gone; its number may be another's by now."""
        if self.host != socket.gethostname():
            return False
        if Path("/proc/self/stat").exists():
            return _started(self.pid) != self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False


def _started(pid: int) -> int | None:
    """Return when a process started, in ticks since the machine did; None if it has ended."""
    try:
        # The second field is a name in brackets, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


# Which thread of this process holds which lock: it may go in again, others may not.
_held: dict[Path, int] = {}


@contextmanager
def hold_lock(path: Path, task: str) -> Iterator[None]:
    """Be the only process, and the only thread of it, between entering and leaving.

    Args:
        path: The lock, a file in a folder that exists.
        task: What there is to be alone at, for the sentence that others get to read.
    """
    key, thread = path.resolve(), threading.get_ident()
    if _held.get(key) == thread:
        yield
        return
    _take(path, task)
    _held[key] = thread
    try:
        yield
    finally:
        del _held[key]
        path.unlink(missing_ok=True)


def _take(path: Path, task: str) -> None:
    for _ in range(ATTEMPTS):
        try:
            return _create(path)
        except FileExistsError:
            owner = _read(path)
        if owner is not None and not owner.has_died():
            raise UsageError(
                f"Process {owner.pid} on {owner.host} is at work on {task}; wait for its end. If "
                f"there is no such process any more, delete {path}."
            )
        if owner is not None:
            _remove(path, owner)
    raise UsageError(f"Other processes are at work on {task}; wait for their end.")


def _create(path: Path) -> None:
    written = json.dumps(asdict(Owner.this())).encode()
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    try:
        os.write(file, written)
    finally:
        os.close(file)


def _read(path: Path) -> Owner | None:
    """Return who holds a lock; None if nobody does any more."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{path} does not say which process is at work there; delete it if there is none."
        ) from error


def _remove(path: Path, dead: Owner) -> None:
    """Remove the lock of a dead process; of several that try, only one gets hold of it."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) == dead:
        aside.unlink()
    else:  # somebody else has removed it, and this is the lock of a living process
        aside.rename(path)
