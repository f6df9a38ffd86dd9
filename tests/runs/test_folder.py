"""A run folder: old ones open, newer ones are refused, and it says what decided the outcome."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from tacit.config import Config, MethodConfig, resolve
from tacit.errors import DataError, UsageError
from tacit.methods import METHODS, build_method
from tacit.methods.base import Method
from tacit.methods.gap_rejection import Ignore
from tacit.methods.pointwise import AssumeNegative
from tacit.runs.build import build_learner, record_defaults, resolve_hyperparameters
from tacit.runs.folder import FORMAT, SUSPECT_COLUMNS, Run, commit_of

# As the first format was: no number, and no defaults of method and model.
OLD: dict[str, Any] = {
    "config": {
        "data": {"name": "scenes", "options": {"images": 30, "test_images": 10}, "strong": "host"},
        "model": {"name": "cam", "trunk": "tiny", "size": 32, "options": {}},
        "method": {"name": "ignore", "preset": None, "warmup_epochs": 1},
        "phases": [{"epochs": 1, "batch": 8, "lr": 0.003}],
        "run": {"seed": 4, "device": "cpu", "together": True},
    },
    "versions": {"tacit": "0.1.0"},
    "device": "cpu",
    "result": {"map": 12.5},
}


def written(folder: Path, record: Any) -> Run:
    (folder / "run.json").write_text(json.dumps(record))
    return Run(folder)


def test_a_run_of_the_first_format_opens(tmp_path: Path) -> None:
    run = written(tmp_path, OLD)
    assert run.exists and not run.has_checkpoint
    assert run.record == OLD and run.result == {"map": 12.5}
    assert (run.config.method.options, run.config.run.fuse_views) == ({"warmup_epochs": 1}, True)
    assert (run.config.data.strong_operations, run.config.data.strong_magnitude) == (3, 5)
    assert run.log.read() == []
    splits = run.splits()
    assert len(splits.train) == 24
    assert isinstance(build_learner(run.config, splits).method, Ignore)


def test_a_run_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    run = written(tmp_path, {**OLD, "format": FORMAT + 1})
    message = rf"format {FORMAT + 1}, .* up to {FORMAT}: a newer one has written it"
    for ask in (lambda: run.config, lambda: run.result, run.splits):
        with pytest.raises(DataError, match=message):
            ask()


def test_opening_a_run_takes_no_torch(tmp_path: Path) -> None:
    written(tmp_path, OLD)
    code = (
        "import sys; from tacit.runs.folder import Run; run = Run(sys.argv[1]);"
        "print(run.config.run.seed, run.result['map'], 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.check_output(command, text=True) == "4 12.5 False\n"


def test_without_suspects_there_is_a_sentence(tmp_path: Path) -> None:
    run = written(tmp_path, OLD)
    with pytest.raises(DataError, match="has no suspects .*an earlier tacit trained it"):
        run.suspects()
    run.suspects_file.write_bytes(b"half")
    with pytest.raises(DataError, match=r"suspects\.parquet is damaged"):
        run.suspects()
    parquet.write_table(pa.table({"image": ["a.jpg"]}), run.suspects_file)
    with pytest.raises(DataError, match="no column 'class'"):
        run.suspects()


def test_suspects_come_with_their_metadata(tmp_path: Path) -> None:
    run = written(tmp_path, OLD)
    rows = dict(zip(SUSPECT_COLUMNS, (["a.jpg"], ["cat"], [3], [2], [7], [0.8]), strict=True))
    table = pa.table(rows).replace_schema_metadata({"method": "ignore"})
    parquet.write_table(table, run.suspects_file)
    found = run.suspects()
    assert found.to_pylist() == table.to_pylist()
    assert found.schema.metadata[b"method"] == b"ignore"


def test_a_resumed_run_keeps_its_configuration(tmp_path: Path) -> None:
    run = written(tmp_path, OLD)
    recorded = run.config
    assert Run(tmp_path / "none").resume_config(Config()) == Config()
    for agreeing in ((), ("run.seed=4",), ("phases.batch=8", "method.warmup_epochs=1")):
        config = resolve(settings=agreeing)
        assert run.resume_config(config) == recorded
    started = record_defaults(recorded)  # writes out the labels that were left out
    written(tmp_path, {"format": FORMAT, "config": started.model_dump(mode="json")})
    assert run.resume_config(Config.model_validate(recorded.model_dump())) == started
    for setting, message in (
        ("run.seed=5", "has run.seed = 4, and cannot go on with 5"),
        ("phases.batch=4", "has phases.0.batch = 8, and cannot go on with 4"),
        ("data.options.images=31", "has data.options.images = 30, .* with 31"),
        ("method.name=an", "has method.name = 'ignore', .* with 'an'"),
    ):
        with pytest.raises(UsageError, match=message):
            run.resume_config(resolve(settings=(setting,)))


@pytest.mark.parametrize(
    "name", sorted(set(METHODS) - {"vlpl", "aevlp"})
)  # they need a teacher's scores
def test_recorded_hyperparameters_build_the_same_method(name: str) -> None:
    """Even when they went through JSON, and even under another preset."""
    resolved = resolve_hyperparameters(MethodConfig(name=name))
    again = MethodConfig.model_validate(json.loads(resolved.model_dump_json()))
    assert resolve_hyperparameters(again) == again == resolved

    def kept(method: Method) -> dict[str, Any]:
        return {key: repr(value) for key, value in vars(method).items() if key[0] != "_"}

    expected = kept(build_method(name))
    found = kept(build_method(name, preset=again.preset, **again.options))
    assert {key: value.replace("[", "(").replace("]", ")") for key, value in found.items()} == {
        key: value.replace("[", "(").replace("]", ")") for key, value in expected.items()
    }


def test_a_preset_is_written_out() -> None:
    preset = next(iter(Ignore.presets))
    chosen = MethodConfig(name="ignore", preset=preset, gap_decay=0.5)
    resolved = resolve_hyperparameters(chosen)
    assert resolved.options == {
        **resolve_hyperparameters(MethodConfig(name="ignore")).options,
        **Ignore.presets[preset],
        "gap_decay": 0.5,
    }


def test_defaults_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(AssumeNegative):
        def __init__(self, share: float = 0.5, how: Callable[..., Any] = max) -> None:
            super().__init__()

    monkeypatch.setitem(METHODS, "odd", Odd)
    base = {"method": {"name": "odd"}, "model": {"name": "query2label", "options": {"heads": 2}}}
    config = record_defaults(resolve(base=base))
    assert config.method.options == {"share": 0.5}  # what no recipe can say stays out
    assert config.model.options["heads"] == 2 and config.model.options["decoder_layers"] == 2
    assert config.data.labels == "observed"
    assert record_defaults(resolve(base={"method": {"name": "bce"}})).data.labels == "full"


def test_building_leaves_the_random_numbers_alone(tmp_path: Path) -> None:
    run = written(tmp_path, OLD)
    splits = run.splits()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    build_learner(run.config, splits)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_the_commit_is_that_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)

    def git(*words: str) -> str:
        settings = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
        command = ["git", "-C", str(tmp_path), *settings, *words]
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()

    package, installed = tmp_path / "package", tmp_path / "environment"
    for folder in (package, installed):
        folder.mkdir()
        (folder / "__init__.py").write_text("")
    git("init")
    git("add", "package")
    git("commit", "-m", "Begin")
    head = git("rev-parse", "HEAD")
    assert commit_of.__wrapped__(package) == head
    assert commit_of.__wrapped__(installed) is None  # lies in a checkout, but not of itself
    (package / "__init__.py").write_text("# changed")
    assert commit_of.__wrapped__(package) == f"{head}-dirty"
    monkeypatch.setenv("PATH", "")
    assert commit_of.__wrapped__(package) is None


def test_what_a_killed_process_left_is_no_run(tmp_path: Path) -> None:
    (tmp_path / f".run.json.{7:016x}.partial").write_text("{")
    for resume in (False, True):
        with Run(tmp_path).lock(resume):
            pass
