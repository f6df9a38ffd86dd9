"""A review to try: drawn images with one label each, and what is probably missing there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacit.data.observe import draw_observed
from tacit.data.scenes import load_scenes
from tacit.data.source import Source
from tacit.errors import UsageError
from tacit.repair.opening import open_source
from tacit.repair.session import Review
from tacit.repair.suspects_file import SuspectsFile, write_suspects

IMAGES, SIDE, SEED = 400, 224, 7
PARTS = 2  # each scored by what was learned from the others
FLOOR = 0.02
FILE = "demo.parquet"


def open_demo(folder: Path) -> Review:
    """Open the review of drawn images, where one stopped if the folder has been used before."""
    path = folder / FILE
    if folder.exists() and not path.exists() and any(folder.iterdir()):
        raise UsageError(f"The folder {folder} holds something else; choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    source = draw_source()
    if not path.exists():
        write_suspects(
            path,
            [find_suspects(source)],
            {
                "data": source.fingerprint(),
                "classes": list(source.classes),
                "floor": FLOOR,
            },
        )
    return open_source(SuspectsFile(path), source)


def draw_source() -> Source:
    """Draw the images, each with one known positive."""
    whole, _ = load_scenes(size=SIDE, images=IMAGES, test_images=1, seed=SEED)
    observed = draw_observed(whole.labels, 1, 0, SEED)
    return whole.with_labels(observed)


def find_suspects(source: Source) -> dict[str, object]:
    """Score unknown cells by colours and shapes, learned from other images."""
    features = np.stack([_describe(source, row) for row in range(len(source))])
    labels = source.labels.dense()
    scores = score_out_of_part(features, labels == 1)
    frequency = (labels == 1).mean(axis=0)
    per_image = 3.0  # a guess: how many classes an image shows
    posterior = 1 - (1 - scores) ** per_image
    posterior = np.where(labels == 0, posterior, 0) * (frequency > 0)
    rows, columns = np.nonzero(posterior > FLOOR)
    order = np.argsort(-posterior[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    return {
        "image": [source.images[row] for row in rows.tolist()],
        "class": columns,
        "rank": np.arange(1, len(rows) + 1),
        "posterior": posterior[rows, columns].astype(np.float32),
        "score": scores[rows, columns].astype(np.float32),
    }


def score_out_of_part(
    features: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return scores of each part of the images by a regression on the others."""
    from sklearn.linear_model import LogisticRegression

    scores = np.zeros(known.shape)
    part = np.arange(len(features)) % PARTS
    for held in range(PARTS):
        for column in range(known.shape[1]):
            learned, target = features[part != held], known[part != held, column]
            if target.any():
                model = LogisticRegression(C=0.05, max_iter=300).fit(learned, target)
                scores[part == held, column] = model.predict_proba(features[part == held])[:, 1]
    return scores


def _describe(source: Source, row: int) -> NDArray[np.float64]:
    """Describe an image by how often each of 64 colours occurs, in 3 x 3 parts and in all."""
    small = np.asarray(source.open(row).resize((96, 96))) >> 6
    colours = small[..., 0] * 16 + small[..., 1] * 4 + small[..., 2]
    parts = colours.reshape(3, 32, 3, 32).swapaxes(1, 2).reshape(9, -1)
    counts = np.stack([np.bincount(each, minlength=64) for each in parts])
    described = np.log1p(np.concatenate([counts.ravel(), counts.sum(0)])) / 3
    return np.asarray(described, np.float64)
