"""Reviews, comparisons and features: what they keep in folders and read again another day."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from fuzz.kinds import kind
from reviews import make_source, write_queue
from tacit.data.listing import Listing
from tacit.errors import TacitError
from tacit.evaluation.decisions import decide
from tacit.experiments.cells import Grid
from tacit.experiments.finished import read_runs
from tacit.experiments.grid import read_grid
from tacit.experiments.report_page import build_report
from tacit.experiments.statistics import summarise
from tacit.experiments.table import WRITERS
from tacit.features.store import KEY_BYTES, Shelf, check_limit, list_shelves, to_keys
from tacit.models import build_model
from tacit.models.artefact import save_model
from tacit.prediction.stored_goals import choose_thresholds
from tacit.repair.accept import accept_suspects
from tacit.repair.apply import compare
from tacit.repair.opening import STORE, open_source
from tacit.repair.session import AUDIT
from tacit.repair.store import Store
from tacit.repair.suspects_file import SuspectsFile
from tacit.repair.verdict_files import open_verdicts
from tacit.repair.verdicts import Verdict
from tacit.repair.write_back.exports import find_suspects
from tacit.report.page import write_page
from tacit.runs.folder import Run
from tacit.trained_model import from_pretrained

SOURCE = make_source(8, ("cat", "dog", "fox"))
LISTING = Listing("plain", Path("nowhere"), SOURCE.images, SOURCE.classes, SOURCE.labels)
LIST = "suspects.parquet"


def review(folder: Path) -> None:
    write_queue(folder / LIST, SOURCE)
    store = Store.open(folder / STORE, SOURCE.fingerprint(), SOURCE.classes)
    answers = [("1", "dog", "present"), ("2", "fox", "absent"), ("3", "fox", "undo")]
    with store.writing():
        for id, name, answer in answers:
            store.add(Verdict(id, SOURCE.images[0], name, answer, "ann", "2026", "audit", 0.5, 0.9))  # type: ignore[arg-type]
    with open_source(SuspectsFile(folder / LIST), SOURCE, audit_share=0.5) as opened:
        opened.audit.wait()


def follow_review(random: Random, folder: Path) -> None:
    """Open a review, answer its first question, and use its files as `tacit apply` does."""
    with suppress(TacitError):
        opened = open_source(SuspectsFile(folder / LIST), SOURCE, audit_share=0.5)
        with opened:
            for question in opened.next("ann", count=2):
                opened.answer("ann", question, random.choice(("present", "absent")))
            opened.audit.wait(20)
            opened.sentence()
            if opened.audit.failed is not None:
                raise opened.audit.failed
    verdicts: list[Verdict] = []
    with suppress(TacitError):
        verdicts = open_verdicts(folder / STORE).verdicts
    difference = compare(LISTING, verdicts, conflicts="last")
    file = SuspectsFile(folder / LIST)
    with suppress(TacitError):
        find_suspects(file, LISTING, 0.5)
    accept_suspects(difference, LISTING, file, verdicts, 0.5, lambda above: 0.9)
    difference.apply_to(LISTING)


kind("review: suspects", review, LIST)(follow_review)
kind("review: store", review, f"{STORE}*")(follow_review)
kind("review: audit", review, AUDIT, documents=True)(follow_review)


def shelves(folder: Path) -> None:
    for first in range(2):
        keys = to_keys([number.to_bytes(KEY_BYTES, "big") for number in range(first, first + 3)])
        Shelf(folder / "shelf", {"trunk": "tiny"}).add(keys, torch.ones(3, 4, 1, 1))


@kind("features", shelves)
def read_shelves(random: Random, folder: Path) -> None:
    list_shelves(folder)
    shelf = Shelf(folder / "shelf", {})
    check_limit(shelf, 10**6, 1.0)
    wanted = to_keys([number.to_bytes(KEY_BYTES, "big") for number in range(5)])
    kept = torch.zeros(5, 4, 1, 1)
    for hit in shelf.find(wanted):
        kept[torch.from_numpy(hit.found)] = shelf.read(hit)


SETTINGS = ("data.options.images=10", "model.size=16", "model.trunk=tiny", "phases.epochs=2")
CELLS = read_grid(None, SETTINGS, {"methods": ["an", "role"], "seeds": 2})


def grid(folder: Path) -> None:
    scores = {"map": 50.0, "of1": 40.0, "cf1": 30.0, "n_images": 9, "split": "test"}
    scores |= {"selection": "labels", "per_class": {"cat": 40.0, "dog": 60.0}}
    for number, cell in enumerate(CELLS[1]):
        run = Grid(folder).run(cell)
        if number == 3:
            failed = folder / "failed" / f"{run.folder.name}.json"
            failed.parent.mkdir()
            failed.write_text(json.dumps({"cell": cell.title, "reason": "it is full"}))
            continue
        run.folder.mkdir(parents=True)
        assert cell.config is not None
        record = {"format": 2, "config": cell.config.model_dump(mode="json"), "fingerprint": "a"}
        record |= {"data": {"name": "x", "images": 10, "classes": 2}, "versions": {"torch": "2"}}
        run.write({**record, "result": {**scores, "best": {"map": 45.0 + number, "epoch": 2}}})
        for epoch in (1, 2):
            found = {"tp": 1, "fp": 1, "precision": 0.5, "recall": 0.5}
            told = {"epoch": epoch, "phase": 0, "terms": {"an": 0.5}, "seconds": 1.0}
            run.log.append({**told, "validation_map": 40.0 + epoch, "identification": found})


@kind("comparison", grid, "**/*.json", "**/*.jsonl", documents=True)
def read_comparison(random: Random, folder: Path) -> None:
    runs = sorted((folder / "runs").iterdir())
    with suppress(TacitError):
        write_page(folder / "one.html", build_report(read_runs(runs[:1])))
    with suppress(TacitError):
        write_page(folder / "all.html", build_report(read_runs(runs)))
    for run in runs:
        with suppress(TacitError):
            Run(run).resume_config(CELLS[1][0].config)  # type: ignore[arg-type]
    rows = summarise(Grid(folder).measure(CELLS[1]), ("an",))
    for write in WRITERS.values():
        write(rows, 2)


CLASSES = ("bird", "cat", "dog")


def deciding_model(folder: Path) -> None:
    random = np.random.RandomState(0)
    told, labels = random.rand(40, 3).astype("f4"), random.randint(0, 2, (40, 3)).astype("i1")
    found = decide(told, labels, CLASSES)
    assert found is not None
    model = build_model(classes=CLASSES, size=16, trunk="tiny")
    extra: dict[str, Any] = {"thresholds": found.thresholds, "decisions": found.about}
    save_model(model, folder, **json.loads(json.dumps(extra)))


@kind("model: decisions", deciding_model, "config.json", documents=True)
def read_decisions(random: Random, folder: Path) -> None:
    for goal in (None, "f1", "precision=0.9", "looks=0.5", "coverage=0.5"):
        with suppress(TacitError):
            cut = choose_thresholds(folder, None, goal)
            assert cut.shape == (3,) and not np.isnan(cut).any()
    model = from_pretrained(folder)
    repr(model)
    model.predict(torch.zeros(3, 16, 16, dtype=torch.uint8).permute(1, 2, 0).numpy()).labels  # noqa: B018
