"""The store of verdicts: nothing that was acknowledged is lost, and nothing counts twice."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from failing_disk import FULL, Disk, failing_disk, find_library
from tacit.errors import DataError, TacitError, UsageError
from tacit.repair.store import DiskFull, Store
from tacit.repair.verdicts import Verdict

sys.path.append(str(Path(__file__).parents[2] / "bench"))

import review as bench

CLASSES = ("cat", "dog")
LIBRARY = find_library()
needs_library = pytest.mark.skipif(LIBRARY is None, reason="SQLite's functions are out of reach")


def say(number: int, answer: str = "present", who: str = "ann") -> Verdict:
    at = "2026-01-01T00:00:00.000+00:00"
    return Verdict(f"v{number}", f"image-{number}", "dog", answer, who, at)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "repair" / "verdicts.sqlite", "f00d", CLASSES)


def test_what_is_added_is_read_in_the_same_order_by_anybody(store: Store) -> None:
    full = Verdict("x", "a b/ü.jpg", "dog", "absent", "ann", "now", "audit", 0.25, 0.5, "m", "crop")
    assert store.add([say(2), say(1)]) == 2
    assert store.add(full) == 1
    assert list(Store(store.path).verdicts()) == [say(2), say(1), full]
    assert len(store) == store.count() == 3
    assert store.settle()["image-1", "dog"] == {"ann": say(1)}


def test_more_verdicts_than_are_read_at_once(store: Store) -> None:
    given = [say(number) for number in range(2500)]
    store.add(given)
    assert list(store.verdicts()) == given


def test_what_is_sent_twice_counts_once(store: Store) -> None:
    assert store.add([say(1), say(1)]) == 1
    assert store.add([say(1), say(2)]) == 1
    assert list(store.verdicts()) == [say(1), say(2)]


def test_an_id_of_another_verdict_is_refused_with_all_that_came_with_it(store: Store) -> None:
    store.add(say(1))
    other = Verdict("v1", "image-9", "dog", "present", "ann", "now")
    with store.writing():
        refused, fine = store.submit([say(2), other]), store.submit([say(3)])
        with pytest.raises(DataError, match="'v1' belongs to another verdict"):
            refused.result()
        assert fine.result() == 1
    assert list(store.verdicts()) == [say(1), say(3)]


def test_nothing_is_ever_changed_or_removed(store: Store) -> None:
    store.add(say(1))
    with closing(sqlite3.connect(store.path)) as connection:
        for change in ("DELETE FROM verdicts", "UPDATE verdicts SET answer = 'absent'"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                connection.execute(change)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_other_data_are_refused(store: Store) -> None:
    with pytest.raises(DataError, match=r"other images or labels \(fingerprint f00d, not beef\)"):
        Store.open(store.path, "beef", CLASSES)


def test_a_renamed_class_is_refused_by_name(store: Store) -> None:
    with pytest.raises(DataError, match="dog is missing there and hound is new"):
        Store.open(store.path, "f00d", ("cat", "hound"))


def test_a_store_of_a_newer_tacit_is_refused(store: Store) -> None:
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(DataError, match="newer tacit"):
        Store(store.path)


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough", None])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "verdicts.sqlite"
    if content is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE verdicts (id)")
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match="no store of verdicts"):
        Store(path)
    with pytest.raises(DataError, match="no store of verdicts"):
        Store.open(path, "f00d", CLASSES)


def test_a_store_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There are no verdicts"):
        Store(tmp_path / "verdicts.sqlite")
    assert not list(tmp_path.iterdir())


@contextmanager
def holding(path: Path) -> Iterator[int]:
    """Let another process write to a store, and give its number."""
    code = (
        "import sys; from tacit.repair.store import Store\n"
        "with Store(sys.argv[1]).writing(): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.kill()


def test_a_second_process_is_refused_with_the_number_of_the_first(store: Store) -> None:
    with holding(store.path) as pid:
        with pytest.raises(UsageError, match=f"Process {pid} .* the review in"):
            store.add(say(1))
        assert list(Store(store.path).verdicts()) == []  # who only reads is not refused
    # It was killed, so its lock is taken over.
    assert store.add(say(1)) == 1


def test_a_copy_is_whole_while_verdicts_are_added(store: Store, tmp_path: Path) -> None:
    with store.writing():
        writer = threading.Thread(target=lambda: [store.add(say(n)) for n in range(60)])
        writer.start()
        counts = []
        for number in range(5):
            store.copy(tmp_path / f"copy-{number}.sqlite")
            copied = list(Store(tmp_path / f"copy-{number}.sqlite").verdicts())
            assert copied == [say(n) for n in range(len(copied))]
            counts.append(len(copied))
        writer.join()
    assert counts == sorted(counts)
    with pytest.raises(UsageError, match="something at"):
        store.copy(tmp_path / "copy-0.sqlite")


def check_whole(path: Path, acknowledged: list[str], given: list[Verdict]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = [verdict.id for verdict in Store(path).verdicts()]
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found) <= {verdict.id for verdict in given}


@needs_library
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("code", [778, FULL], ids=["broken", "full"])
def test_whichever_write_fails_nothing_acknowledged_is_lost(
    tmp_path: Path, for_good: bool, code: int
) -> None:
    """The n-th write or flush of a session fails, for every n, and then the power does."""
    given, refusals, n = [say(number) for number in range(3)], 0, 0
    while True:
        n += 1
        folder = tmp_path / str(n)
        store = Store.open(folder / "verdicts.sqlite", "f00d", CLASSES)
        disk = Disk(n, for_good, code, flushed={str(store.path): store.path.read_bytes()})
        acknowledged: list[str] = []
        with failing_disk(LIBRARY, disk), store.writing():
            for verdict in given:
                for _ in range(2):  # as the page does, under the same id
                    try:
                        store.add(verdict)
                    except TacitError as error:
                        refusals += 1
                        assert isinstance(error, DiskFull) == (code == FULL), error
                        assert "not stored" in str(error)
                    else:
                        acknowledged.append(verdict.id)
                        break
        if not for_good:
            assert len(acknowledged) == len(given)
        after = folder / "after"
        after.mkdir()
        check_whole(disk.cut_power(store.path, after), acknowledged, given)
        check_whole(store.path, acknowledged, given)
        if disk.calls < n:
            break
    assert n > 3 * len(given) and refusals >= len(given)


def test_a_full_disk_is_said_and_its_verdict_not_acknowledged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tacit.repair import store as module

    def connect_small(path: Path, create: bool = True) -> sqlite3.Connection:
        connection = usual(path, create)
        connection.execute("PRAGMA max_page_count = 12")
        return connection

    usual = module._connect
    monkeypatch.setattr(module, "_connect", connect_small)
    acknowledged = []
    with store.writing(), pytest.raises(DiskFull, match="Nothing more fits on the disk"):
        for number in range(10_000):
            store.add(say(number))
            acknowledged.append(say(number))
    monkeypatch.undo()
    assert acknowledged and list(store.verdicts()) == acknowledged
    assert store.add(say(10_001)) == 1


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="file is a file, not a folder"):
        Store.open(tmp_path / "file" / "verdicts.sqlite", "f00d", CLASSES)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """A smaller turn of `python bench/review.py kill`."""
    found = bench.kill_at_random(tmp_path, rounds=3, verdicts=150, seed=os.getpid())
    assert found.acknowledged > 0 and not found.lost and not found.doubled


def test_many_clients_at_once_meet_no_lock(tmp_path: Path) -> None:
    """A smaller turn of `python bench/review.py load`; its bar of time is the bench's."""
    found = bench.press(tmp_path, clients=8, verdicts=15)
    assert found.stored == found.sent == 8 * 15
    assert not found.errors and found.read > 0
    assert json.dumps(found.statuses) == '{"200": 120}'


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM about WHERE name = 'id'",
        "UPDATE about SET value = 'no number' WHERE name = 'id'",
        "UPDATE about SET value = '[1]' WHERE name = 'classes'",
        "UPDATE about SET value = '{' WHERE name = 'classes'",
        "UPDATE about SET value = '3' WHERE name = 'classes'",
        "DROP TRIGGER keep_changed; UPDATE verdicts SET image = x'ff'",
        "DROP TRIGGER keep_changed; UPDATE verdicts SET posterior = 'much'",
        "DROP TRIGGER keep_changed; UPDATE verdicts SET answer = 'perhaps'",
    ],
)
def test_a_store_of_which_a_part_is_wrong_is_said_to_be_damaged(
    change: str, tmp_path: Path
) -> None:
    path = tmp_path / "verdicts.sqlite"
    store = Store.open(path, "f00d", ["cat", "dog"])
    store.add(Verdict("1", "a.jpg", "cat", "present", "ann", "2026", posterior=0.5))
    assert [each.image for each in Store(path).verdicts()] == ["a.jpg"]
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(change)
    with pytest.raises(DataError, match=r"verdicts\.sqlite is damaged .*Go on from a copy of it"):
        list(Store(path).verdicts())
