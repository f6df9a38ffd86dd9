"""A whole prediction: shards, restarts, several processes, and the bytes that come out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import parquet

from tacit.data.open_image import open_image
from tacit.errors import DataError, UsageError
from tacit.images.views import plain
from tacit.prediction import run
from tacit.prediction.output import Tally
from tacit.prediction.plan import Settings, read_plan
from tacit.prediction.run import Work, choose_output, predict_to
from tacit.prediction.worker import Predictor, predict_shard
from things_to_predict import CLASSES, DYING, small_model

ALONE = Work(device="cpu", workers=0)
# Says what it has imported before it stops, as a lost machine does, in the middle of a prediction.
KNOWN = "{name.split('.')[1] for name in sys.modules if name.startswith('tacit.')}"
UNWANTED = "{'methods', 'training', 'config'}"
TELLING = DYING.format(
    last=f"print(sorted({KNOWN} & {UNWANTED}), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
)
OPTIONS = ("--batch=4", "--shard-rows=5", "--threads=1", "--device=cpu", "--workers=0")


def predict(
    model: Path, inputs: Any, out: Path, work: Work = ALONE, **options: Any
) -> Tally | None:
    names = [str(path) for path in (inputs if isinstance(inputs, list) else [inputs])]
    given = {name: options.pop(name) for name in ("images", "column") if name in options}
    place, format = choose_output(out, options.pop("format", None))
    settings = {"batch": 4, "shard_rows": 5, "threads": 1, **options}
    return predict_to(names, place, Settings(str(model), format, **settings), work, **given)


@pytest.fixture
def once(model_folder: Path, images: Path, tmp_path: Path) -> Path:
    """Return the output of a prediction that nothing interrupted."""
    out = tmp_path / "once.parquet"
    predict(model_folder, images, out)
    return out


def test_predictions_are_the_models_own(once: Path, images: Path) -> None:
    rows = parquet.read_table(once).to_pylist()
    assert [Path(row["image"]) for row in rows] == sorted(images.iterdir())
    model = small_model()
    for row in rows:
        if row["error"]:
            assert row["image"].endswith("b.jpg") or row["image"].endswith("b.png")
            assert row["labels"] is None and row["scores"] is None
            continue
        pixels = plain(open_image(Path(row["image"])), model.size)[None]
        with torch.no_grad():
            expected = model(model.normalise(pixels))[0].sigmoid().numpy()
        np.testing.assert_allclose(row["scores"], expected, atol=1e-5)
        # The model stores a threshold for dogs; for the others a half is usual.
        decided = np.array(row["scores"]) >= np.float32([0.5, 0.2, 0.5])
        assert row["labels"] == [name for name, yes in zip(CLASSES, decided, strict=True) if yes]
    assert len({tuple(row["labels"] or ()) for row in rows}) > 2


def test_unreadable_images_are_counted_and_listed(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    tally = predict(model_folder, images, tmp_path / "out.csv")
    assert tally is not None
    assert (tally.images, tally.failed) == (30, 2)
    found = {Path(image).name: error for image, error in tally.examples}
    assert "no image that can be read" in found["05b.jpg"]
    assert "is damaged" in found["17b.png"]


def test_a_folder_gets_a_file_for_each_shard(
    model_folder: Path, images: Path, tmp_path: Path, once: Path
) -> None:
    out = tmp_path / "shards"
    predict(model_folder, images, out)
    files = sorted(path.name for path in out.iterdir() if not path.name.startswith("_"))
    assert files == [f"part-{number:06}.parquet" for number in range(6)]
    # What begins with an underscore is no table to those who read the folder as one.
    assert parquet.read_table(out).equals(parquet.read_table(once))


def test_the_pure_worker_gives_the_same_tables(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    predict(model_folder, images, tmp_path / "shards")
    plan = read_plan(tmp_path / "shards")
    assert plan is not None and len(plan.shards) == 6
    predictor = Predictor(plan.settings, torch.device("cpu"))
    for shard in reversed(plan.shards):
        assert predict_shard(plan, shard, predictor).equals(parquet.read_table(plan.part(shard)))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_processes_that_read_images_change_nothing(
    model_folder: Path, images: Path, tmp_path: Path, suffix: str
) -> None:
    for workers in (0, 2):
        out = tmp_path / f"{workers}.{suffix}"
        predict(model_folder, images, out, Work(device="cpu", workers=workers))
    assert (tmp_path / f"0.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


def test_each_process_takes_its_shards_and_the_first_puts_them_together(
    model_folder: Path, images: Path, tmp_path: Path, once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    finish, await_parts = run._finish, run._await_parts
    monkeypatch.setattr(run, "_finish", lambda plan, place: None)
    monkeypatch.setattr(run, "_await_parts", lambda plan, processes, wait: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    predict(model_folder, images, out)
    parts = tmp_path / "out.parquet.parts"
    assert [path.stem[-1] for path in sorted(parts.glob("part-*"))] == ["0", "2", "4"]
    monkeypatch.setenv("RANK", "1")
    assert predict(model_folder, images, out) is None
    assert len(list(parts.glob("part-*"))) == 6
    monkeypatch.setattr(run, "_finish", finish)
    monkeypatch.setattr(run, "_await_parts", await_parts)
    monkeypatch.setenv("RANK", "0")
    assert predict(model_folder, images, out) is not None
    assert out.read_bytes() == once.read_bytes()
    assert not parts.exists()


def test_killed_midway_and_finished_by_two_processes_the_bytes_are_the_same(
    model_folder: Path, images: Path, tmp_path: Path, once: Path
) -> None:
    out = tmp_path / "killed.parquet"
    words = ["predict", str(model_folder), str(images), "--out", str(out), *OPTIONS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    died = subprocess.run(
        [sys.executable, "-c", TELLING, *words],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert died.returncode == -signal.SIGKILL
    assert died.stdout == "[]\n", "prediction must not import methods or training"
    assert len(list((tmp_path / "killed.parquet.parts").glob("part-*"))) == 2 and not out.exists()
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "tacit"]
    done = subprocess.run(
        [sys.executable, *launcher, *words, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 30
    assert out.read_bytes() == once.read_bytes()


def test_a_process_that_comes_late_finds_nothing_to_do(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, parts = tmp_path / "out.parquet", tmp_path / "out.parquet.parts"
    merge = run.merge

    def merge_and_keep_the_plan(*arguments: Any) -> None:
        merge(*arguments)
        shutil.copy(parts / "_plan.json", tmp_path)

    monkeypatch.setattr(run, "merge", merge_and_keep_the_plan)
    predict(model_folder, images, out)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert predict(model_folder, images, out) is None
    assert not parts.exists()
    # It may have read the plan just before the first process began to remove it.
    parts.mkdir()
    shutil.copy(tmp_path / "_plan.json", parts)
    monkeypatch.setattr(run, "_await_plan", lambda place, wait: read_plan(place.folder))
    assert predict(model_folder, images, out) is None
    assert [path.name for path in parts.iterdir()] == ["_plan.json"]


def test_a_stop_while_planning_is_no_hindrance(
    model_folder: Path, images: Path, tmp_path: Path, once: Path
) -> None:
    (tmp_path / "out.parquet.parts").mkdir()
    (tmp_path / "out.parquet.parts/_names-0.jsonl").write_text('{"image": "half of')
    predict(model_folder, images, tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == once.read_bytes()


def test_what_is_finished_is_not_done_again(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(model_folder, images, tmp_path / "shards")
    written: list[str] = []
    monkeypatch.setattr(run, "write_part", lambda table, path, *_: written.append(path.name))
    (tmp_path / "shards/part-000003.parquet").unlink()
    monkeypatch.setattr(run, "_finish", lambda plan, place: None)
    monkeypatch.setattr(run, "_await_parts", lambda plan, processes, wait: None)
    predict(model_folder, images, tmp_path / "shards")
    assert written == ["part-000003.parquet"]


@pytest.mark.parametrize(
    "change",
    [{"batch": 5}, {"scores": "none"}, {"half": True}, {"precision": "bf16"}, {"threads": 2}],
)
def test_another_request_does_not_go_on(
    model_folder: Path, images: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    predict(model_folder, images, tmp_path / "shards")
    with pytest.raises(UsageError, match="begun with another model, other inputs or other options"):
        predict(model_folder, images, tmp_path / "shards", **change)


def test_another_model_does_not_go_on(model_folder: Path, images: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(model_folder, tmp_path / "model"))
    predict(model, images, tmp_path / "shards")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"thresholds": {"cat": 0.9}}))
    with pytest.raises(UsageError, match="another model"):
        predict(model, images, tmp_path / "shards")


def test_nothing_is_written_over(model_folder: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"out\.csv is there already"):
        predict(model_folder, images, tmp_path / "out.csv")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        predict(model_folder, images, tmp_path / "folder")


def write_table(path: Path, names: list[str]) -> Path:
    path.write_text("".join(json.dumps({"image": name}) + "\n" for name in names))
    return path


def test_tables_name_images_and_what_is_not_there_is_listed(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    names = ["03.png", "none.png", "", "../secret.png", "03.png"]
    table = write_table(tmp_path / "names.jsonl", names)
    out = tmp_path / "out.jsonl"
    tally = predict(model_folder, table, out, images=images)
    assert tally is not None and (tally.images, tally.failed) == (5, 3)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["image"] for row in rows] == names
    for row, word in zip(rows[1:4], ("no image at", "names no image", "leaves"), strict=True):
        assert word in row["error"]


def test_the_same_images_from_any_input_have_the_same_scores(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in images.iterdir())
    table = write_table(tmp_path / "names.jsonl", names)
    predict(model_folder, table, tmp_path / "table.parquet", images=images)
    predict(model_folder, [images / name for name in names], tmp_path / "files.parquet")
    predict(model_folder, images, tmp_path / "folder.parquet")
    read: Callable[[str], Any] = lambda name: parquet.read_table(  # noqa: E731
        tmp_path / f"{name}.parquet", columns=["labels", "scores"]
    )
    assert read("table").equals(read("files")) and read("files").equals(read("folder"))


def test_a_table_that_changed_meanwhile_is_noticed(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    table = write_table(tmp_path / "names.jsonl", ["00.png"] * 10)
    pattern = str(tmp_path / "*.jsonl")
    predict(model_folder, pattern, tmp_path / "out", images=images)
    plan = read_plan(tmp_path / "out")
    assert plan is not None
    write_table(table, ["00.png"] * 7)
    with pytest.raises(UsageError, match="other inputs"):
        predict(model_folder, pattern, tmp_path / "out", images=images)
    predictor = Predictor(plan.settings, torch.device("cpu"))
    with pytest.raises(DataError, match="has changed since"):
        predict_shard(plan, plan.shards[1], predictor)


def test_half_precision_is_close_and_says_the_same_of_sure_things(
    model_folder: Path, images: Path, tmp_path: Path, once: Path
) -> None:
    predict(model_folder, images, tmp_path / "fast.parquet", precision="bf16", reading="fast")
    exact, fast = (
        [row or [0.0] * 3 for row in parquet.read_table(path)["scores"].to_pylist()]
        for path in (once, tmp_path / "fast.parquet")
    )
    assert 0 < np.abs(np.array(exact) - np.array(fast)).max() < 0.05


def test_ray_does_not_go_together_with_torchrun(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UsageError, match="leave torchrun out"):
        predict(model_folder, images, tmp_path / "out", Work(engine="ray"))
