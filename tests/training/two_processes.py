"""Trains runs in one of several processes, started by hand instead of by torchrun.

    python two_processes.py FOLDER [FOLDER ...] [--die-after STEPS] [--resume]

Beside each folder lies its recipe, FOLDER.json. With ``--die-after`` the last process kills itself
after so many steps, as lost power would. How much of the trunk each process keeps is written to
FOLDER.RANK.share: parts that come together and part again, and the share of the weights.

Runs compute in 64 bits. Kernels choose by batch and processor in which order they sum, so that two
runs of the same steps part by a last digit, and a method that ranks cells turns such a digit into
another choice. In 64 bits the digit is a billion times smaller than what choices turn on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

import torch

from tacit.config import Config, RunConfig
from tacit.learner import Learner
from tacit.training import context, feeds, prepare_model
from tacit.training.parallel import Parallel, process_group
from tacit.training.report import Silent
from tacit.training.run import train


class Dying(Silent):
    """Ends this process at once after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def step(self, images: int) -> None:
        self.steps -= 1
        if self.steps == 0 and os.environ["RANK"] != "0":
            os.kill(os.getpid(), signal.SIGKILL)


def share_of(trunk: torch.nn.Module) -> dict[str, float]:
    """Return how many parts a trunk is divided in, and the share of its weights that is here."""
    parts = sum(type(part).__name__.startswith("FSDP") for part in trunk.modules())
    weights = list(trunk.parameters())
    here = sum(getattr(each, "_local_tensor", each).numel() for each in weights)
    return {"parts": parts, "share": here / sum(each.numel() for each in weights)}


def prepare_wide(learner: Learner, run: RunConfig, parallel: Parallel) -> None:
    """Prepare a learner as any run does, in 64 bits."""
    prepare_model.prepare(learner.double(), run, parallel)


def recording(folder: Path) -> None:
    """Let the next run write down what `prepare` has made of its trunk."""

    def prepare(learner: Learner, run: RunConfig, parallel: Parallel) -> None:
        prepare_wide(learner, run, parallel)
        found = share_of(learner.model.get_submodule("trunk"))
        Path(f"{folder}.{os.environ['RANK']}.share").write_text(json.dumps(found))

    context.prepare = prepare


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    feeds.EVALUATION_BATCH = 4  # so that processes have different numbers of batches
    with process_group():
        for folder in options.folders:
            config = Config.model_validate(json.loads(folder.with_suffix(".json").read_text()))
            recording(folder)
            train(config, folder, resume=options.resume, reporter=Dying(options.die_after))
