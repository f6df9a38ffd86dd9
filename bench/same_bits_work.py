"""What `same_bits.py` lets each of two checkouts do: every command once, on small images.

A process of its own runs this file with the code of one checkout. It imports nothing else of this
folder, and of the project nothing but the entry of its command line.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

# What the commands below call a verb, an option, a key, a method or a file, and what else it may
# be called: {"observe": ("draw",), "phases.lr": ("phases.rate",), "metrics.jsonl": ("log.jsonl",)}.
# A checkout's help and lists say which of the names it knows.
RENAMED: dict[str, tuple[str, ...]] = {
    "teach": ("teacher-scores",),
    "run.together": ("run.fuse_views",),
}


TRAINING = {
    "phases.epochs": "2",
    "phases.batch": "16",
    "data.options": '{absent="negative"}',
    "data.positives": "1",
    "model.trunk": "tiny",
}
# Under these, methods do all they can within two short epochs.
SHORT = {
    "warmup_epochs": "1",
    "rate": "0.3",
    "row_rate": "0.1",
    "share": "0.5",
    "threshold": "0.5",
    "late_threshold": "0.5",
    "queue_size": "16",
    "gap_decay": "0.5",
    "average_decay": "0.5",
}
# What a method cannot be trained without.
NEEDED = {"iu": {"data.negatives": "1"}}
# Other ways to train: a method, and settings.
WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "scenes": ("ignore", {"data.name": "scenes", "data.options": "{images=64, test_images=16}"}),
    "bf16": ("ignore", {"run.precision": "bf16"}),
    "together": ("ignore", {"run.together": "true"}),
    "sgd": ("an", {"phases.optimiser": "sgd", "phases.clip": "1.0"}),
    "parts": ("ignore", {"phases.accumulate": "2", "phases.schedule": "constant"}),
    "average": ("an", {"run.average": "0.9", "phases.optimiser": "adam"}),
    "checkpointing": ("an", {"run.checkpointing": "true", "model.trunk": "resnet18"}),
    "logicmix": ("an", {"data.mix": "logicmix"}),
    "cached": ("ignore", {"data.cache": "cache", "data.hold": "memory", "data.strong": "device"}),
    "fast reading": ("an", {"data.reading": "fast"}),
    "maps": ("an", {"phases.freeze": '["trunk"]', "phases.features": "maps"}),
    "pooled": ("an", {"phases.freeze": '["trunk"]', "phases.features": "pooled"}),
    "true negatives": ("an", {"data.labels": "true_negatives", "data.negatives": "1"}),
    "a trunk of timm": ("an", {"model.trunk": "mobilenetv3_small_050"}),
    "embeddings": ("an", {"model.embedding_dim": "8", "model.boost": "2.0"}),
}
# Methods whose runs are stopped and resumed: one with moving averages, one with a table.
STOPPED = ("ignore", "em_apl")


class Unknown(Exception):
    """A checkout has no such verb, option, key or method."""


def spell(name: str, offered: Iterable[str]) -> str:
    """Return what a checkout calls something."""
    known = set(offered)
    tensor = name.replace(".inward.", ".in_proj.").replace(".outward.", ".out_proj.")
    for each in (name, *RENAMED.get(name, ()), tensor):
        if each in known:
            return each
    raise Unknown(f"'{name}' is unknown; if it has a new name, write it into {Path(__file__).name}")


@dataclass(frozen=True)
class Step:
    """One command, in the names of `RENAMED`'s left side."""

    item: str
    verb: str
    words: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)  # "" for a flag
    method: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    stop: bool = False


def training(item: str, method: str, inputs: Path, **changes: Any) -> Step:
    """Return the command that trains a method."""
    options = {"--out": item, "--device": "cpu"}
    settings = TRAINING | {"data.name": str(inputs / "labels.csv")} | changes.pop("settings", {})
    return Step(item, "train", (), options, method, settings, **changes)


def plan(methods: list[dict[str, Any]], models: list[str], inputs: Path) -> Iterator[Step]:
    """Yield all commands, each after those whose results it takes."""
    for method in methods:
        name = method["name"]
        needed = NEEDED.get(name, {})
        yield training(f"train {name}", name, inputs, settings=needed)
        for preset in method.get("presets", {}):
            settings = needed | {"method.preset": preset}
            yield training(f"train {name} {preset}", name, inputs, settings=settings)
    for way, (name, settings) in WAYS.items():
        yield training(f"way {way}", name, inputs, settings=settings)
    for model in models:
        yield training(f"model {model}", "an", inputs, settings={"model.name": model})
    longer = {"phases.epochs": "4"}
    for name in STOPPED:
        yield training(f"straight {name}", name, inputs, settings=longer)
        yield training(f"resumed {name}", name, inputs, settings=longer, stop=True)
        yield Step(f"resumed {name}", "train", (), {"--out": f"resumed {name}", "--resume": ""})
    yield from using(inputs)


def using(inputs: Path) -> Iterator[Step]:
    """Yield the commands beside training."""
    json_ = {"--json": ""}
    run, images = "straight ignore", str(inputs / "images")
    yield Step("evaluate", "evaluate", (run,), json_)
    yield Step("evaluate validation", "evaluate", (run,), {"--split": "validation"} | json_)
    predict = {"--device": "cpu", "--workers": "1", "--threads": "1"} | json_
    tables: dict[str, dict[str, str]] = {
        "all.parquet": {},
        "top2.csv": {"--scores": "top2", "--reading": "fast"},
        "bf16.jsonl": {"--precision": "bf16", "--threshold": "0.3"},
    }
    for table, more in tables.items():
        item = f"predict {table}"
        yield Step(item, "predict", (run, images), predict | {"--out": f"{item}/{table}"} | more)
    root = {"--root": str(inputs / "coco")}
    yield Step("prepare", "prepare", ("coco2014",), root | {"--out": "prepare"} | json_)
    draw = {"--positives": "1", "--seed": "7", "--absent": "negative"} | json_
    labels = str(inputs / "labels.csv")
    for way in ("uniform", "balanced", "frequent"):
        item = f"observe {way}"
        yield Step(item, "observe", (labels,), draw | {"--way": way, "--out": item})
    settings = {"data.name": "observe balanced", "data.options": "{}"}
    prepared = {name: value for name, value in TRAINING.items() if name != "data.positives"}
    options = {"--out": "train on drawn labels", "--device": "cpu"}
    yield Step("train on drawn labels", "train", (), options, "an", prepared | settings)


class CommandLine:
    """The command line of a checkout, run in this process from its entry."""

    def __init__(self) -> None:
        self._words: dict[str, set[str]] = {}
        self.methods = {each["name"]: each for each in self.ask("methods", "--json")}
        self.keys = set(_keys_of(self.ask("train", "--dry-run")))

    def run(self, arguments: list[str]) -> tuple[int, str, str]:
        """Run a command and return its status and what it printed."""
        out, error = io.StringIO(), io.StringIO()
        asked = mock.patch.object(sys, "argv", ["tacit", *arguments])
        with asked, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            try:
                runpy.run_module("tacit", run_name="__main__")
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
        return status, out.getvalue(), error.getvalue()

    def words(self, verb: str = "") -> set[str]:
        """Return the verbs and options of a help page."""
        if verb not in self._words:
            page = self.run([*filter(None, [verb]), "--help"])[1]
            # Options, and what a line begins with; sentences may hold any word.
            found = re.findall(r"(--[\w-]+)|^[^\w\n-]*([a-z][\w-]*)  ", page, re.MULTILINE)
            self._words[verb] = {word for pair in found for word in pair}
        return self._words[verb]

    def ask(self, verb: str, option: str) -> Any:
        """Return what a command prints as JSON."""
        verb = spell(verb, self.words())
        status, out, error = self.run([verb, spell(option, self.words(verb))])
        if status:
            raise Unknown(f"tacit {verb} fails: {error.strip()}")
        return json.loads(out)

    def spelled(self, step: Step, teacher: Path) -> list[str]:
        """Return the arguments of a step, as this checkout spells them."""
        verb = spell(step.verb, self.words())
        arguments = [verb, *step.words]
        for option, value in step.options.items():
            arguments += [spell(option, self.words(verb)), *filter(None, [value])]
        settings = {spell(key, self.keys): value for key, value in step.settings.items()}
        if step.method:
            name = spell(step.method, self.methods)
            settings |= self._method_settings(name, step.settings.get("method.preset"), teacher)
        for key, value in settings.items():
            arguments += [spell("--set", self.words(verb)), f"{key}={value}"]
        return arguments

    def _method_settings(self, name: str, preset: str | None, teacher: Path) -> dict[str, str]:
        offered = self.methods[name]["hyperparameters"]
        given = {"method.name": name}
        for key, value in (SHORT | {"scores": str(teacher)}).items():
            with contextlib.suppress(Unknown):
                given[f"method.{spell(key, offered)}"] = value
        return given


def _keys_of(tables: dict[str, Any], before: str = "") -> Iterator[str]:
    """Name the settings of a configuration; of several phases, those of the first."""
    for key, value in tables.items():
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, dict) and value:
            yield from _keys_of(value, f"{before}{key}.")
        else:
            yield before + key


@contextlib.contextmanager
def stopping(folder: Path) -> Iterator[None]:
    """Press Ctrl-C, so to speak, once a run has finished its first epoch."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            if any(path.stat().st_size for path in folder.glob("*.jsonl")):
                os.kill(os.getpid(), signal.SIGINT)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def take(step: Step, tacit: CommandLine, inputs: Path) -> str | None:
    """Run a step, keep the JSON it prints, and return why it failed, if it did."""
    try:
        arguments = tacit.spelled(step, inputs / "teacher.npz")
    except Unknown as error:
        return str(error)
    Path(step.item).mkdir(exist_ok=True)
    with stopping(Path(step.item)) if step.stop else contextlib.nullcontext():
        status, out, error = tacit.run(arguments)
    expected = 130 if step.stop else 0
    if status != expected:
        last = (error.strip().splitlines() or [""])[-1]
        return f"status {status} in place of {expected}: {last}"
    if "--json" in step.options:
        printed = Path("printed", f"{step.item}.json")
        printed.parent.mkdir(exist_ok=True)
        printed.write_text(out)
    return None


def work(inputs: Path, methods: list[str], old: Path | None) -> None:
    """Do everything in the folder where this process is; the plan is made of OLD's lists."""
    tacit = CommandLine()
    if old is None:
        models = [each["name"] for each in tacit.ask("models", "--json")]
        lists = {"methods": list(tacit.methods.values()), "models": models}
    else:
        lists = json.loads((old / "lists.json").read_text())
    Path("lists.json").write_text(json.dumps(lists))
    Path("known.json").write_text(json.dumps(sorted(tacit.methods)))
    if strange := set(methods) - {each["name"] for each in lists["methods"]}:
        sys.exit(f"OLD has no method {', '.join(sorted(strange))}.")
    chosen = [each for each in lists["methods"] if not methods or each["name"] in methods]
    failed: dict[str, str] = {}
    items = []
    for step in plan(chosen, lists["models"], inputs):
        items.append(step.item)
        if step.item not in failed and (reason := take(step, tacit, inputs)):
            failed[step.item] = reason
    Path("items.json").write_text(json.dumps(list(dict.fromkeys(items))))
    Path("failed.json").write_text(json.dumps(failed))


def work_for(source: Path, inputs: Path, methods: str, old: str = "") -> None:
    """Be the process of one checkout, and of no other code that is installed."""
    import tacit

    if source not in Path(tacit.__file__).parents:
        sys.exit(f"tacit comes from {tacit.__file__}, not from {source}.")
    try:
        work(inputs, [*filter(None, methods.split(","))], Path(old) if old else None)
    except Unknown as error:
        sys.exit(f"{source}: {error}.")


if __name__ == "__main__":
    _, at, drawn, *rest = sys.argv
    work_for(Path(at), Path(drawn), *rest)
