"""Online estimation of labels: a classifier and a table of label estimates are trained together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tacit.losses import assumed_negative, binary_cross_entropy, full_precision
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.label_table import LabelTable
from tacit.methods.parts.priors import ExpectedPositives
from tacit.ranges import Epsilon, PerImage
from tacit.types import Annotations, Batch, Clock, Judgement, Step

# Where estimates start: unknown cells at random between these probabilities, known ones almost
# certain.
UNDECIDED, CERTAIN = 0.6, 0.995
ROWS_AT_ONCE = 65_536


class OnlineEstimation(Method):
    """Regularised online label estimation.

    Cole et al., CVPR 2021 ("ROLE"). Each training image has a row of free logits. Classifier and
    rows are each trained on the known labels, on the other's opinion, and towards the expected
    number of positives per image.

    The published numbers take that expectation from complete labels (VOC 1.5, COCO 2.9, NUS-WIDE
    1.9, CUB 31.4); here it is estimated from the data unless it is stated.

    Args:
        expected_positives: Classes an image shows on average; estimated if None.
        update: ``dense``: the rows are parameters, and the optimiser's momentum moves them also
            while their images are not in the batch, as in the released code. ``rows``: only the
            rows of the batch move, each cell along its own gradient.
        row_rate: How far a cell of ``rows`` moves for a gradient of 1.
        keep: Where ``rows`` live: ``device``, ``cpu``, or the path of a file.
        epsilon: Added to probabilities inside logarithms.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "expected_positives": None,
            "update": "dense",
            "row_rate": 3.0,
            "epsilon": 1e-5,
        }
    }
    lr_scale: ClassVar[float] = 10.0
    keeps_table: ClassVar[bool] = True
    without_decay: ClassVar[tuple[str, ...]] = ("estimates",)

    expected_positives: PerImage | None = None
    update: Literal["dense", "rows"] = "dense"
    row_rate: Annotated[float, Field(ge=0, le=100)] = 3.0
    keep: str = "device"
    epsilon: Epsilon = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expected = ExpectedPositives(self.expected_positives)

    def setup(self, annotations: Annotations) -> None:
        self.expected.begin(annotations)
        if self.update == "dense":
            self.estimates = nn.Parameter(torch.empty(annotations.shape))
            start_estimates(self.estimates.data, annotations)
            return
        self.rows = LabelTable(annotations.shape, 0, torch.float32, self.keep)
        start_estimates(self.rows.values, annotations)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        if self.update == "dense":
            estimates = self.estimates[batch.index]
        else:
            estimates = self.rows.read(batch.index).requires_grad_()
            estimates.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: self._move(batch.index, gradient)
            )
        return Step(
            {
                "classifier": self._half(logits, estimates, batch),
                "estimates": self._half(estimates, logits, batch),
            },
            suspects=batch.unknown & (estimates.detach() > 0),
            evidence={"logit": logits.detach(), "estimate": estimates.detach()},
            readings={"expected_positives": self.expected.value},
        )

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        table = self.estimates if self.update == "dense" else self.rows.values
        ours, rows = batch.index >= 0, batch.index.clamp(min=0).to(table.device)
        # Of an image from elsewhere there is no estimate but the classifier's own.
        estimates = torch.where(ours[:, None], table[rows].to(logits), logits)
        evidence = {"logit": logits, "estimate": estimates}
        return Judgement(estimates.sigmoid(), ours[:, None] & (estimates > 0), evidence)

    def _half(self, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Half of the loss: one side is trained, the other is its target."""
        opinion = binary_cross_entropy(student, teacher.detach().sigmoid(), self.epsilon)
        known = assumed_negative(student, batch.labels, self.epsilon)
        known = known.masked_fill(batch.unknown, 0)
        return 0.5 * (opinion.mean() + known.mean() + self.expected.penalise(student))

    @torch.no_grad()
    def _move(self, index: Tensor, gradient: Tensor) -> None:
        """Move the batch's rows; runs when their gradient is known."""
        # The loss is a mean over cells, of which each has the gradient that it would have alone.
        alone = gradient * gradient.numel()
        self.rows.write(index, self.rows.read(index) - self.row_rate * alone)

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        self.expected.end_epoch(predict)


def start_estimates(table: Tensor, annotations: Annotations) -> None:
    """Fill a table of logits, (N, C), a few rows at a time, so that it is all there is."""
    known = annotations.known
    for first in range(0, len(known), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        table[rows] = initial_estimates(torch.from_numpy(known[rows]))


def initial_estimates(labels: Tensor) -> Tensor:
    """Return the logits that estimates start from, (N, C)."""
    width = torch.logit(torch.tensor(UNDECIDED, dtype=torch.float64)).item()
    certain = torch.logit(torch.tensor(CERTAIN, dtype=torch.float64)).item()
    start = torch.empty(labels.shape).uniform_(-width, width)
    return torch.where(labels == 0, start, labels * certain)
