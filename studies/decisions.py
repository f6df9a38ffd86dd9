"""Decided labels from single positives, on photographs: what each goal and basis reaches.

    python studies/decisions.py TABLE --classes FILE [--seeds 3] [--methods an,gr,em,hill,splc]
        [--store FOLDER] [--out runs/decisions] [--results docs/results]

Trains as studies/photographs.py does, but no clean label is seen anywhere: validation images have
one known positive each, too. Then labels of the test images are decided in several ways. Finished
runs in --out are not repeated. Writes decisions.md and decisions.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from photographs import make_settings

METHODS = "an,gr,em,hill,splc"
BASES = ("estimated", "stated", "clean")


def measure(name: str, seed: int, settings: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Train one method with one seed, unless it is done already, and decide in all ways."""
    import torch

    from tacit.config import resolve
    from tacit.presets import find_preset
    from tacit.runs.folder import Run
    from tacit.runs.score import predict_split
    from tacit.training.run import train

    torch.set_num_threads(1)
    run = Run(folder)
    if run.result is None:
        own = (f"method.name={name}", f"run.seed={seed}", f"data.draw_seed={1200 + seed}")
        train(resolve(find_preset("quick"), (*settings, *own)), folder, resume=True)
    splits, config = run.splits(), run.config
    model, device = run.model(), torch.device("cpu")
    told = [predict_split(model, each, config, device) for each in (splits.validation, splits.test)]
    labels = splits.validation.labels.dense()
    clean, truth = (each.truth.dense() for each in (splits.validation, splits.test) if each.truth)
    mean = float((clean == 1).sum(1).mean())
    return {
        "method": name,
        "seed": seed,
        "mean": mean,
        "size": config.model.size,
        "map": run.record["result"]["map"],
        "of1_of_evaluate": run.record["result"]["known"]["of1_decided"],
        **_decide(told, labels, clean, truth, mean, splits.test.classes),
    }


def _decide(
    told: list[Any], labels: Any, clean: Any, truth: Any, mean: float, classes: tuple[str, ...]
) -> dict[str, Any]:
    from tacit.evaluation.calibration import Calibration
    from tacit.evaluation.decisions import decide
    from tacit.evaluation.goals import parse_goal

    positive = truth == 1
    best = (-told[1]).argsort(1, kind="stable").argsort(1) < round(mean)
    found = {"0.5": _score(told[1] >= 0.5, positive), "best": _score(best, positive)}
    found["raw"] = {"error": _measure_error(told[1], positive)}
    bases = {"estimated": (labels, None), "stated": (labels, mean), "clean": (clean, None)}
    for basis, (known, stated) in bases.items():
        for goal in ("f1", "precision=0.9", "coverage=0.9"):
            made = decide(told[0], known, classes, parse_goal(goal), labels_per_image=stated)
            assert made is not None
            thresholds = np.array([made.thresholds[name] for name in classes], np.float32)
            found[f"{basis} {goal}"] = _score(told[1] >= thresholds, positive)
        shifts = made.about["calibration"]["shifts"]
        calibration = Calibration(
            made.about["calibration"]["slope"], np.array([shifts[name] for name in classes])
        )
        found[basis] = {
            "number": made.about["labels_per_image"]["value"],
            "error": _measure_error(calibration(told[1]), positive),
        }
    return found


def _score(decided: Any, positive: Any) -> dict[str, float]:
    from tacit.evaluation.metrics import f1_of_decided

    f1, some = f1_of_decided(decided, positive), positive.any(1)
    covered = (decided & positive).sum(1)[some] / positive.sum(1)[some]
    return {
        "of1": 100 * f1.of1,
        "cf1": 100 * f1.cf1,
        "labels": float(decided.sum(1).mean()),
        "precision": f1.overall_precision,
        "coverage": float(covered.mean()),
    }


def _measure_error(told: Any, positive: Any, bins: int = 15) -> float:
    """Return the mean distance of probabilities from shares, over bins of equally many cells."""
    order = np.argsort(told, axis=None)
    parts = zip(
        np.array_split(told.ravel()[order], bins),
        np.array_split(positive.ravel()[order], bins),
        strict=True,
    )
    return float(np.mean([abs(said.mean() - true.mean()) for said, true in parts]))


def main() -> None:
    """Train everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--classes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", type=str, default=METHODS)
    parser.add_argument("--store", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path("runs/decisions"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    settings = (
        *make_settings(options.table, options.classes, options.store),
        'data.options.absent="negative"',
        "data.positives=1",
        'data.validation_labels="observed"',
    )
    rows = []
    for seed in range(options.seeds):
        for name in options.methods.split(","):
            rows.append(measure(name, seed, settings, options.out / f"{name}-{seed}"))
            print(json.dumps(rows[-1]), flush=True)
    (options.results / "decisions.json").write_text(json.dumps(rows, indent=1) + "\n")
    (options.results / "decisions.md").write_text(_page(rows, options.seeds), encoding="utf-8")


def _say_precise(group: list[dict[str, Any]], basis: str) -> str:
    found = [row[f"{basis} precision=0.9"] for row in group]
    mean = {key: statistics.fmean(each[key] for each in found) for key in ("precision", "labels")}
    held = sum(each["precision"] >= 0.9 for each in found)
    return f"{mean['precision']:.3f}, {held} of {len(found)}, {mean['labels']:.2f} labels"


def _page(rows: list[dict[str, Any]], seeds: int) -> str:
    from tacit.runs.folder import versions

    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["method"], []).append(row)

    def cell(group: list[dict[str, Any]], key: str, value: str, digits: int = 1) -> str:
        found = [row[key][value] for row in group]
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        return f"{statistics.fmean(found):.{digits}f} ± {spread:.{digits}f}"

    ways = ("0.5", "best", *(f"{basis} f1" for basis in BASES))
    overall = "\n".join(
        f"| `{name}` | {' | '.join(cell(group, way, 'of1') for way in ways)} |"
        for name, group in groups.items()
    )
    by_class = "\n".join(
        f"| `{name}` | {' | '.join(cell(group, way, 'cf1') for way in ways)} |"
        for name, group in groups.items()
    )
    more = "\n".join(
        f"| `{name}` | {cell(group, 'estimated', 'number', 2)} "
        f"| {cell(group, 'estimated f1', 'labels', 2)} "
        f"| {cell(group, 'estimated coverage=0.9', 'coverage', 3)} "
        f"| {cell(group, 'raw', 'error', 3)} | {cell(group, 'estimated', 'error', 3)} "
        f"| {cell(group, 'clean', 'error', 3)} |"
        for name, group in groups.items()
    )
    precise = "\n".join(
        f"| `{name}` | {' | '.join(_say_precise(group, basis) for basis in BASES)} |"
        for name, group in groups.items()
    )
    above = sum(row["estimated f1"]["of1"] > row["best"]["of1"] for row in rows)
    stated = sum(row["stated f1"]["of1"] > row["best"]["of1"] for row in rows)
    size = rows[0]["size"]
    used = ", ".join(f"{k} {v}" for k, v in versions().items())
    mean = statistics.fmean(row["mean"] for row in rows)
    return f"""# Decided labels

What [decisions](../evaluation.md#decisions) reach on photographs where nobody ever saw a clean
label: 8,000 training photographs of [COCO](https://arxiv.org/abs/1405.0312) with 18 of its
classes, a fifth of them for validation, one known positive an image in both. The test images are
2,000, fully labelled, with {mean:.2f} labels an image on validation images. Heads on a frozen
`tf_efficientnet_lite0` at {size} pixels, as on the page on [photographs](photographs.md).
{seeds} draws of labels; mean and standard deviation.

OF1 in percent, where labels are decided at a probability of 0.5; as the best {round(mean)} of each
image, which is the true mean and more than a user knows; for the goal `f1` with the number of
labels per image estimated, or stated as it truly is; and from clean validation labels:

| method | 0.5 | best {round(mean)} | estimated | stated | clean |
| --- | ---: | ---: | ---: | ---: | ---: |
{overall}

Above the best {round(mean)} in {above} of {len(rows)} runs where the number is estimated, and in
{stated} where it is stated. CF1 of the same:

| method | 0.5 | best {round(mean)} | estimated | stated | clean |
| --- | ---: | ---: | ---: | ---: | ---: |
{by_class}

With the estimated number: that number, labels decided for `f1`, the coverage that `coverage=0.9`
reaches, and the error of probabilities, raw, calibrated on positives, and calibrated on clean
labels: the mean distance of the probability from the share of positives over 15 groups of equally
many cells.

| method | number | decided | coverage | raw | positives | clean |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{more}

What `precision=0.9` decides: the precision on the test images, the draws in which it is 0.9 or
more, and labels an image. It goes by [a lower bound](../evaluation.md#goals), to hold in nine draws
of ten.

| method | estimated | stated | clean |
| --- | --- | --- | --- |
{precise}

**What it does not say.** One set of photographs, labels drawn uniformly; people write down the
large and the obvious first, and then known positives are no fair sample, and coverage and estimate
are off. Coverage is promised for images like those it was chosen on.

Measured on {datetime.date.today().isoformat()} with `python studies/decisions.py TABLE --classes
FILE --seeds {seeds}`; {used}.
"""


if __name__ == "__main__":
    sys.exit(main())
