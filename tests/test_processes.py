"""What the environment says of several processes, and what it says wrongly."""

from __future__ import annotations

import pytest

from tacit.errors import UsageError
from tacit.processes import find_process

NAMES = ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({}, (0, 1)),
        ({"RANK": "1", "WORLD_SIZE": "3"}, (1, 3)),
        ({"WORLD_SIZE": "1", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, (0, 1)),
        ({"RANK": "1", "WORLD_SIZE": "4", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, (1, 4)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (0, 1)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"}, (0, 1)),
    ],
)
def test_each_process_knows_its_place(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], place: tuple[int, int]
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert find_process() == place


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, "SLURM has 2 tasks here.*torchrun"),
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "3"}, "SLURM has 3 tasks"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK is 'x'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "process 2, but WORLD_SIZE that there are 2"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "process -1"),
        ({"WORLD_SIZE": "2"}, "RANK does not say"),
    ],
)
def test_a_place_that_cannot_be_is_explained(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], message: str
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message):
        find_process()
