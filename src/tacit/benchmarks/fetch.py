"""Fetching a benchmark: its official archives, checked and unpacked below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tacit.benchmarks import (
    Archive,
    Benchmark,
    find_benchmark,
    find_missing_files,
    unpacking_marker,
)
from tacit.benchmarks.download import Patience, Progress, check, download, report_nothing
from tacit.benchmarks.unpack import DamagedArchive, require_space, unpack, write_size
from tacit.errors import DataError, TacitError, UsageError

Tell = Callable[[str], None]
FETCHED, FOUND = "fetched", "found"


def fetch(
    name: str,
    root: Path,
    *,
    tell: Tell,
    keep: bool = False,
    progress: Progress = report_nothing,
    patience: Patience | None = None,
) -> None:
    """Fetch and unpack what is missing of a benchmark.

    What is there stays as it is; the next call continues one that was interrupted. Files that
    no archive holds are left to `read_benchmark` to ask for.

    Args:
        name: A name from `BENCHMARKS`.
        root: The folder of the official files; made if it is not there.
        tell: Called with sentences for the user, the licence before anything is fetched.
        keep: Keep the archives after unpacking.
        progress: Called with how far it is.
        patience: How long to bear with servers.
    """
    benchmark = find_benchmark(name)
    origins = set(find_missing_files(benchmark, root).values())
    wanted = [archive for archive in benchmark.archives if archive.name in origins]
    if not wanted:
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        _require_space(root, wanted, keep)
        tell(f"{name}: {benchmark.title}, from {benchmark.source}")
        tell(f"Licence: {benchmark.licence}")
        for archive in wanted:
            _bring(benchmark, archive, root, tell, keep, progress, patience)
    except OSError as error:
        raise DataError(f"{name} cannot be unpacked below {root}: {error}.") from error
    except (DataError, UsageError):
        raise
    except TacitError as error:  # about a file that could not be written
        raise DataError(f"{name} cannot be unpacked below {root}: {error}") from error
    if benchmark.by_hand:
        tell(benchmark.by_hand)


def _require_space(root: Path, wanted: Sequence[Archive], keep: bool) -> None:
    """Refuse to begin what the disk has no room for, less what is there already."""
    left = []
    for archive in wanted:
        there = [root / archive.name, root / f"{archive.name}.part"]
        left.append(archive.size - sum(path.stat().st_size for path in there if path.exists()))
    room = sum(
        archive.room
        for archive in wanted
        # Where unpacking has begun, it is not known how much of the room is taken already.
        if not unpacking_marker(root, archive.name).exists()
    )
    names = " and ".join(archive.name for archive in wanted)
    archives = sum(left) if keep else max(left)  # one is removed before the next one is fetched
    require_space(root, max(archives, 0) + room, f"fetch and unpack {names}")


def _bring(
    benchmark: Benchmark,
    archive: Archive,
    root: Path,
    tell: Tell,
    keep: bool,
    progress: Progress,
    patience: Patience | None,
) -> None:
    """Fetch one archive, unless it lies there, and unpack it."""
    path, marker = root / archive.name, unpacking_marker(root, archive.name)
    ours = not path.exists() or (marker.exists() and marker.read_text() == FETCHED)
    try:
        if not path.exists():
            tell(f"Fetching {archive.address} ({write_size(archive.size)})")
        _obtain(archive, path, progress, patience)
        written = unpack(
            path, root, progress, begin=lambda: _write(marker, FETCHED if ours else FOUND)
        )
    except DamagedArchive as error:
        raise DataError(f"{error} Remove it, and it is fetched anew.") from error
    except DataError as error:
        raise DataError(
            f"{error}\n{archive.name} is offered at {benchmark.source}; put into {root} by hand, "
            f"it is checked and unpacked by the same command."
        ) from error
    if hasattr(os, "sync"):
        os.sync()  # before the archive goes, its contents are on the disk
    marker.unlink()
    if ours and not keep:
        path.unlink()
    removed = ", archive removed" if ours and not keep else ""
    tell(f"{archive.name}: checksum as expected, {written:,} files unpacked{removed}")


def _obtain(archive: Archive, path: Path, progress: Progress, patience: Patience | None) -> None:
    """See to it that an archive is there and as it should be."""
    if not path.exists():
        download(
            archive.address,
            path,
            size=archive.size,
            digest=archive.digest,
            progress=progress,
            patience=patience,
        )
        return
    try:
        check(path, archive.size, archive.digest, progress)
    except DataError as error:
        raise DataError(f"{error} Remove {path}, and it is fetched.") from error


def _write(marker: Path, text: str) -> None:
    marker.write_text(text, encoding="utf-8")
