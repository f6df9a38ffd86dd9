"""The command line. Each verb lives in a module of its own, imported only when it is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from cyclopts import App, CycloptsError

import tacit
from tacit.cli.guard import end, prepare_streams
from tacit.registry import Row

# Naming the function here instead of importing it is what keeps `tacit --help` instant: most verbs
# need torch.
COMMANDS: dict[str, Row | Callable[..., Any]] = {
    "demo": Row("tacit.cli.demo:demo", "See it work: train four methods on generated images."),
    "train": Row("tacit.cli.train:train", "Train a model from incomplete labels."),
    "evaluate": Row("tacit.cli.evaluate:evaluate", "Score a trained model against the truth."),
    "decide": Row("tacit.cli.decide:decide", "Decide labels for another goal, without training."),
    "predict": Row("tacit.cli.predict:predict", "Predict the classes of many images."),
    "compare": Row("tacit.cli.compare:compare", "Train methods side by side, and write one table."),
    "report": Row("tacit.cli.report:report", "Write one page about a run, or about several."),
    "suspects": Row("tacit.cli.suspects:suspects", "Find labels that are probably missing."),
    "review": Row("tacit.cli.review:review", "Answer on a local page whether suspects are there."),
    "prepare": Row("tacit.cli.prepare:prepare", "Prepare a benchmark from its official files."),
    "check": Row("tacit.cli.check:check", "Look for whatever is wrong with a data set."),
    "apply": Row("tacit.cli.apply:apply", "Write what people said of labels into a copy of them."),
    "export": Row("tacit.cli.export:export", "Write a model for others: ONNX, weights, a card."),
    "observe": Row("tacit.cli.observe:observe", "Draw observed labels from full ones."),
    "teacher-scores": Row(
        "tacit.cli.teacher_scores:teacher_scores", "Score the training images with a teacher, once."
    ),
    "methods": Row("tacit.cli.lists:methods", "List the methods, or explain one."),
    "models": Row("tacit.cli.lists:models", "List the models and the trunks they stand on."),
    "datasets": Row("tacit.cli.lists:datasets", "List the data sets."),
    "cache": Row("tacit.cli.cache:cache", "List or remove what is kept for other runs."),
    "info": Row("tacit.cli.info:info", "Show versions, devices and what they can do."),
}

HELP = "The labels that are there are right, the labels that are missing are unknown."
EPILOGUE = """\
Begin with `tacit demo`. With photographs: `tacit train --preset quick --data photos.csv`.

Exit status: 0 fine, 1 stopped by a problem, 2 wrong request, 3 unusable data, 70 a fault of tacit,
130 interrupted.
"""


def build_app() -> App:
    """Build the command line without importing any of its verbs."""
    app = App(
        name="tacit",
        version=tacit.__version__,
        help=HELP,
        help_epilogue=EPILOGUE,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, entry in COMMANDS.items():
        if isinstance(entry, Row):
            app.command(entry.target, name=name, help=entry.title)
        else:
            app.command(entry, name=name)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    try:
        status = build_app()(list(arguments), exit_on_error=False, print_error=True)
        sys.stdout.flush()
    except CycloptsError:
        return 2
    except (Exception, KeyboardInterrupt) as error:
        return end(error)
    return status if isinstance(status, int) else 0


def main() -> NoReturn:
    """Enter from the shell."""
    # Threads that wait should soon sleep: where another process wants the core, endless spinning
    # made training on two threads ten times slower. Read by OpenMP when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    # What torch's C++ remarks on parameters that a step leaves out is nothing to act on. It is read
    # when torch is imported, too.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    prepare_streams()
    sys.exit(run(sys.argv[1:]))
