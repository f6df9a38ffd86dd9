"""Whatever is asked of the interface in Python, the answer to nonsense is a sentence.

Each row is one call. It must end in an error of ours, or in a ``TypeError`` or ``ValueError`` that
our own code raises; it says what of the call was wrong, and it comes neither from the depths of a
library nor after a line was printed.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import tacit
from tacit import MultiLabelClassifier
from tacit.config import resolve
from tacit.data.formats import read_listing, write_listing
from tacit.data.observe import draw_observed
from tacit.data.source import Source
from tacit.data.splits import split_rows
from tacit.errors import TacitError
from tacit.evaluation.metrics import mean_average_precision
from tacit.labels import SparseLabels
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.models.artefact import load_model, save_model
from tacit.repair.missing import find_missing
from tacit.runs.folder import Run

PACKAGE = Path(tacit.__file__).parent
# scikit-learn's own words about matrices; every user of it knows them.
LIBRARIES = ("sklearn",)


@dataclass(frozen=True)
class Things:
    """What calls are made with that are all right but for one argument."""

    folder: Path
    table: Path
    model: tacit.TrainedModel
    network: Any


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Things:
    folder = tmp_path_factory.mktemp("silly")
    (folder / "photos").mkdir()
    rows = []
    for number in range(20):
        name = ("red", "lime")[number % 2]
        Image.new("RGB", (9, 8), name).save(folder / "photos" / f"{number}.png")
        rows.append(f"{number}.png,{name}\n")
    table = folder / "photos.csv"
    table.write_text("file,labels\n" + "".join(rows))
    (folder / "empty").mkdir()
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("file,labels\n")
    (folder / "noise.csv").write_bytes(bytes(range(256)))
    (folder / "text.txt").write_text("a")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    (folder / "bad.toml").write_text("=")
    (folder / "odd.toml").write_text("[phasess]\nepochs = 1\n")
    settings = {"model.trunk": "tiny", "model.size": 16, "phases.batch": 4}
    model = tacit.fit(table, method="an", epochs=1, settings=settings, device="cpu")
    return Things(folder, table, model, model.model)


CALLS: dict[str, list[tuple[str, Callable[[Things], Any]]]] = {}


def add(group: str, *rows: tuple[str, Callable[[Things], Any]]) -> None:
    """Add calls: what the sentence must name, and the call."""
    CALLS.setdefault(group, []).extend(rows)


def table(**columns: Any) -> pa.Table:
    return pa.table(columns or {"file": ["0.png", "1.png"], "labels": ["a", "b"]})


X = np.random.default_rng(0).normal(size=(12, 3))
Y = (X > 0).astype(int)
IMAGES = np.zeros((12, 8, 8, 3), dtype=np.uint8)
TINY = {"model.trunk": "tiny", "model.size": 16, "phases.batch": 4}


def fit(t: Things, **options: Any) -> Any:
    given = {"method": "an", "epochs": 1, "settings": TINY, "device": "cpu", **options}
    return tacit.fit(given.pop("labels", t.table), **given)


add(
    "load",
    ("labels", lambda t: tacit.load(None)),
    ("labels", lambda t: tacit.load(3)),
    ("labels", lambda t: tacit.load(math.nan)),
    ("labels", lambda t: tacit.load([])),
    ("labels", lambda t: tacit.load({})),
    ("labels", lambda t: tacit.load({"file": ["a"]})),
    ("labels", lambda t: tacit.load(b"photos.csv")),
    ("labels", lambda t: tacit.load(np.zeros((3, 2)))),
    ("labels", lambda t: tacit.load(object())),
    ("nothing at", lambda t: tacit.load(t.folder / "photo.csv")),
    ("nothing at|labels", lambda t: tacit.load("")),
    ("nothing at", lambda t: tacit.load("x" * 5000)),
    ("nothing at", lambda t: tacit.load("nul\0l.csv")),
    ("empty.csv", lambda t: tacit.load(t.folder / "empty.csv")),
    ("no rows|header.csv", lambda t: tacit.load(t.folder / "header.csv")),
    ("noise.csv", lambda t: tacit.load(t.folder / "noise.csv")),
    ("text.txt", lambda t: tacit.load(t.folder / "text.txt")),
    ("empty", lambda t: tacit.load(t.folder / "empty")),
    ("images", lambda t: tacit.load(t.table, images=3)),
    ("images", lambda t: tacit.load(t.table, images=["a"])),
    ("absent", lambda t: tacit.load(t.table, absent="nothing")),
    ("absent", lambda t: tacit.load(t.table, absent=0)),
    ("format", lambda t: tacit.load(t.table, format="cocoa")),
    ("format", lambda t: tacit.load(t.table, format=7)),
    ("split", lambda t: tacit.load(t.table, split="train")),
    ("split", lambda t: tacit.load(t.table, split=1)),
    ("groups", lambda t: tacit.load(t.table, groups="film")),
    ("groups", lambda t: tacit.load(t.table, groups=[1, 2])),
    ("taxonomy|nothing at|none.toml", lambda t: tacit.load(t.table, taxonomy="none.toml")),
    ("taxonomy", lambda t: tacit.load(t.table, taxonomy={"cat": "pet"})),
    ("catalogue", lambda t: tacit.load(t.table, catalogue="none.csv")),
    ("at_most", lambda t: tacit.load(t.table, at_most=0)),
    ("at_most", lambda t: tacit.load(t.table, at_most=1.5)),
    ("at_most", lambda t: tacit.load(t.table, at_most="2")),
    ("merge_duplicates", lambda t: tacit.load(t.table, merge_duplicates="yes")),
    ("lable_column", lambda t: tacit.load(t.table, lable_column="labels")),
    ("label_column|tags", lambda t: tacit.load(t.table, label_column="tags")),
    ("label_column", lambda t: tacit.load(t.table, label_column=2)),
    ("image_column|url", lambda t: tacit.load(t.table, image_column="url")),
    ("separator", lambda t: tacit.load(t.table, separator=1)),
    ("classes", lambda t: tacit.load(t.table, classes="red")),
    ("classes|blue", lambda t: tacit.load(t.table, classes=["blue", "pink"])),
    ("negative_value", lambda t: tacit.load(t.table, negative_value="0")),
    ("option", lambda t: tacit.load(table(), colour="red")),
    ("column", lambda t: tacit.load(table(a=[1], b=[2]))),
    ("rows", lambda t: tacit.load(table(file=[], labels=[]))),
    ("class", lambda t: tacit.load(table(file=["a.png"], labels=["x"]))),
)
add(
    "fit",
    ("labels", lambda t: fit(t, labels=None)),
    ("labels", lambda t: fit(t, labels=12)),
    ("labels", lambda t: fit(t, labels="")),
    ("labels", lambda t: fit(t, labels="<memory>")),
    ("scenes", lambda t: fit(t, labels="scene")),
    ("nothing at", lambda t: fit(t, labels="none.csv")),
    ("labels", lambda t: fit(t, labels=X)),
    ("labels", lambda t: fit(t, labels=[("a.png", "cat")])),
    ("images", lambda t: fit(t, images=1.5)),
    ("images|option", lambda t: fit(t, labels=tacit.load(t.table), images=t.folder)),
    ("method", lambda t: fit(t, method="ignorant")),
    ("method", lambda t: fit(t, method=None, settings={**TINY, "method.name": 3})),
    ("method", lambda t: fit(t, method=7)),
    ("method", lambda t: fit(t, method="")),
    ("preset", lambda t: fit(t, preset="best of all")),
    ("preset", lambda t: fit(t, preset=1)),
    ("recipe", lambda t: fit(t, recipe=t.folder / "none.toml")),
    ("recipe", lambda t: fit(t, recipe=t.folder)),
    ("recipe", lambda t: fit(t, recipe={"data": {}})),
    ("recipe", lambda t: fit(t, recipe=t.folder / "bad.toml")),
    ("phasess", lambda t: fit(t, recipe=t.folder / "odd.toml")),
    ("leave one", lambda t: fit(t, recipe=t.folder / "odd.toml", preset="quick")),
    ("epochs", lambda t: fit(t, epochs=0)),
    ("epochs", lambda t: fit(t, epochs=-3)),
    ("epochs", lambda t: fit(t, epochs=1.5)),
    ("epochs", lambda t: fit(t, epochs="many")),
    ("epochs", lambda t: fit(t, epochs=math.nan)),
    ("epochs", lambda t: fit(t, epochs=[1, 2])),
    ("seed", lambda t: fit(t, seed=-1)),
    ("seed", lambda t: fit(t, seed="lucky")),
    ("seed", lambda t: fit(t, seed=2**70)),
    ("device", lambda t: fit(t, device="gpu")),
    ("device", lambda t: fit(t, device=0)),
    ("settings", lambda t: fit(t, settings=["run.seed=1"])),
    ("settings", lambda t: fit(t, settings="run.seed=1")),
    ("settings", lambda t: fit(t, settings={1: 2})),
    ("phases.lr", lambda t: fit(t, settings={"lr": 1})),
    ("phases.0.lr", lambda t: fit(t, settings={"phases.lr": math.nan})),
    ("phases.0.lr", lambda t: fit(t, settings={"phases.lr": -1})),
    ("'lr'", lambda t: fit(t, settings={"phases.rl": 1})),
    ("phase", lambda t: fit(t, settings={"phases.7.lr": 1})),
    ("phases", lambda t: fit(t, settings={"phases": []})),
    ("batch", lambda t: fit(t, settings={**TINY, "phases.batch": 10**6})),
    ("size", lambda t: fit(t, settings={"model.size": 0})),
    ("trunk", lambda t: fit(t, settings={"model.trunk": "resnet51"})),
    ("weights", lambda t: fit(t, settings={**TINY, "model.weights": "none.pth"})),
    ("model", lambda t: fit(t, settings={"model.name": "kam"})),
    ("freeze", lambda t: fit(t, settings={**TINY, "phases.freeze": ["nose"]})),
    ("reject", lambda t: fit(t, method="ignore", settings={**TINY, "method.reject": "maybe"})),
    ("rejekt", lambda t: fit(t, method="ignore", settings={**TINY, "method.rejekt": True})),
    ("validation", lambda t: fit(t, settings={**TINY, "data.validation": 2})),
    ("validation", lambda t: fit(t, settings={**TINY, "data.validation": 0.001})),
    ("out", lambda t: fit(t, out=3)),
    ("is a file", lambda t: fit(t, out=t.table)),
    ("not empty", lambda t: fit(t, out=t.folder)),
    ("out", lambda t: fit(t, resume=True)),
    ("resume", lambda t: fit(t, resume="yes", out=t.folder / "x")),
    ("option", lambda t: fit(t, colour="red")),
    ("epoch", lambda t: fit(t, epoch=3)),
    ("option", lambda t: fit(t, other_columns={1, 2})),
    ("reporter", lambda t: fit(t, reporter="loud")),
    ("images", lambda t: fit(t, labels=table(file=["a.png"], labels=["x"]))),
    ("images", lambda t: fit(t, labels=table(file=["a.png"] * 2, labels=["x", "y"]))),
    ("positional", lambda t: tacit.fit(t.table, "an")),
)
add(
    "predict",
    ("nothing at|no trained model", lambda t: tacit.predict("none", "a.png")),
    ("no trained model", lambda t: tacit.predict(t.folder, "a.png")),
    ("model", lambda t: tacit.predict(None, "a.png")),
    ("model", lambda t: tacit.predict(7, "a.png")),
    ("model", lambda t: tacit.predict(torch.nn.Linear(2, 2), "a.png")),
    ("model", lambda t: tacit.predict(["a"], "a.png")),
    ("no image", lambda t: t.model.predict("none.png")),
    ("broken.png", lambda t: t.model.predict(t.folder / "broken.png")),
    ("text.txt", lambda t: t.model.predict(t.folder / "text.txt")),
    ("photos.csv", lambda t: t.model.predict(t.table)),
    ("no images", lambda t: t.model.predict(t.folder / "empty")),
    ("image", lambda t: t.model.predict("x" * 5000)),
    ("image", lambda t: t.model.predict("nul\0l.png")),
    ("image", lambda t: t.model.predict("")),
    ("images", lambda t: t.model.predict(None)),
    ("images", lambda t: t.model.predict(3.5)),
    ("images", lambda t: t.model.predict(b"\x89PNG")),
    ("images", lambda t: t.model.predict({"image": "a.png"})),
    ("image", lambda t: t.model.predict([None])),
    ("image", lambda t: t.model.predict([["a.png"]])),
    ("image", lambda t: t.model.predict([3, 4])),
    ("image", lambda t: t.model.predict(np.zeros((4, 4), dtype=np.uint8))),
    ("image", lambda t: t.model.predict(np.zeros((4, 4, 4), dtype=np.uint8))),
    ("image", lambda t: t.model.predict(np.zeros((3, 4, 4), dtype=np.uint8))),
    ("image", lambda t: t.model.predict(np.zeros((0, 4, 3), dtype=np.uint8))),
    ("8-bit", lambda t: t.model.predict(np.zeros((4, 4, 3)))),
    ("8-bit", lambda t: t.model.predict(np.full((4, 4, 3), math.nan))),
    ("8-bit", lambda t: t.model.predict(np.zeros((4, 4, 3), dtype=bool))),
    ("image", lambda t: t.model.predict(torch.zeros(3, 8, 8))),
    ("image", lambda t: t.model.predict(np.array(3, dtype=np.uint8))),
    ("threshold", lambda t: t.model.predict(IMAGES, threshold=2)),
    ("threshold", lambda t: t.model.predict(IMAGES, threshold=math.nan)),
    ("threshold", lambda t: t.model.predict(IMAGES, threshold="half")),
    ("threshold", lambda t: t.model.predict(IMAGES, threshold=[0.5, 0.5])),
    ("batch", lambda t: t.model.predict(IMAGES, batch=0)),
    ("batch", lambda t: t.model.predict(IMAGES, batch=1.5)),
    ("batch", lambda t: t.model.predict(IMAGES, batch="all")),
    ("batch", lambda t: t.model.predict(IMAGES, batch=math.inf)),
    ("device", lambda t: t.model.predict(IMAGES, device="tpu")),
    ("device", lambda t: t.model.predict(IMAGES, device=None)),
    ("device", lambda t: t.model.predict(IMAGES, device=-1)),
    ("precision", lambda t: t.model.predict(IMAGES, precision="fp64")),
    ("precision", lambda t: t.model.predict(IMAGES, precision=16)),
    ("positional", lambda t: t.model.predict(IMAGES, 0.5)),
    ("treshold", lambda t: t.model.predict(IMAGES, treshold=0.5)),
)
add(
    "trained model",
    ("nothing at|neither|none/at/all", lambda t: tacit.from_pretrained("none/at/all")),
    ("no trained model", lambda t: tacit.from_pretrained(t.folder)),
    ("name", lambda t: tacit.from_pretrained(None)),
    ("name", lambda t: tacit.from_pretrained(5)),
    ("name", lambda t: tacit.from_pretrained("")),
    ("name", lambda t: tacit.from_pretrained(t.model)),
    ("neither", lambda t: tacit.from_pretrained(t.table)),
    ("revision", lambda t: tacit.from_pretrained("a/b", revision=3)),
    ("folder", lambda t: tacit.TrainedModel(3)),
    ("no trained model", lambda t: tacit.TrainedModel(t.folder)),
    ("split", lambda t: t.model.evaluate(split="train")),
    ("split", lambda t: t.model.evaluate(split="tset")),
    ("split", lambda t: t.model.evaluate(split=None)),
    ("split", lambda t: t.model.evaluate(split=0)),
    ("no suspects", lambda t: t.model.suspects()),
    ("folder", lambda t: t.model.save(None)),
    ("folder", lambda t: t.model.save(3)),
    ("not empty", lambda t: t.model.save(t.folder)),
    ("not empty|is a file", lambda t: t.model.save(t.table)),
    ("no run", lambda t: Run(t.folder).record),
    ("no run", lambda t: Run("none").config),
    ("no trained model", lambda t: tacit.TrainedModel(t.folder / "photos")),
)


def classify(**options: Any) -> MultiLabelClassifier:
    return MultiLabelClassifier(**{"epochs": 1, "device": "cpu", **options})


add(
    "classifier",
    ("method", lambda t: classify(method="gro").fit(X, Y)),
    ("method", lambda t: classify(method=7).fit(X, Y)),
    ("places in images|own making", lambda t: classify(method="ignore").fit(X, Y)),
    ("teacher|scores", lambda t: classify(method="vlpl").fit(X, Y)),
    ("unknown", lambda t: classify(unknown=2).fit(X, Y)),
    ("unknown", lambda t: classify(unknown="?").fit(X, Y)),
    ("unknown", lambda t: classify(unknown=None).fit(X, Y)),
    ("unknown", lambda t: classify(unknown=[0]).fit(X, Y)),
    ("unknown", lambda t: classify(unknown=False).fit(X, Y)),
    ("classes", lambda t: classify(classes=["a", "b"]).fit(X, Y)),
    ("classes", lambda t: classify(classes=["a", "b", "a"]).fit(X, Y)),
    ("classes", lambda t: classify(classes="abc").fit(X, Y)),
    ("epochs", lambda t: classify(epochs=0).fit(X, Y)),
    ("epochs", lambda t: classify(epochs="ten").fit(X, Y)),
    ("batch", lambda t: classify(batch=-1).fit(X, Y)),
    ("lr", lambda t: classify(lr=0).fit(X, Y)),
    ("lr", lambda t: classify(lr=math.inf).fit(X, Y)),
    ("threshold", lambda t: classify(threshold=1.5).fit(X, Y)),
    ("threshold", lambda t: classify(threshold=math.nan).fit(X, Y)),
    ("threshold", lambda t: classify(threshold="half").fit(X, Y)),
    ("preset", lambda t: classify(preset="fast").fit(X, Y)),
    ("settings", lambda t: classify(settings="method.a=1").fit(X, Y)),
    ("alpha", lambda t: classify(method="an", settings={"method.alpha": 1}).fit(X, Y)),
    ("random_state", lambda t: classify(random_state=-1).fit(X, Y)),
    ("random_state", lambda t: classify(random_state="dice").fit(X, Y)),
    ("device", lambda t: classify(device="abacus").fit(X, Y)),
    ("y", lambda t: classify().fit(X, None)),
    ("12 rows", lambda t: classify().fit(X, Y[:-1])),
    ("y", lambda t: classify().fit(X, Y + 1)),
    ("y", lambda t: classify().fit(X, np.full((12, 3), math.nan))),
    ("y", lambda t: classify().fit(X, np.full((12, 3), math.inf))),
    ("y", lambda t: classify(unknown="nan").fit(X, Y - 1)),
    ("y", lambda t: classify(unknown=-1).fit(X, Y * 0.5)),
    ("y", lambda t: classify().fit(X, np.zeros((12, 3, 2)))),
    ("y", lambda t: classify().fit(X, np.zeros((12, 0)))),
    ("y", lambda t: classify().fit(X, 3)),
    ("y", lambda t: classify().fit(X, [["a", "b"]] * 12)),
    ("y", lambda t: classify().fit(X, [["a"], ["a", "b"]] * 6)),
    ("y", lambda t: classify().fit(X, [None] * 12)),
    ("class", lambda t: classify().fit(X, ["a"] * 12)),
    ("y", lambda t: classify().fit(X, np.array(["a", 1] * 6, dtype=object))),
    ("class", lambda t: classify(classes=["a", "b"]).fit(X, ["a", "c"] * 6)),
    ("continuous", lambda t: classify().fit(X, X[:, 0])),
    ("rray", lambda t: classify().fit(None, Y)),
    ("rray", lambda t: classify().fit(3, Y)),
    ("X|2D", lambda t: classify().fit(X[:, 0], Y)),
    ("X|sample", lambda t: classify().fit(X[:0], Y[:0])),
    ("X|feature", lambda t: classify().fit(X[:, :0], Y)),
    ("X|dim", lambda t: classify().fit(X[:, :, None], Y)),
    ("NaN", lambda t: classify().fit(np.where(X > 1, np.nan, X), Y)),
    ("infinity", lambda t: classify().fit(np.where(X > 1, np.inf, X), Y)),
    ("X|convert", lambda t: classify().fit([["a", "b"]] * 12, Y)),
    ("omplex", lambda t: classify().fit(X + 1j, Y)),
    ("features", lambda t: classify().fit(X, Y).predict(X[:, :2])),
    ("fitted", lambda t: classify().predict(X)),
    ("sample_weight", lambda t: classify().fit(X, Y).score(X, Y, sample_weight=X[:, 0])),
    ("rows", lambda t: classify().fit(X, Y).score(X, Y[:3])),
    ("colour", lambda t: classify().set_params(colour="red")),
    ("image", lambda t: classify(settings=TINY).fit(["none.png"] * 12, Y)),
    ("too few", lambda t: classify(settings=TINY).fit(IMAGES[:2], Y[:2])),
    ("8-bit", lambda t: classify(settings=TINY).fit(IMAGES.astype(float), Y)),
    ("image", lambda t: classify(settings=TINY).fit(IMAGES[..., :2], Y)),
    ("validation", lambda t: classify(settings=TINY, validation=3).fit(IMAGES, Y)),
    ("validation", lambda t: classify(settings=TINY, validation=None).fit(IMAGES, Y)),
)
add(
    "building",
    ("method", lambda t: build_method("ignor")),
    ("method", lambda t: build_method(None)),
    ("method", lambda t: build_method(3)),
    ("method", lambda t: build_method("")),
    ("Name", lambda t: build_method("file.py")),
    ("file", lambda t: build_method("none.py:Mine")),
    ("module", lambda t: build_method("no_such_module:Mine")),
    ("derive", lambda t: build_method("pathlib:Path")),
    ("preset", lambda t: build_method("ignore", preset="papr")),
    ("preset", lambda t: build_method("ignore", preset=1)),
    ("an", lambda t: build_method("an", weight=1)),
    ("reject", lambda t: build_method("ignore", reject=2)),
    ("reject", lambda t: build_method("ignore", reject=None)),
    ("warmup_epochs", lambda t: build_method("ignore", warmup_epochs=math.nan)),
    ("warmup_epochs", lambda t: build_method("ignore", warmup_epochs=-1)),
    ("model", lambda t: build_model("camm", classes=("a", "b"), size=16, trunk="tiny")),
    ("name", lambda t: build_model(3, classes=("a", "b"), size=16, trunk="tiny")),
    ("two classes", lambda t: build_model(classes=("a",), size=16, trunk="tiny")),
    ("classes", lambda t: build_model(classes="ab", size=16, trunk="tiny")),
    ("classes", lambda t: build_model(classes=3, size=16, trunk="tiny")),
    ("classes", lambda t: build_model(classes=(1, 2), size=16, trunk="tiny")),
    ("classes", lambda t: build_model(classes=("a", "a"), size=16, trunk="tiny")),
    ("size", lambda t: build_model(classes=("a", "b"), size=0, trunk="tiny")),
    ("size", lambda t: build_model(classes=("a", "b"), size=-16, trunk="tiny")),
    ("size", lambda t: build_model(classes=("a", "b"), size="16", trunk="tiny")),
    ("size", lambda t: build_model(classes=("a", "b"), size=math.nan, trunk="tiny")),
    ("size", lambda t: build_model(classes=("a", "b"), size=(16, 16), trunk="tiny")),
    ("trunk", lambda t: build_model(classes=("a", "b"), size=16, trunk="tinny")),
    ("trunk", lambda t: build_model(classes=("a", "b"), size=16, trunk=None)),
    ("weights", lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", weights="x.pth")),
    ("weights", lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", weights=None)),
    ("mean", lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", mean=(1, 2))),
    ("mean", lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", mean=0.5)),
    ("std", lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", std=(0, 0, 0))),
    ("boost", lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", boost="much")),
    (
        "embedding_dim",
        lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", embedding_dim=-4),
    ),
    (
        "option",
        lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", options={"heads": 3}),
    ),
    ("options", lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", options=[1])),
    (
        "trunk_options",
        lambda t: build_model(classes=("a", "b"), size=16, trunk="tiny", trunk_options="deep"),
    ),
    ("Learner|model", lambda t: Learner(None, build_method("an"))),
    ("method", lambda t: Learner(t.network, None)),
    ("method", lambda t: Learner(t.network, "an")),
    ("cannot be saved", lambda t: save_model(torch.nn.Linear(2, 2), t.folder / "new")),
    ("folder", lambda t: save_model(t.network, None)),
    ("no trained model", lambda t: load_model(t.folder)),
    ("folder", lambda t: load_model(7)),
    ("setting", lambda t: resolve(settings=("seed",))),
    ("run.sead", lambda t: resolve(settings=("run.sead=1",))),
)
add(
    "labels",
    ("format", lambda t: read_listing(t.table, format="yolk")),
    ("nothing|none.csv", lambda t: read_listing(Path("none.csv"))),
    ("path", lambda t: read_listing(None)),
    ("format", lambda t: write_listing(read_listing(t.table), t.folder / "x.csv", format="yolk")),
    (
        "already|exists|there",
        lambda t: write_listing(read_listing(t.table), t.table, format="table"),
    ),
    ("listing", lambda t: write_listing(None, t.folder / "x.csv", format="table")),
    ("listing", lambda t: write_listing(tacit.load(t.table), t.folder / "x.csv", format="table")),
    (
        "suffix|csv",
        lambda t: write_listing(read_listing(t.table), t.folder / "x.doc", format="table"),
    ),
    ("path", lambda t: write_listing(read_listing(t.table), None, format="table")),
    ("labels", lambda t: draw_observed(None)),
    ("labels", lambda t: draw_observed(X)),
    (
        "positives",
        lambda t: draw_observed(SparseLabels.of((2 * Y - 1).astype(np.int8)), positives=-2),
    ),
    (
        "positives",
        lambda t: draw_observed(SparseLabels.of((2 * Y - 1).astype(np.int8)), positives="all"),
    ),
    ("negatives", lambda t: draw_observed(SparseLabels.of((2 * Y - 1).astype(np.int8)), 1, 1.5)),
    ("seed", lambda t: draw_observed(SparseLabels.of((2 * Y - 1).astype(np.int8)), 1, 0, -1)),
    ("labels", lambda t: SparseLabels.of(X)),
    ("labels", lambda t: SparseLabels.of(np.full((2, 2), 7, dtype=np.int8))),
    ("labels", lambda t: SparseLabels.of("ab")),
    ("no images", lambda t: Source("s", ("a", "b"), [], np.zeros((0, 2), np.int8), open=None)),
    ("class", lambda t: Source("s", ("a",), ["1"], np.zeros((1, 1), np.int8), open=None)),
    ("labels", lambda t: Source("s", ("a", "b"), ["1"], np.zeros((2, 2), np.int8), open=None)),
    ("labels", lambda t: Source("s", ("a", "b"), ["1"], np.zeros((1, 2)), open=None)),
    ("validation|share", lambda t: split_rows(10, 3.0)),
    ("of -1", lambda t: split_rows(-1)),
    ("shape", lambda t: mean_average_precision(X, Y[:, :2])),
    ("NaN|finite", lambda t: mean_average_precision(X * np.nan, Y)),
)
add(
    "find_missing",
    ("labels", lambda t: find_missing(None, X)),
    ("scores", lambda t: find_missing(Y, None)),
    ("scores|shape", lambda t: find_missing(Y, X[:, :2])),
    ("scores|shape", lambda t: find_missing(Y, X[:5])),
    ("scores", lambda t: find_missing(Y, X * np.nan)),
    ("scores", lambda t: find_missing(Y, X + np.inf)),
    ("scores", lambda t: find_missing(Y, X.astype(str))),
    ("labels", lambda t: find_missing(Y + 5, X)),
    ("labels", lambda t: find_missing(Y[:, 0], X[:, 0])),
    ("labels", lambda t: find_missing(Y[:0], X[:0])),
    ("labels", lambda t: find_missing("photos.csv", X)),
    ("classes", lambda t: find_missing(Y, X, classes=["a"])),
    ("classes", lambda t: find_missing(Y, X, classes=3)),
    ("classes", lambda t: find_missing(Y, X, classes=["a", "a", "b"])),
    ("labelling rate", lambda t: find_missing(Y, X, labelling_rate=2)),
    ("labelling rate", lambda t: find_missing(Y, X, labelling_rate=0)),
    ("labelling_rate", lambda t: find_missing(Y, X, labelling_rate=math.nan)),
    ("labelling_rate", lambda t: find_missing(Y, X, labelling_rate="half")),
    ("labels_per_image", lambda t: find_missing(Y, X, labels_per_image=-1)),
    ("labels_per_image", lambda t: find_missing(Y, X, labels_per_image=99)),
    ("labels_per_image", lambda t: find_missing(Y, X, labels_per_image=[2])),
    (
        "not both",
        lambda t: find_missing(Y, X, labelling_rate=0.5, labels_per_image=2),
    ),
)

ROWS = [
    pytest.param(word, call, id=f"{group}-{number}")
    for group, calls in CALLS.items()
    for number, (word, call) in enumerate(calls)
]


def test_there_are_two_hundred() -> None:
    assert len(ROWS) >= 200


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("word", "call"), ROWS)
def test_nonsense_is_answered_in_a_sentence(
    word: str, call: Callable[[Things], Any], things: Things, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((TacitError, TypeError, ValueError)) as caught:
        call(things)
    error, said = caught.value, str(caught.value)
    assert any(part.lower() in said.lower() for part in word.split("|")), said
    assert " " in said and 15 < len(said) <= 1600
    if not isinstance(error, TacitError):
        raised = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        ours = raised.is_relative_to(PACKAGE) or raised == Path(__file__)
        assert ours or any(name in raised.parts for name in LIBRARIES), f"{raised}: {said}"
    assert capfd.readouterr() == ("", "")
