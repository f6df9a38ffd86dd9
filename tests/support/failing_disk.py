"""A disk that fails when it is told to, and one that loses its power, for tests of SQLite files.

SQLite reaches the disk through a table of functions. Here is one of its own that calls the usual
functions, counts writes and flushes, lets some of them fail, and remembers what was flushed.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WRITE_FAILED, FLUSH_FAILED, FULL = 778, 1034, 13  # SQLITE_IOERR_WRITE, _FSYNC, SQLITE_FULL

Pointer = ctypes.c_void_p
METHODS = (
    *("xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock"),
    *("xCheckReservedLock", "xFileControl", "xSectorSize", "xDeviceCharacteristics", "xShmMap"),
    *("xShmLock", "xShmBarrier", "xShmUnmap", "xFetch", "xUnfetch"),
)
VFS = (
    *("xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose"),
    *("xRandomness", "xSleep", "xCurrentTime", "xGetLastError", "xCurrentTimeInt64"),
    *("xSetSystemCall", "xGetSystemCall", "xNextSystemCall"),
)


class Methods(ctypes.Structure):
    _fields_ = [("iVersion", ctypes.c_int), *((name, Pointer) for name in METHODS)]


class File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(Methods))]


class Vfs(ctypes.Structure):
    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", Pointer),
        ("zName", ctypes.c_char_p),
        ("pAppData", Pointer),
        *((name, Pointer) for name in VFS),
    ]


Open = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, Pointer, Pointer, ctypes.c_int, Pointer)
Write = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, Pointer, ctypes.c_int, ctypes.c_int64)
Truncate = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, ctypes.c_int64)
Sync = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, ctypes.c_int)


@dataclass
class Disk:
    """What happened, and what is to happen.

    Attributes:
        fail_at: Which write or flush fails, from 1; 0 for none.
        for_good: Whether all later ones fail, too.
        code: What a failing write says; a failing flush says `FLUSH_FAILED`, unless it is full.
        calls: Writes and flushes so far.
        flushed: What each file held when it was flushed last.
    """

    fail_at: int = 0
    for_good: bool = False
    code: int = WRITE_FAILED
    calls: int = 0
    flushed: dict[str, bytes] = field(default_factory=dict)

    def fails(self) -> bool:
        self.calls += 1
        late = self.for_good and self.calls > self.fail_at
        return bool(self.fail_at) and (self.calls == self.fail_at or late)

    def cut_power(self, store: Path, folder: Path) -> Path:
        """Return the store as it is found when all that was not flushed is gone."""
        for name, content in self.flushed.items():
            if name.startswith(str(store)):
                (folder / Path(name).name).write_bytes(content)
        return folder / store.name


def find_library() -> Any:
    """Return the very SQLite that Python uses, or None if it cannot be reached."""
    spec = importlib.util.find_spec("_sqlite3")
    place = spec.origin if spec and spec.has_location else None
    library = ctypes.CDLL(place)
    if not hasattr(library, "sqlite3_vfs_find"):
        return None
    library.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
    library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
    library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(Vfs), ctypes.c_int]
    library.sqlite3_vfs_unregister.argtypes = [ctypes.POINTER(Vfs)]
    return library


@contextmanager
def failing_disk(library: Any, disk: Disk) -> Iterator[Disk]:
    """Let all SQLite files be on a disk that fails as told, within the context."""
    usual = library.sqlite3_vfs_find(None)
    table = Vfs()
    ctypes.pointer(table)[0] = usual.contents
    table.zName = b"failing"
    open_usual = Open(usual.contents.xOpen)
    kept: list[Any] = []  # alive as long as SQLite may call it
    tables: dict[int, Methods] = {}
    names: dict[int, str] = {}

    def wrap(methods: Methods) -> Methods:
        changed = Methods()
        ctypes.pointer(changed)[0] = methods
        write, truncate = Write(methods.xWrite), Truncate(methods.xTruncate)
        sync = Sync(methods.xSync)

        def failing_write(file: int, content: int, amount: int, offset: int) -> int:
            return disk.code if disk.fails() else write(file, content, amount, offset)

        def failing_truncate(file: int, size: int) -> int:
            return disk.code if disk.fails() else truncate(file, size)

        def failing_sync(file: int, flags: int) -> int:
            if disk.fails():
                return FULL if disk.code == FULL else FLUSH_FAILED
            done = sync(file, flags)
            name = names.get(file)
            if done == 0 and name:
                disk.flushed[name] = Path(name).read_bytes()
            return done

        calls = Write(failing_write), Truncate(failing_truncate), Sync(failing_sync)
        kept.extend((*calls, write, truncate, sync))
        changed.xWrite, changed.xTruncate, changed.xSync = (
            ctypes.cast(call, Pointer).value for call in calls
        )
        return changed

    def open_file(vfs: int, name: int, file: int, flags: int, out: int) -> int:
        done = open_usual(vfs, name, file, flags, out)
        methods = File.from_address(file).methods
        if done == 0 and methods:
            place = ctypes.addressof(methods.contents)
            if place not in tables:
                tables[place] = wrap(methods.contents)
            File.from_address(file).methods = ctypes.pointer(tables[place])
            names[file] = ctypes.string_at(name).decode() if name else ""
        return done

    opening = Open(open_file)
    table.xOpen = ctypes.cast(opening, Pointer).value
    library.sqlite3_vfs_register(ctypes.byref(table), 1)
    try:
        yield disk
    finally:
        library.sqlite3_vfs_register(usual, 1)
        library.sqlite3_vfs_unregister(ctypes.byref(table))
