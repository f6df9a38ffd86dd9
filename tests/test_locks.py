"""One process at a time, whoever has died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tacit.errors import UsageError
from tacit.locks import Owner, hold_lock

HOLD = """
import sys
from pathlib import Path
from tacit.locks import hold_lock
with hold_lock(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


def test_a_living_process_is_waited_for_and_a_dead_one_is_not(lock: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout and other.stdin
        assert other.stdout.readline() == "held\n"
        owner = json.loads(lock.read_text())
        assert owner["pid"] == other.pid
        message = f"Process {other.pid} on {owner['host']} is at work on the run in X; wait"
        with pytest.raises(UsageError, match=message), hold_lock(lock, "the run in X"):
            pass
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and not yet buried
        with hold_lock(lock, "the run in X"):
            assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert list(lock.parent.iterdir()) == []


def test_a_number_that_is_another_process_by_now_is_no_obstacle(lock: Path) -> None:
    this = Owner.this()
    if this.started is None:
        pytest.skip("the system does not tell when a process started")
    lock.write_text(json.dumps(asdict(replace(this, started=this.started - 1))))
    with hold_lock(lock, "it"):
        assert json.loads(lock.read_text()) == asdict(this)
    lock.write_text(json.dumps(asdict(this)))  # held, though not by this thread
    with pytest.raises(UsageError, match="is at work"), hold_lock(lock, "it"):
        pass


def test_nobody_knows_whether_a_process_elsewhere_lives(lock: Path) -> None:
    lock.write_text(json.dumps(asdict(Owner("elsewhere", 2**22 + 1, 5))))
    message = f"Process 4194305 on elsewhere is at work on it.*delete {lock}"
    with pytest.raises(UsageError, match=message), hold_lock(lock, "it"):
        pass
    lock.write_text("{")
    with pytest.raises(UsageError, match="does not say which process"), hold_lock(lock, "it"):
        pass


def test_a_thread_may_go_in_again_and_another_may_not(lock: Path) -> None:
    refused: list[UsageError] = []

    def try_it() -> None:
        try:
            with hold_lock(lock, "it"):
                pass
        except UsageError as error:
            refused.append(error)

    with hold_lock(lock, "it"):
        with hold_lock(lock, "it"):
            pass
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        assert lock.exists()
    assert len(refused) == 1 and not lock.exists()


def test_an_error_inside_releases_it(lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_lock(lock, "it"):
        raise ZeroDivisionError
    assert not lock.exists()


def test_of_two_that_find_a_dead_owner_one_goes_in(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has already read the old lock when the first puts its own there."""
    from tacit import locks

    this, dead = Owner.this(), Owner(Owner.this().host, 2**22 + 1, 5)
    lock.write_text(json.dumps(asdict(dead)))
    remove = locks._remove

    def first_comes_another(path: Path, owner: Owner) -> None:
        path.write_text(json.dumps(asdict(this)))
        remove(path, owner)

    monkeypatch.setattr(locks, "_remove", first_comes_another)
    with pytest.raises(UsageError, match=f"Process {this.pid} "), hold_lock(lock, "it"):
        pass
    assert json.loads(lock.read_text()) == asdict(this)
    assert [path.name for path in lock.parent.iterdir()] == [".lock"]
