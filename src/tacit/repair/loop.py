"""A queue that learns while somebody looks.

After every page of verdicts heads, posteriors and queue are made anew, on features that stay in
memory and from heads that are nearly right already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.errors import UsageError
from tacit.labels import Dense, SparseLabels
from tacit.repair.audit import Audit
from tacit.repair.calibration import fit_correction
from tacit.repair.out_of_fold import SUREST, CrossFitter, cross_fit, find_scores, judge_scores
from tacit.repair.verdicts import Stream

AXES = 256
"""Fewer principal axes than for a list that is made once: a page must not wait."""
STEPS = 6
AUDIT_EVERY, LEARN_EVERY = 5, 20
"""Of a page, every so many cells are of the audit, and are asked to learn from."""


@dataclass(frozen=True)
class Question:
    """A cell to ask about.

    Attributes:
        cell: Its number, row times classes plus class.
        stream: Why it is asked.
        posterior: What is thought of it.
        probability: With which probability the audit drew it.
    """

    cell: int
    stream: Stream
    posterior: float
    probability: float | None = None


class Loop:
    """Heads, posteriors and queue, made anew after every page.

    Args:
        features: (N, D) of the images, which stay as they are.
        labels: (N, C), three states, as they were before anybody looked.
        folds: Images are scored by heads that did not see their fold.
        seed: Of the folds.
        groups: (N,) images of a group, such as equal files, are in one fold.
        labelling_rate: See `tacit.find_missing`.
        labels_per_image: See `tacit.find_missing`.

    Attributes:
        posterior: (N, C) how probably each unknown cell is missed; 0 where somebody has looked.
    """

    def __init__(
        self,
        features: Any,
        labels: Dense | SparseLabels,
        *,
        folds: int = 5,
        seed: int = 0,
        groups: NDArray[np.int64] | None = None,
        labelling_rate: float | None = None,
        labels_per_image: float | None = None,
    ) -> None:
        self.given: Dense = np.asarray(labels, np.int8)
        if len(features) != len(self.given):
            raise UsageError(
                f"There are features of {len(features):,} images and labels of {len(self.given):,}."
            )
        self.labels = self.given.copy()
        self.fitter = CrossFitter.of(torch.as_tensor(features), folds, seed, groups, AXES)
        found = cross_fit(
            self.fitter, self.given,
            labelling_rate=labelling_rate, labels_per_image=labels_per_image,
        )  # fmt: skip
        self.prior, self.heads = found.judge.prior, found.heads
        self.posterior = self._judge(found.scores, {})

    def update(self, verdicts: Mapping[int, bool]) -> None:
        """Learn from all verdicts so far.

        Args:
            verdicts: Whether the class is there, by the number of the cell. They are all that hold,
                not only new ones; what somebody took back is left out.
        """
        self.labels = self.given.copy()
        cells = np.fromiter(verdicts, np.int64, len(verdicts))
        present = np.fromiter(verdicts.values(), bool, len(verdicts))
        self.labels.ravel()[cells] = np.where(present, 1, -1)
        known = torch.from_numpy(self.labels)
        soft = torch.from_numpy(np.minimum(self.posterior, SUREST))
        targets = torch.where(known == 0, soft, (known == 1).float())
        logits, self.heads = self.fitter.fit(targets, self.heads, STEPS)
        self.posterior = self._judge(find_scores(logits, self.prior.rates), verdicts)

    def _judge(
        self, scores: NDArray[np.float32], verdicts: Mapping[int, bool]
    ) -> NDArray[np.float32]:
        """Return posteriors by the labels as they came, corrected by what looks have found.

        Cells that were looked at were chosen by their posteriors. As long as they count as unknown
        where ratios are measured, that does no harm.
        """
        judge = judge_scores(self.given, scores, prior=self.prior)
        posterior = judge.judge(scores)
        if verdicts:
            cells = np.fromiter(verdicts, np.int64, len(verdicts))
            present = np.fromiter(verdicts.values(), bool, len(verdicts))
            classes = posterior.shape[1]
            seen = posterior.ravel()[cells].astype(np.float64)
            posterior = fit_correction(seen, cells % classes, present, classes).apply(posterior)
        return np.where(self.labels == 0, posterior, 0).astype(np.float32)

    @property
    def expected(self) -> float:
        """How many labels are thought to be missing still."""
        return float(self.posterior.sum(dtype=np.float64))

    def next_page(
        self,
        count: int = 20,
        *,
        audit: Audit | None = None,
        class_weights: NDArray[np.floating] | None = None,
        skip: Mapping[int, Any] | None = None,
    ) -> list[Question]:
        """Return what to ask next: mostly the best guesses, some of the audit, some to learn from.

        Args:
            count: Cells of a page.
            audit: Whose cells are asked in their order, if there is one.
            class_weights: (C,) what a label of each class is worth; all the same if None.
            skip: Cells that are not asked, such as those another person is looking at, or was not
                sure of.
        """
        posterior = self.posterior.ravel()
        open_ = self.labels.ravel() == 0
        barred = np.fromiter(skip or (), np.int64, len(skip or ()))
        open_[barred] = False
        page: list[Question] = []
        if audit is not None:
            places = np.flatnonzero(open_[audit.cells])[: -(-count // AUDIT_EVERY)]
            for place in places.tolist():
                cell, chance = int(audit.cells[place]), float(audit.probabilities[place])
                page.append(Question(cell, "audit", float(posterior[cell]), chance))
                open_[cell] = False
        gain = posterior
        if class_weights is not None:
            gain = (self.posterior * np.asarray(class_weights)).ravel()
        taught = count // LEARN_EVERY
        for worth, wanted in ((posterior * (1 - posterior), taught), (gain, count - len(page))):
            # The second time, all that is left of the page.
            wanted = min(wanted, count - len(page), int(open_.sum()))
            if wanted > 0:
                worth = np.where(open_, worth, -1.0)
                best = np.argpartition(-worth, wanted - 1)[:wanted]
                best = best[np.argsort(-worth[best], kind="stable")]
                page += [Question(int(c), "queue", float(posterior[c])) for c in best]
                open_[best] = False
        return page
