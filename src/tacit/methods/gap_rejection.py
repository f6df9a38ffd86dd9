"""Rejection by information gap: what vanishes with everything but the known object was there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tacit.distributed import sum_over_ranks, world_size
from tacit.losses import assumed_negative, full_precision, positive_loss
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.cam import Normalisation, Salient, keep_salient
from tacit.methods.parts.priors import ExpectedPositives
from tacit.methods.parts.statistics import ExponentialAverage, Lift, mark_largest_of, masked_mean
from tacit.modes import evaluating, using_batch_statistics
from tacit.ranges import Epochs, Epsilon, Share, Weight
from tacit.types import Annotations, Batch, Clock, Judgement, Step

# What presets start from: a value for everything, so that no default can change a preset.
PUBLISHED: Mapping[str, Any] = {
    "reject": True,
    "gap_threshold": True,
    "average_threshold": True,
    "cap": False,
    "strong_view": True,
    "reject_weight": 1.0,
    "spbc_weight": 0.5,
    "spbc_over": "positives",
    "consistency_weight": 0.5,
    "consistency_gradient": "both",
    "cam_threshold": 0.5,
    "cam_normalisation": "spatial",
    "cam_relu": False,
    "mask_fill": "mean",
    "gap_mode": "update",
    "read_twice": False,
    "reject_whole": False,
    "gap_decay": 0.999,
    "average_decay": 0.999,
    "average_scope": "all",
    "bias_correction": False,
    "warmup_epochs": 3,
    "warmup_share": 0.0,
    "least_lift": 0.0,
    "warmup_loss": "full",
    "epsilon": 1e-5,
}


class Ignore(Method):
    """Information-gap based false-negative loss rejection.

    Song et al., "IGNORE", ECCV 2024; numbers in brackets are the paper's equations. The model
    sees a weak view, a strong view and a masked view, in which everything but the known objects is
    hidden (2, 3). A class whose logit changes more than the known ones do (4, 5) and whose logit
    is above its own average (6) was probably missed by the annotator: its negative loss is
    dropped (7, 8). Two companions work beside the rejection, binary classification of the known
    positives on the weak view (9) and agreement of both views (10).

    The preset ``paper`` holds the equations as printed, ``released`` the arithmetic of the released
    code; the defaults are the equations with their numerical defects mended. CALR, the same
    authors' earlier method, is the same loss with other numbers (``calr``, ``calr_released``).

    Args:
        reject: Drop the negative loss of suspects. Off, only the companions are left and the
            masked pass is not run.
        gap_threshold: Require the gap to exceed that of known positives.
        average_threshold: Require the logit to exceed the running average of its class.
        cap: Reject no more cells of a batch than positives are probably missing there, those with
            the largest gaps, see `tacit.methods.parts.priors`.
        strong_view: Learn from a strong view beside the weak one; off, both are the weak view.
        reject_weight: Weight of the rejecting loss.
        spbc_weight: Weight of the known positives on the weak view; 0 switches the term off.
        spbc_over: Divide their sum by their number, or by that of images, as printed. It is the
            same where every image has one.
        consistency_weight: Weight of the agreement of both views; 0 switches the term off.
        consistency_gradient: Whether agreement moves both branches or the strong one alone.
        cam_threshold: Scaled activation above which a pixel stays visible.
        cam_normalisation: How maps are scaled, see `tacit.methods.parts.cam.normalise`.
        cam_relu: Drop negative activation first.
        mask_fill: What hidden pixels become.
        gap_mode: How the masked image is read. ``update``: in training mode, remembered by batch
            normalisation like any image. ``train``: in training mode, not remembered.
            ``evaluation``: weak and masked view once more, both as at inference.
        read_twice: Read every view once more, for batch normalisation alone, as CALR's code does
            to get its maps.
        reject_whole: Let cells of images that stay whole, because nothing is known in them or
            their map points nowhere, be rejected as well, as released.
        gap_decay: Decay of the gap's running average.
        average_decay: Decay of the classes' running average logits.
        average_scope: Average the logits of unknown cells, or of all.
        bias_correction: Divide the start at zero out of both running averages.
        warmup_epochs: Epochs at the start of a phase without rejection; None for ``warmup_share``.
        warmup_share: The same as a share of the phase's epochs.
        least_lift: After the warm-up, rejection waits for an epoch in which known positives
            exceeded the thresholds this many times as often as unknown cells did; 0 does not wait.
        warmup_loss: Train with all terms during the warm-up; with the rejecting loss alone
            (``an_only``); or with it alone and on the weak view, as printed (``an_weak``).
        epsilon: Added to probabilities inside logarithms.
    """

    makes_images = True
    asks_of_model: ClassVar[tuple[str, ...]] = ("localise",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "robust": {},
        "paper": {
            **PUBLISHED,
            "cam_threshold": 0.4,
            "average_scope": "unknown",
            "spbc_weight": 0.1,
            "spbc_over": "images",
            "warmup_loss": "an_weak",
            "epsilon": 0.0,
        },
        "released": {
            **PUBLISHED,
            "reject_whole": True,
            "cam_normalisation": "batch_div_max",
            "cam_threshold": 0.8,
        },
        "calr": {
            **PUBLISHED,
            "average_scope": "unknown",
            "bias_correction": True,
            "gap_mode": "train",
        },
        "calr_released": {
            **PUBLISHED,
            "cam_normalisation": "batch_minmax",
            "read_twice": True,
            "reject_whole": True,
        },
    }

    reject: bool = True
    gap_threshold: bool = True
    average_threshold: bool = True
    cap: bool = False
    strong_view: bool = True
    reject_weight: Weight = 1.0
    spbc_weight: Weight = 1.0
    spbc_over: Literal["positives", "images"] = "positives"
    consistency_weight: Weight = 0.5
    consistency_gradient: Literal["both", "strong"] = "both"
    cam_threshold: Annotated[float, Field(ge=-1, le=2)] = 0.4
    cam_normalisation: Normalisation = "spatial"
    cam_relu: bool = False
    mask_fill: Literal["mean", "black"] = "mean"
    gap_mode: Literal["update", "train", "evaluation"] = "train"
    read_twice: bool = False
    reject_whole: bool = False
    gap_decay: Share = 0.999
    average_decay: Share = 0.999
    average_scope: Literal["unknown", "all"] = "unknown"
    bias_correction: bool = True
    warmup_epochs: Epochs | None = None
    warmup_share: Share = 0.25
    least_lift: Weight = 2.0
    warmup_loss: Literal["full", "an_only", "an_weak"] = "full"
    epsilon: Epsilon = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.views = ("weak", "strong") if self.strong_view else ("weak",)
        self.reads_maps = self.reject
        self.most_positives: int | None = None
        self.gap_average = ExponentialAverage(self.gap_decay, bias_correction=self.bias_correction)
        self.lift = Lift()

    def setup(self, annotations: Annotations) -> None:
        self.most_positives = annotations.most_positives
        self.logit_average = ExponentialAverage(
            self.average_decay, (len(annotations.classes),), bias_correction=self.bias_correction
        )
        if self.cap:
            self.expected = ExpectedPositives(None)
            self.expected.begin(annotations)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits, cam = model.localise(batch["weak"])
        logits = full_precision(logits)
        self._read_again(model, batch["weak"])
        warming_up = self._is_warming_up(clock)
        strong = logits
        if "strong" in self.views and not (warming_up and self.warmup_loss == "an_weak"):
            strong = full_precision(model(batch["strong"]))
            self._read_again(model, batch["strong"])
        suspects = torch.zeros_like(batch.unknown)
        evidence = {"logit": logits.detach()}
        readings: dict[str, Tensor] = {}
        if self.reject:
            suspects, gap, readings = self._find_suspects(model, batch, logits.detach(), cam)
            evidence["gap"] = gap
            suspects = suspects & self._may_reject(clock)
        terms = self._terms(batch, logits, strong, ~suspects)
        if warming_up and self.warmup_loss != "full":
            terms = {"ignore": terms["ignore"]}
        return Step(terms, suspects, evidence, readings)

    def _is_warming_up(self, clock: Clock) -> bool:
        share = round(self.warmup_share * clock.epochs)
        return clock.epoch <= (share if self.warmup_epochs is None else self.warmup_epochs)

    def _may_reject(self, clock: Clock) -> Tensor:
        return (self.lift.value >= self.least_lift) & (not self._is_warming_up(clock))

    def _terms(
        self, batch: Batch, logits: Tensor, strong: Tensor, kept: Tensor
    ) -> dict[str, Tensor]:
        negative = assumed_negative(strong, batch.labels, self.epsilon)
        terms = {"ignore": self.reject_weight * masked_mean(negative, kept)}
        if self.spbc_weight:
            positive = positive_loss(logits, self.epsilon)
            if self.spbc_over == "positives":
                spbc = masked_mean(positive, batch.positive)
            else:
                spbc = positive.masked_fill(~batch.positive, 0.0).sum(1).mean()
            terms["spbc"] = self.spbc_weight * spbc
        if self.consistency_weight:
            weak = logits if self.consistency_gradient == "both" else logits.detach()
            terms["consistency"] = self.consistency_weight * F.mse_loss(strong, weak)
        return terms

    @torch.no_grad()
    def _find_suspects(
        self, model: ModelView, batch: Batch, logits: Tensor, cam: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        if self.gap_mode == "evaluation":
            with evaluating(model):
                logits, cam = model.localise(batch["weak"])
                logits = full_precision(logits)
        salient = self._hide(model, batch, cam, self.most_positives)
        gap = (logits - self._read_masked(model, salient.images)).abs()

        located = salient.located[:, None]
        self.gap_average.update(gap, batch.positive & located)
        every = torch.ones_like(batch.unknown)
        averaged = batch.unknown if self.average_scope == "unknown" else every
        self.logit_average.update(logits, averaged, dim=0)

        exceeding = self._exceeding(logits, gap)
        self.lift.count(exceeding, batch.positive & located, batch.unknown & located)
        suspects = self._choose(batch, gap, exceeding, located)
        tau, mu = self.gap_average.current(), self.logit_average.current()
        readings = {"tau": tau, "mu": mu.mean(), "visible": salient.mask.float().mean()}
        readings["lift"] = self.lift.value
        if self.cap:
            readings["expected_positives"] = self.expected.value
        return suspects, gap, readings

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits, cam = model.localise(batch["weak"])
        logits = full_precision(logits)
        if not self.reject:
            nothing = torch.zeros_like(batch.unknown)
            return Judgement(logits.sigmoid(), nothing, {"logit": logits}, {"map": cam})
        salient = self._hide(model, batch, cam)
        gap = (logits - self._read_masked(model, salient.images)).abs()
        exceeding = self._exceeding(logits, gap)
        suspects = self._choose(batch, gap, exceeding, salient.located[:, None])
        suspects = suspects & self._may_reject(clock)
        tau, mu = (
            average.current().to(gap).expand_as(gap)
            for average in (self.gap_average, self.logit_average)
        )
        return Judgement(
            logits.sigmoid(),  # which tells missed from absent better than the gap alone
            suspects,
            {"logit": logits, "gap": gap, "tau": tau, "mu": mu},
            {"map": cam, "masked": salient.images, "visible": salient.mask},
        )

    def _hide(
        self, model: Any, batch: Batch, cam: Tensor, most_positives: int | None = None
    ) -> Salient:
        """Hide everything but the known objects."""
        weak = batch["weak"]
        return keep_salient(
            weak,
            cam,
            batch.positive,
            self.cam_threshold,
            how=self.cam_normalisation,
            relu=self.cam_relu,
            most_positives=most_positives,
            fill=model.normalise(weak.new_zeros(1, 3, 1, 1)) if self.mask_fill == "black" else None,
        )

    def _exceeding(self, logits: Tensor, gap: Tensor) -> Tensor:
        """Mark the cells that exceed the thresholds as they stand."""
        exceeding = torch.ones_like(gap, dtype=torch.bool)
        if self.gap_threshold:
            exceeding = exceeding & (gap > self.gap_average.current())
        if self.average_threshold:
            exceeding = exceeding & (logits > self.logit_average.current())
        return exceeding

    def _choose(self, batch: Batch, gap: Tensor, exceeding: Tensor, located: Tensor) -> Tensor:
        """Keep the unknown cells among them, no more than positives are probably missing."""
        suspects = exceeding & batch.unknown & (located | self.reject_whole)
        if not self.cap:
            return suspects
        missing = self.expected.value * len(gap) * world_size() - sum_over_ranks(
            batch.positive.sum()
        )
        return suspects & mark_largest_of(gap.masked_fill(~suspects, -torch.inf), missing)

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        self.lift.end_epoch()
        if self.cap:
            self.expected.follow(predict())

    def _read_masked(self, model: ModelView, images: Tensor) -> Tensor:
        if self.gap_mode == "evaluation":
            with evaluating(model):
                return full_precision(model(images))
        if self.gap_mode == "train":
            with using_batch_statistics(model):
                return full_precision(model(images))
        logits = full_precision(model(images))
        self._read_again(model, images)
        return logits

    @torch.no_grad()
    def _read_again(self, model: ModelView, images: Tensor) -> None:
        if self.read_twice:
            model(images)
