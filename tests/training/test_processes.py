"""Several processes train one model: what they compute together is what one computes alone."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from torch import Tensor

from ranks import run_ranks
from tacit.config import Config
from tacit.errors import UsageError
from tacit.runs.checkpoint import LAST
from tacit.runs.folder import SUSPECTS, Log
from tacit.training import context
from tacit.training.parallel import join_batch_norm
from tacit.training.run import train
from training.two_processes import prepare_wide

SCRIPT = Path(__file__).parent / "two_processes.py"
# A trunk without statistics over the batch, which are those of each process.
TRUNK = {
    "trunk": "convnext_atto",
    "trunk_options": {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]},
    "size": 64,
}
PHASES = [{"epochs": 3, "batch": 16, "optimiser": "sgd", "lr": 0.05, "schedule": "constant"}]
METHODS = {
    "ignore": {"name": "ignore", "warmup_epochs": 1, "least_lift": 0},
    "ll_cp": {"name": "ll_cp", "rate": 0.02},
    "role": {"name": "role", "row_rate": 0.1},
}
# ROLE's estimates are of every row, and here no part of the data can be shared evenly.
DATA = {"role": {"options": {"images": 126, "test_images": 41}}}
# Runs compute in 64 bits and part by 1e-14; logs are kept in 32 bits.
CLOSE: dict[str, float] = {"rtol": 1e-9, "atol": 1e-11}
LOGGED: dict[str, float] = {"rel": 1e-6, "abs": 1e-6}
pytestmark = pytest.mark.digits


def start(runs: dict[Path, Config], *options: str, world: int = 2) -> list[tuple[int, str]]:
    """Train in several processes; return how each ended and what it said."""
    for folder, config in runs.items():
        folder.with_suffix(".json").write_text(config.model_dump_json())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
    return run_ranks(
        SCRIPT,
        [[*map(str, runs), *options]] * world,
        [{**meeting, "RANK": str(rank)} for rank in range(world)],
        next(iter(runs)).parent,
    )


def train_alone(config: Config, folder: Path, *, resume: bool = False) -> None:
    """Train in this process, in 64 bits as the others do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "prepare", prepare_wide)
        train(config, folder, resume=resume)


def learned(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder / "checkpoints" / LAST)["learner"]
    return state


def assert_close(found: Path, expected: Path) -> None:
    one, other = learned(found), learned(expected)
    assert one.keys() == other.keys()
    for name, value in other.items():
        torch.testing.assert_close(one[name], value, **CLOSE, msg=name)
        if not value.is_floating_point():
            assert torch.equal(one[name], value), name


@pytest.fixture(scope="module")
def configs(configure: Callable[..., Config]) -> dict[str, Config]:
    return {
        name: configure(
            method=method,
            model=TRUNK,
            phases=PHASES,
            **({"data": DATA[name]} if name in DATA else {}),
        )
        for name, method in METHODS.items()
    }


@pytest.fixture(scope="module")
def alone(configs: dict[str, Config], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every method's run by one process."""
    folder = tmp_path_factory.mktemp("alone")
    for name, config in configs.items():
        train_alone(config, folder / name)
    return folder


@pytest.fixture(scope="module")
def shared(configs: dict[str, Config], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every method's run by two."""
    folder = tmp_path_factory.mktemp("shared")
    runs = {folder / name: config for name, config in configs.items()}
    assert start(runs) == [(0, ""), (0, "")]
    return folder


@pytest.mark.parametrize("name", METHODS)
class TestTwoProcesses:
    def test_they_learn_what_one_learns(self, name: str, alone: Path, shared: Path) -> None:
        assert_close(shared / name, alone / name)

    def test_the_log_tells_the_same_story(self, name: str, alone: Path, shared: Path) -> None:
        logs = [Log(folder / name / "metrics.jsonl").read() for folder in (shared, alone)]
        assert len(logs[0]) == len(logs[1]) == 3
        for found, expected in zip(*logs, strict=True):
            for table in ("terms", "readings"):
                assert found[table] == pytest.approx(expected[table], **LOGGED)
            assert found["identification"] == expected["identification"]
            assert found["step"] == expected["step"]
            assert found["validation_map"] == pytest.approx(expected["validation_map"], abs=1e-3)

    def test_they_suspect_what_one_suspects(self, name: str, alone: Path, shared: Path) -> None:
        found, expected = (
            parquet.read_table(run / name / SUSPECTS).to_pylist() for run in (shared, alone)
        )
        assert expected, "there is nothing to compare"
        scores = [[row.pop("score") for row in rows] for rows in (found, expected)]
        assert found == expected
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)

    def test_every_test_image_is_scored_once(self, name: str, alone: Path, shared: Path) -> None:
        records = [(run / name / "run.json").read_text() for run in (shared, alone)]
        results = [json.loads(record)["result"] for record in records]
        assert results[0]["n_images"] == results[1]["n_images"]
        assert results[0]["map"] == pytest.approx(results[1]["map"], abs=1e-3)


def test_a_run_goes_on_in_one_process_after_another_was_killed(
    configs: dict[str, Config], alone: Path, tmp_path: Path
) -> None:
    folder, config = tmp_path / "run", configs["ll_cp"]
    (first, said), (last, _) = start({folder: config}, "--die-after", "9")
    assert last == -9
    assert first == 1 and "lost the others" in said
    assert len(Log(folder / "metrics.jsonl").read()) == 1
    train_alone(config, folder, resume=True)
    assert_close(folder, alone / "ll_cp")
    flipped = learned(folder)["method.flipped.values"]
    assert torch.equal(flipped, learned(alone / "ll_cp")["method.flipped.values"])
    assert 0 < flipped.sum() < flipped.numel() / 2, "the tables say nothing"


def test_statistics_over_all_processes_need_cuda() -> None:
    with pytest.raises(UsageError, match=r"run\.sync_batch_norm needs CUDA"):
        join_batch_norm(torch.nn.BatchNorm2d(2), torch.device("cpu"))
