"""Trains runs in one of several processes, started by hand instead of by torchrun.

    python two_processes.py FOLDER [FOLDER ...] [--die-after STEPS] [--resume]

Beside each folder lies its recipe, FOLDER.json. With ``--die-after`` the last process kills itself
after so many steps, as lost power would.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

import torch

from tacit.config import Config
from tacit.training.processes import together
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with together():
        for folder in options.folders:
            config = Config.model_validate(json.loads(folder.with_suffix(".json").read_text()))
            train(config, folder, resume=options.resume, reporter=Dying(options.die_after))
