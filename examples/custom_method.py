"""A method of one's own, trained by tacit's trainer: one class and one row in the table.

    python examples/custom_method.py

The method believes the missing labels at first and less and less later: a network learns what is
common before it memorises what is wrong, so the harm of a missing label grows with the epochs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from tacit.config import resolve
from tacit.losses import assumed_negative, full_precision
from tacit.methods import METHODS
from tacit.methods.base import Method
from tacit.ranges import Share
from tacit.training.run import train
from tacit.types import Batch, Clock, Step


class FadeUnknown(Method):
    """Unknown cells count as absent, with a weight that falls from 1 to ``least``.

    Args:
        least: Weight of an unknown cell in the last epoch.
    """

    least: Share = 0.1

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        logits = model(batch["weak"])
        passed = (clock.epoch - 1) / max(clock.epochs - 1, 1)
        weight = 1 - (1 - self.least) * passed
        loss = assumed_negative(logits, batch.labels)
        faded = torch.where(batch.unknown, weight * loss, loss)
        return Step(
            {"faded": faded.mean()},
            evidence={"logit": full_precision(logits.detach())},
            readings={"weight": logits.new_tensor(weight)},
        )


def main() -> None:
    METHODS["fade"] = FadeUnknown
    config = resolve(
        settings=(
            "method.name=fade",
            "method.least=0.2",
            "data.options.images=400",
            "data.options.test_images=200",
            "phases.epochs=3",
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        record = train(config, Path(folder) / "run")
    result = record["result"]
    print(f"{result['map']:.1f} mAP on {result['n_images']} test images")


if __name__ == "__main__":
    main()
