"""One training step of IGNORE: ours against a plain one, in time and to the last digit.

    python bench/step.py [--trunk resnet50] [--sizes 224,448] [--batch 4] [--json]
    python bench/step.py --precision bf16 --run compile
    python bench/step.py --exact

Both sides start from the same weights, see the same pictures and run in turns in one process on
one thread; printed is the median of the ratios of processor time of each pair, with the spread.
`--exact` compares every parameter and buffer after three steps at 64 pixels: as we train, in double
precision, to a few last digits; and in the usual memory layout, in single precision and against
the plain step in our words (`reworded.py`), bit for bit. `--run` lets ours compile its trunk, which
takes minutes at first, or read both views together. Fails below the bars. Half precision is
measured only where the processor computes in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from bars import BARS, computes_in_bf16, judge
from plain import PlainModel, PlainStep
from reworded import PooledModel, RewordedStep
from torch import Tensor

from tacit.config import Phase, RunConfig
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.training.optim import build_optimiser
from tacit.training.parallel import Parallel
from tacit.training.prepare_model import prepare
from tacit.types import Annotations, Batch, Clock

CLASSES, LR, LATE = 80, 1e-5, Clock(4, 10)
EXACT = 1e-10
# Without it the allocator hands a step's memory back to the system every time, which slows the
# plain side down by half: both sides run with it.
ALLOCATOR = "glibc.malloc.mmap_threshold=4294967295:glibc.malloc.trim_threshold=34359738368"
Run = Callable[[], Tensor]


def pictures(size: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return 8-bit weak and strong views, and labels with one known positive each."""
    generator = torch.Generator().manual_seed(0)
    weak, strong = torch.randint(0, 256, (2, batch, 3, size, size), generator=generator).byte()
    chosen = torch.randint(0, CLASSES, (batch,), generator=generator)
    labels = torch.zeros(batch, CLASSES, dtype=torch.int8)
    labels[torch.arange(batch), chosen] = 1
    return weak, strong, labels


def plain_side(
    trunk: str, size: int, batch: int, dtype: torch.dtype, reworded: bool = False
) -> tuple[Run, PlainModel]:
    """Return the plain step and its model."""
    torch.manual_seed(0)
    model = (PooledModel if reworded else PlainModel)(trunk, CLASSES).to(dtype)
    step = (RewordedStep if reworded else PlainStep)(model, CLASSES, LR)
    weak, strong, labels = pictures(size, batch)
    normalise: Any = build_model(classes=tuple("ab"), size=size, trunk="tiny").to(dtype).normalise

    def run() -> Tensor:
        views = tuple(normalise(view).to(dtype) for view in (weak, strong, weak))
        return step(views, labels)  # type: ignore[arg-type]

    return run, model


def our_side(
    trunk: str,
    size: int,
    batch: int,
    dtype: torch.dtype,
    computing: RunConfig,
    plain: PlainModel | None,
) -> tuple[Run, Learner]:
    """Return our step and its learner, with the weights of the plain model."""
    torch.manual_seed(0)
    model = build_model(classes=tuple(map(str, range(CLASSES))), size=size, trunk=trunk)
    if plain is not None:
        state = plain.trunk.state_dict()
        model.trunk.load_state_dict({f"network.{name}": value for name, value in state.items()})
        model.head.load_state_dict(plain.head.state_dict())  # type: ignore[union-attr, operator]
    weak, strong, labels = pictures(size, batch)
    method = build_method("ignore", preset="released", warmup_epochs=0)
    method.setup(Annotations(labels, model.classes))
    learner = Learner(model, method).to(dtype).train()
    prepare(learner, computing, Parallel(torch.device("cpu")))
    layout = torch.channels_last if computing.channels_last else torch.contiguous_format
    phase = Phase(optimiser="adam", lr=LR, weight_decay=0.0)
    optimiser = build_optimiser(learner, phase)
    normalise: Any = model.normalise

    def run() -> Tensor:
        views = {
            name: normalise(view).to(dtype).contiguous(memory_format=layout)
            for name, view in (("weak", weak), ("strong", strong))
        }
        batch_of = Batch(torch.arange(len(labels)), labels, views)
        with torch.autocast("cpu", torch.bfloat16, enabled=computing.precision == "bf16"):
            step = learner(batch_of, LATE)
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
        loss: Tensor = step.loss.detach()
        return loss

    return run, learner


def exact(trunk: str, size: int, steps: int) -> dict[str, float]:
    """Compare both sides after some steps in double precision."""
    plain_run, plain = plain_side(trunk, size, 4, torch.float64)
    our_run, learner = our_side(trunk, size, 4, torch.float64, RunConfig(), plain)
    apart = max(float((plain_run() - our_run()).abs()) for _ in range(steps))
    pairs = side_by_side(learner, plain).values()
    most = max(float((ours - theirs).detach().abs().max()) for ours, theirs in pairs)
    return {"loss": apart, "weights": most, "compared": len(pairs)}


def different_bits(trunk: str, size: int, steps: int) -> list[str]:
    """Name what is not equal bit for bit in the usual layout, in single precision."""
    plain_run, plain = plain_side(trunk, size, 4, torch.float32, reworded=True)
    usual = RunConfig(channels_last=False)
    our_run, learner = our_side(trunk, size, 4, torch.float32, usual, plain)
    found = [f"loss {number}" for number in range(steps) if not torch.equal(plain_run(), our_run())]
    pairs = side_by_side(learner, plain).items()
    return found + [name for name, (ours, theirs) in pairs if not torch.equal(ours, theirs)]


def side_by_side(learner: Learner, plain: PlainModel) -> dict[str, tuple[Tensor, Tensor]]:
    """Return our and their value of every parameter and buffer of the plain model."""
    ours = dict(learner.model.named_parameters()) | dict(learner.model.named_buffers())
    theirs = dict(plain.named_parameters()) | dict(plain.named_buffers())
    return {
        name: (ours[name.replace("trunk.", "trunk.network.", 1)], value)
        for name, value in theirs.items()
    }


def times(trunk: str, size: int, batch: int, computing: RunConfig, rounds: int) -> dict[str, float]:
    """Return how many times faster our step is."""
    plain_run, plain = plain_side(trunk, size, batch, torch.float32)
    our_run, _ = our_side(trunk, size, batch, torch.float32, computing, plain)
    ratios = []
    for number in range(rounds + 1):
        spent = []
        for run in (plain_run, our_run):
            started = time.process_time()
            run()
            spent.append(time.process_time() - started)
        if number:  # the first pair warms up
            ratios.append(spent[0] / spent[1])
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def main() -> int:
    """Measure, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trunk", default="resnet50")
    parser.add_argument("--sizes", default="224,448")
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--run", choices=("compile", "fuse_views"), help="as `run.compile` or `run.fuse_views`"
    )
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [int(size) for size in options.sizes.split(",")]
    results: dict[str, Any] = {}
    good = True
    if options.exact:
        results["exact"] = exact(options.trunk, 64, 3)
        results["different bits"] = different_bits(options.trunk, 64, 3)
        good = max(results["exact"]["loss"], results["exact"]["weights"]) <= EXACT
        good = good and not results["different bits"]
    else:
        asked = [options.precision] if options.precision else ["fp32", "bf16"]
        for precision in asked:
            if precision == "bf16" and not computes_in_bf16():
                print(f"{precision}: not measured, this processor does not compute in it")
                continue
            for size in sizes:
                chosen = {options.run: True} if options.run else {}
                computing = RunConfig(precision=precision, **chosen)
                found = times(options.trunk, size, options.batch, computing, options.rounds)
                results[f"{precision} at {size}"] = found
                if not options.json:
                    spread = f"[{found['least']:.2f}, {found['most']:.2f}]"
                    print(
                        f"{precision} at {size}: {found['median']:.2f} times {spread}", flush=True
                    )
                name = f"step, {precision} at {size}"
                met = judge({name if name in BARS else f"step, {precision}": found["median"]})
                good = good and met
    if options.json or options.exact:
        print(json.dumps(results))
    return 0 if good else 1


if __name__ == "__main__":
    if os.environ.get("GLIBC_TUNABLES") != ALLOCATOR:
        os.execve(sys.executable, [sys.executable, *sys.argv],
                  {**os.environ, "GLIBC_TUNABLES": ALLOCATOR, "OMP_NUM_THREADS": "1"})  # fmt: skip
    sys.exit(main())
