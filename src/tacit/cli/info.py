"""`tacit info`."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table


def info(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Show versions, devices and what they can do.

    Parameters
    ----------
    json
        Print the result as JSON.
    """
    import torch

    from tacit.devices import choose_device
    from tacit.runs.folder import versions

    facts = {
        **versions(),
        "device": str(choose_device("auto")),
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count() or 1,
    }
    for number in range(torch.cuda.device_count()):
        facts[f"cuda:{number}"] = torch.cuda.get_device_name(number)
    if json:
        print_json(facts)
        return
    print_table(("what", "value"), [(name, str(value)) for name, value in facts.items()])
