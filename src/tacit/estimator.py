"""The estimator for scikit-learn: its pipelines, its cross-validation, its grids."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tacit.config import AUTO, Config, Phase, resolve
from tacit.data import IN_MEMORY
from tacit.data.source import Source, Splits
from tacit.data.splits import split_rows
from tacit.evaluation.metrics import mean_average_precision
from tacit.labels import SparseLabels
from tacit.observed_labels import read_labels
from tacit.prediction.in_memory import list_files, name_image, predict, read_image
from tacit.presets import find_preset
from tacit.ranges import Share, check

LEAST_STEPS = 16
"""Steps in an epoch over a matrix at least, unless somebody says how large a batch is."""
USUAL_COLUMNS, MOST_LR = 1280, 0.1
"""What the learning rate of the preset is for; it grows with the root of fewer, up to this."""
CHUNK = 4096
"""Rows of a matrix that a head reads together."""


KINDS: dict[str, Any] = {
    "threshold": Share,
    "validation": Annotated[float, Field(gt=0, lt=1)],
    "settings": Mapping[str, Any] | None,
    "preset": str | None,
}


class MultiLabelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A multi-label classifier that learns from labels of which many are missing.

    ``X`` is a matrix of floats, (N, D), from which a head is learned, such as features of a network
    of yours; or images, from which a network is learned: paths, PIL images, or arrays (H, W, 3) of
    8 bits. ``y`` is (N, C), a column for each class, with the states that ``unknown`` says; a frame
    of pandas names the classes by its columns. Or it is (N,), one class that is known of each
    image, and nothing is said of its others. Predictions are (N, C) in either case.

    Args:
        method: How to learn, see `tacit methods`.
        unknown: How ``y`` writes that nobody knows: 0, beside 1 for present and -1 for absent; or
            -1 or "nan", beside 1 and 0.
        classes: Class names, in the order of the columns of ``y``.
        epochs: Passes over the rows; None for those of the preset.
        batch: Rows of a step; None for that of the preset, or less for 16 steps an epoch.
        lr: Learning rate; None for that of the preset, or more where a matrix has few columns.
        threshold: Probability from which on a class is predicted.
        preset: A recipe that comes with tacit, for images; a matrix is learned by "quick"'s phases.
        settings: Any other key of a recipe and its value, such as ``{"method.delta": 0.1}``.
        validation: Share of images that choose the best epoch; a matrix is learned to the end.
        random_state: Seed of weights and order; None for another one each time.
        device: auto, cpu, cuda, cuda:0 or mps.

    Attributes:
        classes_: Class names, or numbers where nobody named them.
        model_: The trained model, a PyTorch module.
        n_features_in_: Columns of ``X``, if it was a matrix.

    Example:
        >>> import numpy as np
        >>> from tacit import MultiLabelClassifier
        >>> features = np.random.default_rng(0).normal(size=(200, 3))
        >>> truth = (features > 0.5).astype(int)
        >>> seen = truth * (np.random.default_rng(1).random(truth.shape) < 0.5)  # half are missing
        >>> model = MultiLabelClassifier(method="gr", lr=0.1).fit(features, seen)
        >>> model.predict([[2, -2, -2], [-2, -2, 2]]).tolist()
        [[1, 0, 0], [0, 0, 1]]
    """

    def __init__(
        self,
        method: str = "gr",
        *,
        unknown: int | float | str = 0,
        classes: Sequence[str] | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        lr: float | None = None,
        threshold: float = 0.5,
        preset: str | None = None,
        settings: Mapping[str, Any] | None = None,
        validation: float = 0.2,
        random_state: Any = 0,
        device: str = "auto",
    ) -> None:
        self.method, self.unknown, self.classes = method, unknown, classes
        self.epochs, self.batch, self.lr = epochs, batch, lr
        self.threshold, self.preset, self.settings = threshold, preset, settings
        self.validation, self.random_state, self.device = validation, random_state, device

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> MultiLabelClassifier:
        """Learn from rows or images and what is known of them.

        Args:
            X: A matrix of floats, (N, D), or images.
            y: What is known: (N, C), or one known class of each image, (N,).
        """
        if y is None:
            raise ValueError("This classifier requires y to be passed, but the target y is None.")
        for name, kind in KINDS.items():
            check(name, kind, getattr(self, name))
        if images := _find_images(X):
            known = read_labels(y, len(images), self.unknown, self.classes)
            self.model_ = self._fit_images(images, known.labels, known.names)
        else:
            X = validate_data(self, X, dtype=np.float64)
            known = read_labels(y, len(X), self.unknown, self.classes)
            self.model_ = self._fit_matrix(X, known.labels, known.names)
        self.classes_ = known.classes
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the logit of every class, (N, C): above 0, it is rather there than not."""
        check_is_fitted(self)
        if hasattr(self, "n_features_in_"):
            return self._read_matrix(X)
        images = _find_images(X)
        if images is None:
            raise ValueError("This classifier has learned from images: X holds images.")
        scores = predict(self.model_, images).scores.astype(np.float64)
        inside = scores.clip(1e-12, 1 - 1e-7)
        logits: NDArray[np.float64] = np.log(inside / (1 - inside))
        return logits

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of every class, (N, C); a row sums to whatever it does."""
        probabilities: NDArray[np.float64] = expit(self.decision_function(X))
        return probabilities

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 for every class that is predicted and 0 for the others, (N, C)."""
        return (self.predict_proba(X) >= self.threshold).astype(np.int64)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the mean average precision, from 0 to 1.

        What is no known positive of ``y`` counts as absent, so that a missing label costs; classes
        without a positive are left out. Two classifiers may be compared by it on the same ``y``.
        """
        if sample_weight is not None:
            raise ValueError("Average precision here knows no sample_weight; leave it out.")
        scores = self.predict_proba(X)
        known = read_labels(y, len(scores), self.unknown, self.classes_)
        truth = (known.labels.dense() == 1).astype(np.int8)
        return float(mean_average_precision(scores, truth).map) / 100

    def _configure(self, preset: str | None) -> Config:
        given = {
            "data.name": IN_MEMORY,
            "method.name": self.method,
            "phases.epochs": self.epochs,
            "phases.batch": self.batch,
            "phases.lr": self.lr,
            "run.device": self.device,
            "run.seed": self._draw_seed(),
            **(self.settings or {}),
        }
        recipe = None if preset is None else find_preset(preset)
        return resolve(recipe, [(key, value) for key, value in given.items() if value is not None])

    def _draw_seed(self) -> int:
        state = self.random_state
        if state is None:
            return int(np.random.default_rng().integers(2**31))
        if isinstance(state, np.random.RandomState):
            return int(state.randint(2**31 - 1))
        if isinstance(state, int | np.integer) and state >= 0:
            return int(state)
        raise ValueError(f"random_state is a number from 0 on, or None, not {state!r}.")

    def _fit_matrix(self, X: NDArray[Any], labels: SparseLabels, names: tuple[str, ...]) -> Any:
        from tacit.training.heads import train_head

        config = self._configure(self.preset or "quick")
        phases = tuple(self._fit_phase(phase, *X.shape) for phase in config.phases)
        config = config.model_copy(update={"phases": phases})
        return train_head(torch.tensor(X), labels, names, config).double()

    def _fit_phase(self, phase: Phase, rows: int, columns: int) -> Phase:
        """Suit what nobody said to the size of a matrix: few rows would make few steps."""
        changes: dict[str, Any] = {}
        if self.batch is None:
            usual = rows if phase.batch == AUTO else phase.batch
            changes["batch"] = max(min(usual, rows // LEAST_STEPS), 1)
        if self.lr is None:
            changes["lr"] = min(phase.lr * (USUAL_COLUMNS / columns) ** 0.5, MOST_LR)
        return phase.model_copy(update=changes)

    def _read_matrix(self, X: Any) -> NDArray[np.float64]:
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        found = []
        with torch.inference_mode():
            for first in range(0, len(rows), CHUNK):
                chunk = torch.tensor(rows[first : first + CHUNK])
                found.append(self.model_(chunk[:, :, None, None]).numpy())
        return np.concatenate(found)

    def _fit_images(
        self, images: Sequence[Any], labels: SparseLabels, names: tuple[str, ...]
    ) -> Any:
        from tacit.models.artefact import load_model
        from tacit.training.report import LogReporter
        from tacit.training.run import train

        config = self._configure(self.preset)
        source = _build_source(images, labels, names)
        kept, aside = split_rows(len(source), self.validation, config.run.seed)
        if not len(kept) or not len(aside):
            raise ValueError(
                f"{len(source)} images are too few to set {self.validation:.0%} of them aside for "
                f"validation; give more, or say another share."
            )
        held = source.take(aside)
        splits = Splits(source.take(kept), held, held)
        with tempfile.TemporaryDirectory(prefix="tacit-") as folder:
            run = Path(folder, "run")
            train(config, run, splits=splits, reporter=LogReporter())
            return load_model(run)


def _find_images(X: Any) -> Sequence[Any] | None:
    """Return images, if these are images and no matrix of numbers."""
    if isinstance(X, str | os.PathLike):
        return list(list_files(Path(X)))
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) == 4:
        return list(X)
    if shape is not None and len(shape) != 1:
        return None
    try:
        first = next(iter(X), None)
    except TypeError:
        return None
    is_array = getattr(first, "ndim", 0) == 3
    if isinstance(first, str | os.PathLike | Image.Image) or is_array:
        return [Path(each) if isinstance(each, os.PathLike) else each for each in X]
    return None


def _build_source(images: Sequence[Any], labels: SparseLabels, names: tuple[str, ...]) -> Source:
    called = [name_image(image, number) for number, image in enumerate(images)]
    if len(set(called)) < len(called):
        called = [f"{number}: {name}" for number, name in enumerate(called)]
    are_files = all(isinstance(image, str | Path) for image in images)
    return Source(
        "images",
        names,
        called,
        labels,
        partial(_open, images),
        files=partial(_file, images) if are_files else None,
    )


def _open(images: Sequence[Any], row: int) -> Image.Image:
    return read_image(images[row])


def _file(images: Sequence[Any], row: int) -> Path:
    return Path(images[row])
