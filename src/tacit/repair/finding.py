"""From a run and its data to a list of suspects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tacit.data.source import Source
from tacit.devices import choose_device
from tacit.errors import UsageError
from tacit.features.compute import build_reading, compute_features, empty_features
from tacit.features.keys import key_images
from tacit.repair.cross_training import cross_train
from tacit.repair.heads import draw_folds
from tacit.repair.missing import Judge, describe_prior
from tacit.repair.out_of_fold import FOLDS, CrossFitter, cross_fit, judge_scores, to_odds
from tacit.repair.ranked import FLOOR, Evidence, Listed, list_suspects, write_ranked
from tacit.repair.regions import find_boxes
from tacit.repair.ruler import Gain, weigh_evidence
from tacit.runs.folder import Run
from tacit.training.report import Reporter

BLOCK = 16_384
BOXES = 300

CAUTION = (
    "The trunk learned from these labels itself, so that the scores are not fully those of a model "
    "that has not seen the images."
)


@dataclass(frozen=True, eq=False)
class Found:
    """Scores of all images by models that were not trained on them.

    Attributes:
        source: The images.
        scores: (N, C) how probably each class is labelled.
        judge: Turns them into posteriors.
        runs: The runs whose features it was.
        caution: What to know before trusting it; empty if nothing.
        evidence: What each column of evidence was worth, for each run.
        columns: Evidence by name, (N, C).
    """

    source: Source
    scores: NDArray[np.float32]
    judge: Judge
    runs: tuple[Run, ...]
    caution: str
    evidence: tuple[tuple[Gain, ...], ...] = ()
    columns: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Go through the scores, a block of images at a time."""
        for first in range(0, len(self.scores), BLOCK):
            yield first, self.scores[first : first + BLOCK]


def find_suspects(
    runs: Sequence[Run],
    source: Source | None = None,
    *,
    folds: int | None = None,
    seed: int = 0,
    labelling_rate: float | None = None,
    labels_per_image: float | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Found:
    """Score the images of runs out of fold, by heads on their trunks or by whole trainings.

    Args:
        runs: One run or several; scores of several are joined by their mean log odds.
        source: Other images and labels than those the first run was trained on.
        folds: Train so many times anew, each time without one part of the images, and score that
            part; None scores them by heads, in seconds.
        seed: Of the folds.
        labelling_rate: See `tacit.find_missing`.
        labels_per_image: See `tacit.find_missing`.
        device: Where features are computed.
        reporter: Receives the progress of whole trainings.
    """
    if folds is not None and folds < 2:
        raise UsageError(f"Images are shared out over two folds or more, not {folds}.")
    source = source or runs[0].splits().train
    for run in runs[1:]:
        run.check_same_data(runs[0].splits())
    # Equal images are in one fold, and so are those of a group.
    groups = None if source.side is None else source.side.groups
    if groups is None:
        groups = np.unique(key_images(source, range(len(source))), return_inverse=True)[1]
    fold = draw_folds(len(source), min(folds or FOLDS, len(source)), seed, groups)
    known, where = source.labels.dense(), choose_device(device)
    if folds is not None:
        each = [cross_train(run, source, fold, where, reporter) for run in runs]
        scores = _join(each)
        judge = judge_scores(known, scores, labelling_rate, labels_per_image)
        return Found(source, scores, judge, tuple(runs), "")
    parts = []
    for run in runs:
        fitter = CrossFitter.share_out(read_features(run, source, where), fold)
        fitted = cross_fit(
            fitter, known, labelling_rate=labelling_rate, labels_per_image=labels_per_image
        )
        parts.append(weigh_evidence(fitter, known, fitted))
    scores, judge = parts[0].scores, parts[0].judge
    if len(parts) > 1:
        scores = _join([part.scores for part in parts])
        judge = judge_scores(known, scores, prior=judge.prior)
    learned = any("trunk" not in p.freeze for run in runs for p in run.config.phases)
    gains = tuple(tuple(part.gains) for part in parts)
    near: NDArray[np.float32] = np.mean(
        [part.neighbours for part in parts], axis=0, dtype=np.float32
    )
    caution = CAUTION if learned else ""
    return Found(source, scores, judge, tuple(runs), caution, gains, {"neighbours": near})


def _join(scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of scores on the scale of log odds."""
    if len(scores) == 1:
        return scores[0]
    mean = np.mean([to_odds(each) for each in scores], axis=0)
    joined: NDArray[np.float32] = (1 / (1 + np.exp(-mean))).astype(np.float32)
    return joined


def read_features(
    run: Run, source: Source, device: torch.device, between: Callable[[], None] = lambda: None
) -> Tensor:
    """Return what the trunk of a run makes of images, its mean over space, (N, D)."""
    model: Any = run.model().to(device).eval()
    reading = build_reading(model, run.config, device, pooled=True)
    try:
        features = compute_features(reading, source, range(len(source)), empty_features, between)
    except UsageError:  # a head that reads whole maps; ours does not
        model.trunk = _Averaged(model.trunk)
        reading = build_reading(model, run.config, device, pooled=False)
        features = compute_features(reading, source, range(len(source)), empty_features, between)
    return features.flatten(1).float().cpu()


class _Averaged(nn.Module):
    """A trunk that returns its features' mean over space."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.trunk(images)
        return features.float().mean((2, 3), keepdim=True)


def write_found(
    found: Found,
    path: Path,
    *,
    floor: float = FLOOR,
    boxes: int = BOXES,
    device: str = "auto",
    watch: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Write the list of suspects, and return what it says about itself.

    Args:
        found: Scores and judge.
        path: The file.
        floor: Posterior below which cells are left out.
        boxes: For how many suspects to say where in the image to look.
        device: Where the model looks for that.
        watch: Called with the number of images that were looked at.
    """
    source, judge = found.source, found.judge
    listed = list_suspects(source, judge, found.blocks, floor)
    places: Mapping[int, list[float]] = {}
    model: Any = found.runs[0].model()
    if boxes and tuple(model.classes) == source.classes:
        posterior = judge.judge(found.scores) * (source.labels.dense() == 0)
        flat = posterior.ravel()
        best = np.argpartition(-flat, min(boxes, flat.size) - 1)[:boxes]
        best = best[flat[best] >= listed.floor]
        where = choose_device(device)
        places = find_boxes(model.to(where).eval(), source, best.tolist(), where, watch)
    about = {**describe(found, listed), "boxes": len(places)}
    evidence = gather_evidence(found)
    write_ranked(path, source, judge, found.blocks, listed, about, evidence, places)
    return {**about, "floor": listed.floor, "suspects": listed.kept}


def describe(found: Found, listed: Listed) -> dict[str, Any]:
    """Say how much is missing, and what that rests on."""
    prior, names = found.judge.prior, found.source.classes
    total = float(listed.per_class.sum())
    most = np.argsort(-listed.per_class)[:3]
    looks = min(2000, int(listed.kept))
    per_class = {
        name: [round(float(value), 2) for value in row]
        for name, row in zip(
            names, zip(listed.per_class, prior.low, prior.high, strict=True), strict=True
        )
    }
    low, high = min(prior.total_low, total), max(prior.total_high, total)
    sentence = (
        f"About {total:,.0f} labels are missing ({low:,.0f} to {high:,.0f}), most in "
        f"{', '.join(names[kind] for kind in most)}; the first {looks:,} looks will bring about "
        f"{listed.expect(looks):,.0f} of them. {describe_prior(prior)}"
    )
    return {
        "expected": round(total, 1),
        "interval": [round(low, 1), round(high, 1)],
        "per_class": per_class,
        "labelling_rate": round(prior.rate, 4),
        "rests_on": prior.rests_on,
        "summary": " ".join(
            each for each in (sentence, tell_evidence(found), found.caution) if each
        ),
        "evidence": [[asdict(gain) for gain in gains] for gains in found.evidence],
        "model": str(found.runs[0].record.get("fingerprint", "")),
    }


def tell_evidence(found: Found) -> str:
    """Say which evidence helped to rank, in a sentence; empty where there is none to speak of."""
    used = {gain.name for gains in found.evidence for gain in gains if gain.used}
    left = {gain.name for gains in found.evidence for gain in gains} - used
    told = [f"{', '.join(sorted(used))} helped"] if used else []
    told += [f"{', '.join(sorted(left))} did not, and was left out"] if left else []
    if not told:
        return ""
    return f"Judged by hidden known labels, of the evidence {'; '.join(told)}."


def gather_evidence(found: Found) -> Evidence | None:
    """Return what reads evidence of cells: columns, and how often runs suspected them."""
    times = count_times(found.runs, found.source)
    if not times and not found.columns:
        return None

    def tell(cells: NDArray[np.int64]) -> Mapping[str, NDArray[np.float32]]:
        told = {name: column.ravel()[cells] for name, column in found.columns.items()}
        if times:
            told["times"] = np.array([times.get(c, 0.0) for c in cells.tolist()], np.float32)
        return told

    return tell


def count_times(runs: Sequence[Run], source: Source) -> dict[int, float]:
    """Return how often the methods of runs suspected cells, if they kept that of these images."""
    counted: dict[int, float] = {}
    rows = {name: row for row, name in enumerate(source.images)}
    kinds = {name: column for column, name in enumerate(source.classes)}
    for run in runs:
        if not run.suspects_file.is_file():
            continue
        table = run.suspects().select(["image", "class", "times"]).to_pydict()
        for image, kind, times in zip(*table.values(), strict=True):
            if image in rows and kind in kinds:
                cell = rows[image] * len(kinds) + kinds[kind]
                counted[cell] = counted.get(cell, 0.0) + times
    return counted
