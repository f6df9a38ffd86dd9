"""What tacit wrote itself: recipes, runs, models, teacher scores, predictions."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import save_file

from fuzz.kinds import kind
from tacit.cli.teacher_scores import _read_names
from tacit.config import Config, resolve
from tacit.errors import TacitError
from tacit.files import read_array
from tacit.labels import SparseLabels
from tacit.models import build_model
from tacit.models.artefact import load_model, read_thresholds, save_model
from tacit.models.trunks.weights import read_tensors
from tacit.prediction.columns import Columns
from tacit.prediction.inputs import Names, find_names
from tacit.prediction.name_tables import open_names
from tacit.prediction.output import count, merge, write_part
from tacit.prediction.plan import PLAN, Settings, make_plan, read_plan
from tacit.runs.checkpoint import Identity, load_checkpoint, save_checkpoint
from tacit.runs.folder import Log, Run
from tacit.teachers.stored import read_scores, save_scores
from tacit.training.run import complete
from tacit.types import Annotations

RECIPE = """\
[data]
name = "scenes"
positives = 1
options = {images = 10}
[model]
name = "cam"
trunk = "tiny"
mean = [0.1, 0.2, 0.3]
[method]
name = "ignore"
[methods.an]
phases = {lr = 1e-2}
[methods.role]
alpha = 0.1
[models.cam]
size = 32
[[phases]]
epochs = 2
lr = 1e-3
freeze = ["trunk"]
[[phases]]
epochs = 1
[run]
seed = 3
average = 0.9
"""
SETTINGS = (
    *("run.seed=1", "phases.lr=1", "phases.0.lr=2", "phases.9.lr=1", "phases.-1.lr=1", "phases=3"),
    *("phases.x.lr=1", "data.options.x=1", "data.options.images.x.y=1", "method.a.b=1", "run=1"),
    *("model.mean=1", "model.mean=[1]", "a=b", "=", ".=1", "run.=1", "method=1", "model=[]"),
    *("method.name=1", "model.name={}", "method.name=", "models=1", "methods.an=1", "run.seed=nan"),
    *("phases=[]", "phases.0=1", "run.seed=\ud800", "run.seed=" + "[" * 3000, "\0=\0"),
)


@kind("recipes", lambda folder: (folder / "r.toml").write_text(RECIPE))
def read_recipe(random: Random, folder: Path) -> None:
    chosen = [random.choice(SETTINGS) for _ in range(random.choice((0, 0, 0, 1, 2)))]
    complete(resolve(folder / "r.toml", tuple(chosen))).model_dump_json()


def run_folder(folder: Path) -> None:
    record = {"config": Config().model_dump(mode="json"), "fingerprint": "a"}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "metrics.jsonl").write_text('{"epoch": 1, "phase": 0}\n{"epoch": 2, "phase": 0}\n')


SPLITS: Any = SimpleNamespace(train=SimpleNamespace(name="x", fingerprint=lambda: "a"))


@kind("run.json", run_folder, "run.json", documents=True)
def read_run(random: Random, folder: Path) -> None:
    run = Run(folder)
    for ask in (lambda: run.config, lambda: run.result, lambda: run.check_same_data(SPLITS)):
        with suppress(TacitError):
            ask()
    run.resume_config(Config())


@kind("metrics.jsonl", run_folder, "metrics.jsonl", documents=True)
def read_log(random: Random, folder: Path) -> None:
    log = Log(folder / "metrics.jsonl")
    log.keep(1)
    log.append({"epoch": 2})
    assert log.read()[-1] == {"epoch": 2}


IDENTITY = Identity(("a", "b"), 3, "x")


@kind(
    "checkpoints",
    lambda folder: save_checkpoint(
        folder, IDENTITY, {"position": {"phase": 0}, "learner": {"w": torch.zeros(4)}}
    ),
)
def read_checkpoint(random: Random, folder: Path) -> None:
    load_checkpoint(folder, IDENTITY)


def model_folder(folder: Path) -> None:
    model = build_model(classes=("bird", "cat", "dog"), size=16, trunk="tiny")
    save_model(model, folder, thresholds={"cat": 0.3}, best={"map": 1.0, "epoch": 1})


@torch.inference_mode()
def read_model(random: Random, folder: Path) -> None:
    model = load_model(folder)
    read_thresholds(folder)
    model(torch.zeros(1, 3, 16, 16))


kind("model: config.json", model_folder, "config.json", documents=True)(read_model)
kind("model: weights", model_folder, "*.safetensors")(read_model)


def weights(folder: Path) -> None:
    tensors = {"a.b": torch.zeros(3), "c": torch.ones(2, 2)}
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "w.pth")
    torch.save(tensors, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(tensors, folder / "w.safetensors")


@kind("weights", weights)
def read_weights(random: Random, folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(TacitError):
            read_tensors(path)


NAMES, CLASSES = ("1.jpg", "2.jpg", "3.jpg"), ("cat", "dog")
ANNOTATIONS = Annotations(SparseLabels.of(np.zeros((3, 2), np.int8)), CLASSES, NAMES)


def teacher_scores(folder: Path) -> None:
    values = np.random.RandomState(0).rand(3, 5).astype("f4")
    save_scores(folder / "scores.npz", NAMES, values[:, :2], CLASSES)
    np.savez(folder / "towers.npz", names=np.array(NAMES), images=values, texts=values[:2])
    np.save(folder / "scores.npy", values[:, :2])


@kind("teacher scores", teacher_scores)
def read_teacher(random: Random, folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(TacitError):
            read_scores(path, ANNOTATIONS)


def embeddings(folder: Path) -> None:
    np.save(folder / "e.npy", np.eye(3, 4))
    (folder / "names.txt").write_text("1.jpg\n2.jpg\n")


@kind("embeddings", embeddings)
def read_embeddings(random: Random, folder: Path) -> None:
    with suppress(TacitError):
        read_array(folder / "e.npy")
    _read_names(folder / "names.txt")


def plan(folder: Path) -> None:
    (folder / "n.csv").write_text("image,x\n1.jpg,2\n2.jpg,3\n")
    names = find_names([str(folder / "n.csv")], folder, None, None)
    make_plan(Settings("m"), names, "abc", folder).write()


@kind("predictions: plan", plan, PLAN, documents=True)
def follow_plan(random: Random, folder: Path) -> None:
    found = read_plan(folder)
    if found is not None:
        found.list_unfinished()
        for table in found.tables:
            with suppress(TacitError):
                table.open()


def name_tables(folder: Path) -> None:
    (folder / "n.csv").write_text('image,x\n1.jpg,2\n"2,\n.jpg",3\n3.jpg,1\n')
    (folder / "n.jsonl").write_text('{"image": "1.jpg"}\n{"image": "2.jpg", "b": [1]}\n')
    parquet.write_table(pa.table({"image": list(NAMES)}), folder / "n.parquet")


@kind("predictions: names", name_tables, documents=True)
def read_names(random: Random, folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(TacitError):
            table = open_names(path, None)
            names = Names(str(path), str(folder), table.column)
            for place in list(table.cut(2)):
                for name in table.read(place):
                    with suppress(TacitError):
                        names.image(name)


COLUMNS = Columns(CLASSES, np.array([0.5, 0.5], "f4"))


def add_part(format: str) -> None:
    """Add the parts of predictions in a format."""

    def write(folder: Path) -> None:
        scores = np.random.RandomState(0).rand(2, 2).astype("f4")
        table = COLUMNS.table(["1.jpg", "2.jpg"], [None, "bad"], scores)
        for name in ("a", "b"):
            write_part(table, folder / f"{name}.{format}", format)

    def read(random: Random, folder: Path) -> None:
        parts = sorted(folder.iterdir())
        count(parts, format)
        merge(parts, folder / f"whole.{format}", format)

    kind(f"predictions: {format}", write, documents=format == "jsonl")(read)


for part_format in ("csv", "jsonl", "parquet"):
    add_part(part_format)
