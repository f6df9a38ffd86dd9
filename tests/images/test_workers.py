"""Workers that cannot go on say so; without workers, none of it matters."""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import Any

import pytest
from torch.utils.data import Dataset

from tacit.errors import TacitError, UsageError
from tacit.images import workers
from tacit.images.workers import AHEAD, Loader, check_shared_memory


class Rows(Dataset[int]):
    """Numbers, one of which takes long or ends the process that reads it."""

    def __init__(self, ending: str = "") -> None:
        self.ending = ending

    def __len__(self) -> int:
        return 4

    def __getitem__(self, row: int) -> int:
        if row == 2 and self.ending == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if row == 2 and self.ending == "hanging":
            time.sleep(60)
        return row


def read(rows: Rows, count: int, **options: Any) -> list[int]:
    return [int(row) for row in Loader(rows, count, 8, batch_size=None, **options)]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> int:
    """Leave so many bytes of shared memory."""
    free = 1000
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    return free


def test_workers_without_room_for_their_batches_are_refused(room: int) -> None:
    waiting = AHEAD * 2 + 1
    check_shared_memory(2, room // waiting)
    with pytest.raises(UsageError, match=r"with 2 workers, and /dev/shm has .*--shm-size"):
        check_shared_memory(2, room // waiting + 1)
    with pytest.raises(UsageError, match="Use fewer workers, or 0"):
        Loader(Rows(), 2, room)
    assert read(Rows(), 0) == [0, 1, 2, 3]


def test_processes_of_one_machine_share_its_memory(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = room // (AHEAD * 2 + 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    check_shared_memory(2, size // 2)
    with pytest.raises(UsageError, match="workers"):
        check_shared_memory(2, size)


@pytest.mark.parametrize("ending", ["killed", "hanging"])
def test_a_worker_that_ends_or_hangs_is_a_sentence(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 2.0)
    with pytest.raises(TacitError, match=r"workers that read images have stopped: .*, or 0\.$"):
        read(Rows(ending), 1)
