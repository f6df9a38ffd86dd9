"""Predicting and scoring on a device (G9 and G10)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import timm
import torch
from gpu_turns import CLASSES, Found, Scale, Side, in_turns, paired, rates, settle
from plain import PlainModel, our_names
from sklearn.metrics import average_precision_score

from tacit.devices import autocast
from tacit.evaluation.evaluate import predict
from tacit.evaluation.ranking import average_precision
from tacit.models import build_model
from tacit.models.folding import fold, prepare_for_inference
from tacit.types import Batch

BATCHES = 4
EXACT = 1e-12


def inference(scale: Scale) -> list[Found]:
    """G9: our prediction, against a plain loop and against timm's network alone."""
    torch.manual_seed(0)
    device = scale.device
    plain = PlainModel(scale.trunk, CLASSES).eval()
    model = build_model(classes=tuple(map(str, range(CLASSES))), size=scale.size, trunk=scale.trunk)
    model.load_state_dict(our_names(plain.state_dict()))
    ready: Any = prepare_for_inference(fold(model), device, "bf16").eval()
    plain.to(device)
    network = timm.create_model(scale.trunk, num_classes=CLASSES).to(device).eval()
    network.to(memory_format=torch.channels_last)

    shape = (scale.shown, 3, scale.size, scale.size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    floats: torch.Tensor = ready.normalise(pixels)
    beside = floats.contiguous(memory_format=torch.channels_last)
    none = torch.zeros(scale.shown, CLASSES, dtype=torch.int8)
    batches = [
        Batch(torch.arange(scale.shown) + first, none, {"plain": pixels})
        for first in range(0, BATCHES * scale.shown, scale.shown)
    ]

    @torch.no_grad()
    def plain_loop() -> list[torch.Tensor]:
        return [plain(floats)[0].sigmoid().cpu() for _ in batches]

    @torch.inference_mode()
    def bare_loop() -> None:
        with autocast(device, "bf16"):
            for _ in batches:
                network(beside)

    images = BATCHES * scale.shown
    sides = {
        "plain": Side(plain_loop, images=images),
        "bare": Side(bare_loop, images=images),
        "ours": Side(lambda: predict(ready, batches, device, "bf16"), images=images),
    }
    plan = scale.plan
    fewer = replace(plan, warm=-(-plan.warm // BATCHES), steps=-(-plan.steps // BATCHES))
    seconds = in_turns(sides, device, fewer)
    apart = predict(ready, batches[:1], device, "bf16") - plain_loop()[0].numpy()
    figures = rates(sides, seconds) | {"largest difference": float(np.abs(apart).max())}
    return [
        Found(paired(seconds["plain"], seconds["ours"]), figures),
        Found(paired(seconds["bare"], seconds["ours"])),
    ]


def scoring(scale: Scale) -> list[Found]:
    """G10: average precision of every class; scikit-learn's time is that of some, scaled."""
    random = np.random.default_rng(0)
    truth = random.random((scale.rows, scale.classes), dtype=np.float32) < 0.01
    noise = random.standard_normal(truth.shape, dtype=np.float32)
    # Rounded to two places, half of the classes are full of ties.
    scores = 1 / (1 + np.exp(3 - noise - 2 * truth.astype(np.float32)))
    scores[:, ::2] = scores[:, ::2].round(2)
    some = np.linspace(0, scale.classes - 1, scale.timed_classes).astype(int)
    on_device = [torch.from_numpy(table).to(scale.device) for table in (scores, truth)]

    ratios, apart, times = [], 0.0, {"theirs": 0.0, "ours": 0.0}
    for number in range(scale.plan.rounds + 1):
        started = time.perf_counter()
        expected = [average_precision_score(truth[:, c], scores[:, c]) for c in some]
        theirs = (time.perf_counter() - started) * scale.classes / len(some)
        settle(scale.device)
        started = time.perf_counter()
        found = average_precision(*on_device).cpu().numpy()
        ours = time.perf_counter() - started
        apart = max(apart, float(np.abs(found[some] - expected).max()))
        if number:  # the first round warms up
            ratios.append(theirs / ours)
            times = {"theirs": theirs, "ours": ours}
    if apart > EXACT:
        return [Found(why=f"the numbers are {apart:.0e} apart, more than {EXACT:.0e}")]
    scaled = f"{len(some)} of {scale.classes} classes"
    return [Found(ratios, {"seconds": times, "scikit-learn timed on": scaled, "apart": apart})]
