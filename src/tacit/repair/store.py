"""The store of verdicts: a file of SQLite to which one process adds, and from which any may read.

A verdict counts as given once it is on the disk. Whoever sends one again, because the answer to the
first time was lost, sends the same id, and it counts once.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import uuid4

from tacit.errors import DataError, TacitError, UsageError
from tacit.files import telling
from tacit.locks import hold_lock
from tacit.repair.verdicts import Verdict, settle

FORMAT = 1
MARK = 0x7AC17001  # what SQLite calls the id of an application
COLUMNS = tuple(field.name for field in fields(Verdict))
BUSY_SECONDS = 10.0
ROWS_AT_ONCE = 1000
TOGETHER = 256  # additions at most that go to the disk at once

SCHEMA = f"""
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE verdicts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, image TEXT NOT NULL, label TEXT NOT NULL, answer TEXT NOT NULL,
    who TEXT NOT NULL, at TEXT NOT NULL, stream TEXT NOT NULL,
    probability REAL, posterior REAL, model TEXT NOT NULL, shown TEXT NOT NULL
);
CREATE TRIGGER keep_changed BEFORE UPDATE ON verdicts
    BEGIN SELECT RAISE(ABORT, 'verdicts are only ever added'); END;
CREATE TRIGGER keep_removed BEFORE DELETE ON verdicts
    BEGIN SELECT RAISE(ABORT, 'verdicts are only ever added'); END;
PRAGMA application_id = {MARK};
PRAGMA user_version = {FORMAT};
"""
INSERT = (
    f"INSERT OR IGNORE INTO verdicts ({', '.join(COLUMNS)}) "
    f"VALUES ({', '.join('?' for _ in COLUMNS)})"
)
SELECT = f"SELECT number, {', '.join(COLUMNS)} FROM verdicts"


class DiskFull(TacitError):
    """There is no room for what was to be stored, and it is not stored."""


class Store:
    """Verdicts in a file, which has to be there; `Store.open` makes one.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._additions: queue.Queue[_Addition | None] = queue.Queue()
        self._writer: threading.Thread | None = None
        about = self._read_about()
        try:
            self.id: str = about["id"]  # tells this store from every other
            self.data: str = about["data"]
            classes = json.loads(about["classes"])
            int(self.id, 16)
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise self._damaged("what it says of itself is not whole") from error
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise self._damaged("its classes are no names")
        self.classes: tuple[str, ...] = tuple(classes)

    @classmethod
    def open(cls, path: str | Path, data: str, classes: Sequence[str]) -> Store:
        """Return the store at a path, made if it is not there, or refuse one of other data.

        Args:
            path: The file.
            data: Fingerprint of the labels that the verdicts are about.
            classes: Their names.
        """
        path = Path(path)
        if path.parent.is_file():
            raise UsageError(f"{path.parent} is a file, not a folder that verdicts can lie in.")
        if not path.exists():
            with telling(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with _locked(path):
                    _create(path, data, classes)
        store = cls(path)
        store.check(data, classes)
        return store

    def check(self, data: str, classes: Sequence[str]) -> None:
        """Refuse to go on with other data, or where a class has another name by now."""
        gone = [name for name in self.classes if name not in set(classes)]
        new = [name for name in classes if name not in set(self.classes)]
        if gone or new:
            raise DataError(
                f"The classes of {self.path} are not those of the data: "
                f"{_list('missing there', gone)}{' and ' if gone and new else ''}"
                f"{_list('new', new)}. Verdicts are kept by name; give the classes their old "
                f"names, or start a new review in another folder."
            )
        if data != self.data:
            raise DataError(
                f"{self.path} holds verdicts about other images or labels (fingerprint "
                f"{self.data}, not {data}). Open it with the data that it was made with, or start "
                f"a new review in another folder."
            )

    def verdicts(self) -> Iterator[Verdict]:
        """Go through all verdicts in the order in which they were given."""
        after = 0
        # In short reads, so that a slow reader holds up nothing.
        while True:
            with self._reading() as connection:
                sql = f"{SELECT} WHERE number > ? ORDER BY number LIMIT {ROWS_AT_ONCE}"
                rows = connection.execute(sql, (after,)).fetchall()
            for row in rows:
                yield self._to_verdict(row)
            if len(rows) < ROWS_AT_ONCE:
                return
            after = rows[-1][0]

    def _to_verdict(self, row: tuple[Any, ...]) -> Verdict:
        for name, value in zip(COLUMNS, row[1:], strict=True):
            number = name in ("probability", "posterior")
            if not isinstance(value, float | None if number else str):
                raise self._damaged(f"the {name} of verdict {row[0]} is none")
        try:
            return Verdict(*row[1:])
        except DataError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> DataError:
        return DataError(f"{self.path} is damaged ({why}). Go on from a copy of it.")

    def settle(self) -> dict[tuple[str, str], dict[str, Verdict]]:
        """Return for each cell the last answer of each person who has one."""
        return settle(self.verdicts())

    def count(self) -> int:
        """Return how many verdicts there are, undone ones and undoing ones included."""
        with self._reading() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0])

    def __len__(self) -> int:
        return self.count()

    def copy(self, path: str | Path) -> None:
        """Write a copy that is whole, even while verdicts are being added."""
        path = Path(path)
        if path.exists():
            raise UsageError(f"There is something at {path} already; choose another path.")
        with telling(path), self._reading() as here, closing(_connect(path)) as there:
            here.backup(there)

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """Be the only process that adds; another one is refused with the number of this one."""
        with _locked(self.path):
            self._writer = threading.Thread(target=self._write_all, name="verdicts", daemon=True)
            self._writer.start()
            try:
                yield self
            finally:
                self._additions.put(None)
                self._writer.join()
                self._writer = None

    def add(self, verdicts: Verdict | Iterable[Verdict]) -> int:
        """Add verdicts, all or none, and return once they are on the disk.

        Returns:
            How many of them were new.
        """
        given = [verdicts] if isinstance(verdicts, Verdict) else list(verdicts)
        if self._writer is not None:
            return self.submit(given).result()
        with self.writing():
            return self.submit(given).result()

    def submit(self, verdicts: Sequence[Verdict]) -> Future[int]:
        """Add verdicts without waiting for the disk; to be used within `writing`."""
        if self._writer is None:
            raise ValueError("verdicts are submitted within `with store.writing():`")
        addition = _Addition(verdicts)
        self._additions.put(addition)
        return addition.done

    def _write_all(self) -> None:
        """Write what is added until there is a None; the one thread that does."""
        connection: sqlite3.Connection | None = None
        open_end = True
        while open_end:
            together = [self._additions.get()]
            while len(together) < TOGETHER and not self._additions.empty():
                together.append(self._additions.get())
            open_end = None not in together
            additions = [addition for addition in together if addition is not None]
            try:
                connection = connection or _connect(self.path, create=False)
                _write(connection, additions)
            except Exception as error:
                # What the disk holds is known again after opening the file anew, and not before.
                _close(connection)
                connection = None
                told = _explain(error, self.path)
                for addition in additions:
                    addition.refused = addition.refused or told
            for addition in additions:
                addition.tell()
        _close(connection)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(_connect(self.path, create=False)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise _explain(error, self.path) from error

    def _read_about(self) -> dict[str, str]:
        if not self.path.is_file():
            raise DataError(f"There are no verdicts at {self.path}.")
        with self._reading() as connection:
            if connection.execute("PRAGMA application_id").fetchone()[0] != MARK:
                raise DataError(f"{self.path} is no store of verdicts.")
            format = connection.execute("PRAGMA user_version").fetchone()[0]
            if format > FORMAT:
                raise DataError(
                    f"{self.path} was written by a newer tacit (format {format}, this one knows "
                    f"{FORMAT}); use that one, or update this."
                )
            return dict(connection.execute("SELECT name, value FROM about"))


class _Addition:
    """Verdicts that are added together, and who waits for them."""

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        self.verdicts = verdicts
        self.done: Future[int] = Future()
        self.new = 0
        self.refused: TacitError | None = None

    def tell(self) -> None:
        if self.refused is not None:
            self.done.set_exception(self.refused)
        else:
            self.done.set_result(self.new)


def _write(connection: sqlite3.Connection, additions: Sequence[_Addition]) -> None:
    """Write additions in one transaction; when this returns they are on the disk."""
    if not additions:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for addition in additions:
            connection.execute("SAVEPOINT addition")
            try:
                addition.new = sum(_insert(connection, each) for each in addition.verdicts)
            except DataError as error:
                connection.execute("ROLLBACK TO addition")
                addition.refused = error
            connection.execute("RELEASE addition")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _insert(connection: sqlite3.Connection, verdict: Verdict) -> int:
    """Insert a verdict, or find that it is there already."""
    values = tuple(getattr(verdict, name) for name in COLUMNS)
    if connection.execute(INSERT, values).rowcount:
        return 1
    row = connection.execute(f"{SELECT} WHERE id = ?", (verdict.id,)).fetchone()
    held = Verdict(*row[1:])
    if (held.cell, held.answer, held.who) != (verdict.cell, verdict.answer, verdict.who):
        raise DataError(
            f"The id '{verdict.id}' belongs to another verdict, '{held.answer}' of {held.who}; "
            f"every verdict has an id of its own."
        )
    return 0


def _connect(path: Path, create: bool = True) -> sqlite3.Connection:
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin and end where it is written
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    with telling(lock), hold_lock(lock, f"the review in {path}"):
        yield


def _create(path: Path, data: str, classes: Sequence[str]) -> None:
    """Make an empty store beside the place and move it there, so that none is ever half made."""
    if path.exists():  # another process was faster
        return
    partial = path.with_name(f".{path.name}.{uuid4().hex[:16]}.partial")
    try:
        with closing(_connect(partial)) as connection:
            connection.executescript(SCHEMA)
            about = {"id": uuid4().hex, "data": data, "classes": json.dumps(list(classes))}
            connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
            # Readers and the writer do not wait for each other; said once, the file keeps it.
            connection.execute("PRAGMA journal_mode = WAL")
        partial.rename(path)
    except sqlite3.Error as error:
        raise _explain(error, path) from error
    finally:
        partial.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):  # the names of new files are on the disk, too
        held = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(held)
        finally:
            os.close(held)


def _explain(error: Exception, path: Path) -> TacitError:
    """Say what kept a store from being read or written."""
    if isinstance(error, TacitError):
        return error
    code = getattr(error, "sqlite_errorcode", None) or 0
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull(
            f"Nothing more fits on the disk of {path}: the last answers are not stored. Free some "
            f"room; the page keeps them and sends them again."
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataError(
            f"{path} is damaged or no store of verdicts ({error}). Go on from a copy of it."
        )
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
        return TacitError(f"{path} cannot be opened for writing: {error}.")
    return TacitError(f"{path} cannot be written: {error}. The last answers are not stored.")


def _list(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = "" if len(names) <= 5 else f" and {len(names) - 5} more"
    return f"{', '.join(names[:5])}{more} {'is' if len(names) == 1 else 'are'} {what}"
