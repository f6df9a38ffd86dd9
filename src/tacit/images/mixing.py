"""Mixing images whose labels have three states."""

from __future__ import annotations

import numpy as np
import torch

from tacit.images.in_memory import send
from tacit.types import Batch


def mix_logically(batch: Batch, *numbers: int) -> Batch:
    """Mix each image with another one of its batch; a class is there if it is in either.

    "LogicMix". What is known to be in one image is in the mixture; what is known to be absent
    from both is absent; everything else stays unknown. Weighted labels, as plain mixup has them,
    mean nothing where a label is unknown.

    Args:
        batch: The batch, which is left as it is.
        numbers: Seed; equal numbers mix alike.
    """
    random = np.random.default_rng(numbers)
    partner = send(random.permutation(len(batch.index)), batch.labels.device)
    share = float(random.uniform(0.3, 0.7))
    # 1, 0, -1: present beats unknown beats absent, which is what "or" means here.
    labels = torch.maximum(batch.labels, batch.labels[partner])
    views = {name: share * view + (1 - share) * view[partner] for name, view in batch.views.items()}
    return Batch(batch.index, labels, views)
