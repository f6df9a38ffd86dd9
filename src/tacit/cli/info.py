"""`tacit info`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table, say


def info(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Show versions, devices, and what works here.

    Parameters
    ----------
    json
        Print the result as JSON.
    """
    import torch

    from tacit.devices import choose_device
    from tacit.runs.folder import versions

    facts: dict[str, Any] = {
        **versions(),
        "device": str(choose_device("auto")),
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count() or 1,
    }
    for number in range(torch.cuda.device_count()):
        facts[f"cuda:{number}"] = torch.cuda.get_device_name(number)
    works = [
        {"what": each.what, "works": each.works, "todo": "" if each.works else each.todo}
        for each in _list_abilities()
    ]
    if json:
        print_json({**facts, "abilities": works})
        return
    print_table(("what", "value"), [(name, str(value)) for name, value in facts.items()])
    for each in works:
        say(f"{'works' if each['works'] else 'not here'}: {each['what']}")
        if each["todo"]:
            say(f"          {each['todo']}")


@dataclass(frozen=True)
class Ability:
    """Something that works on this machine, or does not, and then what to do."""

    what: str
    works: bool
    todo: str


MODULES = {
    "weights": "photographs without the internet: ImageNet's weights as a package",
    "heic": "photographs of telephones, .heic",
    "onnx": "tacit export with an ONNX file",
    "figures": "figures as PNG and PDF",
    "ray": "--engine ray",
    "clip": "image-text teachers of open_clip",
    "tensorboard": "--track tensorboard",
    "mlflow": "--track mlflow",
    "wandb": "--track wandb",
}
"""What each extra is for."""


def _list_abilities() -> Iterator[Ability]:
    import torch

    from tacit.devices import computes_bf16

    yield Ability("training and prediction on this processor", True, "")
    yield Ability(
        "an accelerator",
        torch.cuda.is_available() or torch.backends.mps.is_available(),
        "Frozen features (--preset quick) take minutes without; whole networks take hours.",
    )
    yield Ability(
        "bf16 by instructions of the processor",
        computes_bf16(torch.device("cpu")),
        "Keep run.precision at fp32 or auto.",
    )
    for extra, what in MODULES.items():
        yield Ability(what, _is_installed(extra), f"pip install 'tacit[{extra}]'")


def _is_installed(extra: str) -> bool:
    """Whether everything that an extra asks for is installed."""
    from importlib.metadata import PackageNotFoundError, requires, version

    for line in requires("tacit") or ():
        name, _, marker = line.partition(";")
        if marker.strip().replace("'", '"') == f'extra == "{extra}"':
            try:
                version(re.split(r"[^\w.-]", name.strip())[0])
            except PackageNotFoundError:
                return False
    return True
