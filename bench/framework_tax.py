"""What our models cost over the bare network: the same trunk and head, written out by hand.

    python bench/framework_tax.py [--trunk resnet18] [--size 160] [--batch 8] [--json]

Both sides share their weights and run in turns in one process. Printed is the median of the ratios
of processor time of each pair, with the spread. Fails if numbers differ or a median is too high.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import timm
import torch
import torch.nn.functional as F
from bars import judge
from torch import Tensor

from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.types import Annotations, Batch, Clock

CLASSES = tuple(f"class {number}" for number in range(80))
CLOCK = Clock(1, 1)

Work = Callable[[], tuple[Tensor, ...]]


def bare_and_ours(trunk: str, size: int, batch: int) -> dict[str, tuple[Work, Work]]:
    """Return pairs of functions that compute the same."""
    torch.manual_seed(0)
    network = timm.create_model(trunk, num_classes=len(CLASSES)).eval()
    model = build_model(classes=CLASSES, size=size, trunk=trunk).eval()
    classifier = network.get_classifier()
    model.trunk.load_state_dict({f"network.{k}": v for k, v in network.state_dict().items()}, False)
    weight, bias = classifier.weight, classifier.bias
    state = {"weight": weight[..., None, None], "bias": bias}
    model.head.load_state_dict(state)  # type: ignore[union-attr, operator]
    images = torch.randn(batch, 3, size, size)
    labels = (torch.rand(batch, len(CLASSES)) < 0.03).to(torch.int8)
    method = build_method("an")
    method.setup(Annotations(labels, CLASSES))
    learner, seen = Learner(model, method), Batch(torch.arange(batch), labels, {"weak": images})

    def bare_maps() -> tuple[Tensor, ...]:
        maps = F.conv2d(network.forward_features(images), weight[..., None, None], bias)
        return maps.mean((2, 3)), maps

    def bare_step() -> tuple[Tensor, ...]:
        network.zero_grad()
        loss = F.binary_cross_entropy_with_logits(network(images), (labels == 1).float())
        loss.backward()
        return (loss.detach(),)

    def our_step() -> tuple[Tensor, ...]:
        learner.zero_grad()
        loss = learner(seen, CLOCK).loss
        loss.backward()
        return (loss.detach(),)

    return {
        "forward": (lambda: (network(images),), lambda: (model(images),)),
        "localise": (bare_maps, lambda: model.localise(images)),
        "training step": (bare_step, our_step),
    }


def timed(work: Work, gradient: bool) -> tuple[tuple[Tensor, ...], float]:
    """Return what a function computes and the processor seconds it took."""
    started = time.process_time()
    with torch.set_grad_enabled(gradient):
        result = work()
    return result, time.process_time() - started


def main() -> int:
    """Measure, print, and compare with the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trunk", default="resnet18")
    parser.add_argument("--json", action="store_true")
    for name, default in (("size", 160), ("batch", 8), ("rounds", 15)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)

    results, good = {}, True
    for name, pair in bare_and_ours(options.trunk, options.size, options.batch).items():
        gradient, ratios = name == "training step", []
        for number in range(options.rounds + 1):
            (expected, bare), (found, ours) = (timed(work, gradient) for work in pair)
            if number:  # the first pair warms up
                ratios.append(ours / bare)
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
        median = statistics.median(ratios)
        results[name] = {"ratio": median, "least": min(ratios), "most": max(ratios)}
        good = judge({"framework tax": median}, name) and good
        if not options.json:
            spread = f"[{min(ratios):.3f}, {max(ratios):.3f}]"
            print(f"{name:14} {median:.3f} {spread} of the bare {options.trunk}'s time")
    if options.json:
        print(json.dumps(results))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
