"""A review to try: drawn images with one label each, and what is probably missing there.

No network is trained. Small patches of the images are compared with typical ones, and a regression
learns from the labels which of them go with a class: weak, as real models are on real photographs,
and ready in seconds.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tacit.data.observe import draw_observed
from tacit.data.scenes import load_scenes
from tacit.data.scenes.drawing import draw_scene
from tacit.data.source import Source
from tacit.errors import UsageError
from tacit.repair.learning import Between, Learner
from tacit.repair.missing import find_missing
from tacit.repair.opening import open_source
from tacit.repair.session import Review
from tacit.repair.suspects_file import SuspectsFile, write_suspects

Floats = NDArray[np.float32]

IMAGES, SEED = 600, 7
SMALL, SHOWN = 48, 448  # sides: what is learned from, and what a person sees
LABELS_PER_IMAGE = 2.9  # "an image has about three"; side information, not the truth
FLOOR = 0.01
PATCH, STRIDE, TYPICAL = 8, 3, 200
PARTS = 4  # each scored by what was learned from the others
FILE = "demo.parquet"


def open_demo(folder: Path) -> Review:
    """Open the review of drawn images, where one stopped if the folder has been used before."""
    path = folder / FILE
    if folder.exists() and not path.exists() and any(folder.iterdir()):
        raise UsageError(f"The folder {folder} holds something else; choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    source = draw_source()
    if not path.exists():
        about = {"data": source.fingerprint(), "classes": list(source.classes), "floor": FLOOR}
        write_suspects(path, [find_suspects(source)], about)
    shown = source.with_open(partial(_draw_large, source))
    return open_source(SuspectsFile(path), shown, learner=partial(make_learner, source))


def make_learner(source: Source, between: Between = lambda: None) -> Learner:
    """Return what learns from answers, on the same description of the images."""
    from tacit.repair.loop import Loop

    features = compare_patches(source)
    between()
    return Loop(features, source.labels, labels_per_image=LABELS_PER_IMAGE)


def draw_source() -> Source:
    """Draw the images, each with one known positive."""
    whole, _ = load_scenes(size=SMALL, images=IMAGES, test_images=1, seed=SEED)
    return whole.with_labels(draw_observed(whole.labels, 1, 0, SEED))


def _draw_large(source: Source, row: int) -> Image.Image:
    return Image.fromarray(
        draw_scene(SEED, int(source.images[row].rpartition("-")[2]), SHOWN).image
    )


def find_suspects(source: Source) -> dict[str, object]:
    """Score unknown cells by what was learned from other images."""
    known = source.labels.dense() == 1
    scores = score_out_of_part(compare_patches(source), known)
    missing = find_missing(
        source.labels, scores, classes=source.classes, labels_per_image=LABELS_PER_IMAGE
    )
    rows, columns = np.nonzero(missing.posterior > FLOOR)
    posterior = missing.posterior[rows, columns]
    order = np.argsort(-posterior, kind="stable")
    rows, columns = rows[order], columns[order]
    return {
        "image": [source.images[row] for row in rows.tolist()],
        "class": columns,
        "rank": np.arange(1, len(rows) + 1),
        "posterior": posterior[order],
        "score": 1 / (1 + np.exp(-scores[rows, columns])),
    }


def compare_patches(source: Source) -> Floats:
    """Say how near the patches of each image are to each typical patch, (N, TYPICAL)."""
    random = np.random.default_rng(SEED)
    patches = [_cut(np.asarray(source.open(row), np.float32)) for row in range(len(source))]
    some = np.concatenate([random.permutation(each)[:20] for each in patches[::2]])
    mean = some.mean(0)
    values, vectors = np.linalg.eigh(np.cov((some - mean).T))
    whiten = ((vectors / np.sqrt(values + 0.1)) @ vectors.T).astype(np.float32)
    typical = _find_typical((some - mean) @ whiten, random)
    near = np.empty((len(source), TYPICAL), np.float32)
    for row, each in enumerate(patches):
        distance = _measure((each - mean) @ whiten, typical)
        near[row] = np.sqrt(np.maximum(0, distance.mean(1, keepdims=True) - distance)).mean(0)
    return np.asarray((near - near.mean(0)) / near.std(0), np.float32)


def _cut(image: Floats) -> Floats:
    """Cut an image into patches of equal brightness and contrast, (n, PATCH * PATCH * 3)."""
    window = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
    patches = window[::STRIDE, ::STRIDE].reshape(-1, PATCH * PATCH * 3)
    centred = patches - patches.mean(1, keepdims=True)
    return np.asarray(centred / np.sqrt(centred.var(1, keepdims=True) + 10), np.float32)


def _find_typical(patches: Floats, random: np.random.Generator) -> Floats:
    """Return centres of clusters of patches, by a few rounds of k-means."""
    typical = random.permutation(patches)[:TYPICAL]
    for _ in range(5):
        belongs = np.eye(TYPICAL, dtype=np.float32)[_measure(patches, typical).argmin(1)]
        counts = belongs.sum(0)[:, None]
        typical = np.where(counts > 0, belongs.T @ patches / np.maximum(counts, 1), typical)
    return typical


def _measure(patches: Floats, typical: Floats) -> Floats:
    squares = (patches**2).sum(1)[:, None] + (typical**2).sum(1) - 2 * patches @ typical.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)), np.float32)


def score_out_of_part(features: Floats, known: NDArray[np.bool_]) -> Floats:
    """Return log-odds of each part of the images by a regression on the others."""
    from sklearn.linear_model import LogisticRegression

    scores = np.zeros(known.shape, np.float32)
    part = np.arange(len(features)) % PARTS
    for held in range(PARTS):
        for column in range(known.shape[1]):
            model = LogisticRegression(C=0.003, max_iter=300)
            model.fit(features[part != held], known[part != held, column])
            scores[part == held, column] = model.decision_function(features[part == held])
    return scores
