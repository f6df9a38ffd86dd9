"""Unpacking an archive below a folder: nothing leaves it, nothing there is overwritten."""

from __future__ import annotations

import errno
import gzip
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import IO, Protocol

from tacit.benchmarks.download import CHUNK, Progress, report_nothing
from tacit.data.listing import leaves_the_root
from tacit.errors import DataError
from tacit.files import partial_beside, telling

BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    LZMAError,
    EOFError,
    RuntimeError,  # a zip that wants a password
    ValueError,  # numbers in headers that are none
    LookupError,  # names without a sign in them, or of no member
    struct.error,
    OverflowError,
)


class DamagedArchive(DataError):
    """An archive that is none, or not whole."""


@dataclass(frozen=True)
class Member:
    """A file in an archive."""

    name: str
    size: int


class _Archive(Protocol):
    """What zip and tar have in common here; both refuse everything but files and folders."""

    def members(self) -> Iterator[Member]: ...
    def open(self, member: Member) -> AbstractContextManager[IO[bytes]]: ...


class _Zip:
    def __init__(self, file: zipfile.ZipFile) -> None:
        self.file = file

    def members(self) -> Iterator[Member]:
        for info in self.file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _strange(info.filename, "a link or device")
            if not info.is_dir():
                yield Member(info.filename, info.file_size)

    def open(self, member: Member) -> AbstractContextManager[IO[bytes]]:
        return self.file.open(member.name)


class _Tar:
    def __init__(self, file: tarfile.TarFile) -> None:
        self.file = file
        self.found: dict[str, tarfile.TarInfo] = {}

    def members(self) -> Iterator[Member]:
        for info in self.file:
            if not info.isfile() and not info.isdir():
                raise _strange(info.name, "a link or device")
            if info.isfile():
                self.found[info.name] = info
                yield Member(info.name, info.size)
        # To the very end, where compressed files have their checksum.
        while self.file.fileobj is not None and self.file.fileobj.read(CHUNK):
            pass

    @contextmanager
    def open(self, member: Member) -> Iterator[IO[bytes]]:
        stream = self.file.extractfile(self.found[member.name])
        assert stream is not None  # it is a file
        with stream:
            yield stream


def unpack(
    archive: Path,
    root: Path,
    progress: Progress = report_nothing,
    begin: Callable[[], None] = lambda: None,
) -> int:
    """Unpack an archive below a folder.

    All names are looked at before anything is written. A file that is there with the size it
    should have is taken for unpacked already; one of another size is refused.

    Args:
        archive: A zip or tar archive, compressed or not.
        root: The folder.
        progress: Called with what is being done.
        begin: Called before the first file is written.

    Returns:
        How many files were written.

    Raises:
        DamagedArchive: If the archive is not whole.
        DataError: If it holds what must not be unpacked, or another file is in the way.
    """
    try:
        with _opening(archive) as opened:
            waiting = _plan(archive, opened, root)
            need = sum(member.size for member in waiting)
            require_space(root, need, f"unpack {archive.name}")
            done = 0
            begin()
            for member in waiting:
                _write(opened, member, root / member.name)
                done += member.size
                progress(f"unpacking {archive.name}", done, need)
            return len(waiting)
    except BROKEN as error:
        raise DamagedArchive(f"{archive} is damaged: {error or type(error).__name__}.") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the beginning of the file
            raise
        raise DamagedArchive(f"{archive} is damaged: its parts are not where it says.") from error


def require_space(folder: Path, need: int, purpose: str) -> None:
    """Refuse to begin what would fill the disk."""
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DataError(
            f"{write_size(need)} are needed to {purpose}, and {write_size(free)} are free on the "
            f"disk "
            f"of {folder}."
        )


def write_size(count: float) -> str:
    """Write a number of bytes in a readable unit."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


@contextmanager
def _opening(archive: Path) -> Iterator[_Archive]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield _Zip(file)
        return
    if not tarfile.is_tarfile(archive):
        with archive.open("rb") as page:
            web = page.read(512).lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))
        what = "a web page" if web else "neither a zip nor a tar archive, or its end is missing"
        raise DamagedArchive(f"{archive} is {what}.")
    with tarfile.open(archive) as tar:
        yield _Tar(tar)


def _plan(archive: Path, opened: _Archive, root: Path) -> list[Member]:
    """Return the files that are still to be written, after looking at all of them."""
    sizes: dict[str, int] = {}
    waiting, in_the_way = [], []
    for member in opened.members():
        if leaves_the_root(member.name) or "\0" in member.name:
            raise DataError(f"{archive} holds '{member.name}', a path out of the folder.")
        if sizes.setdefault(member.name, member.size) != member.size:
            raise DamagedArchive(f"{archive} holds two files called '{member.name}'.")
        target = root / member.name
        if not target.exists():
            waiting.append(member)
        elif not target.is_file() or target.stat().st_size != member.size:
            in_the_way.append(target)
    if in_the_way:
        raise DataError(
            f"{len(in_the_way)} other files are where {archive.name} has its own, first "
            f"{in_the_way[0]}. Nothing was unpacked; move them away."
        )
    return list(dict.fromkeys(waiting))


def _write(opened: _Archive, member: Member, target: Path) -> None:
    """Write one file, which has its name only when it is whole."""
    with telling(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial_beside(target) as partial:
            with opened.open(member) as source, partial.open("wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
            if partial.stat().st_size != member.size:
                raise EOFError(f"'{member.name}' ends too early")
            partial.replace(target)


def _strange(name: str, what: str) -> DataError:
    return DataError(f"The archive holds {what}, '{name}'; only files and folders are unpacked.")
