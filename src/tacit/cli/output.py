"""Printing: results go to stdout, everything else to stderr.

Of several processes that work together, as `torchrun` starts them, only the first one speaks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tacit.errors import make_printable

# Without a width of its own, a table would be squeezed to 80 columns in pipes and lose text.
PIPE_WIDTH = 160


def is_speaker() -> bool:
    """Whether this is the process that writes to the console."""
    return os.environ.get("RANK", "0") == "0"


def stdout() -> Console:
    """The console for results."""
    console = Console(highlight=False, quiet=not is_speaker())
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def stderr() -> Console:
    """The console for progress and messages."""
    return Console(stderr=True, highlight=False, quiet=not is_speaker())


def tell(message: str) -> None:
    """Print a message to stderr, unbroken and to the letter: it may hold a path or a command."""
    stderr().print(make_printable(message), markup=False, emoji=False, soft_wrap=True)


def say(line: str = "") -> None:
    """Print a line of a result to stdout, unbroken and to the letter."""
    stdout().print(make_printable(line), markup=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a machine-readable result."""
    if is_speaker():
        print(json.dumps(value, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a table; columns whose name ends in a unit or number sign are right-aligned."""
    # Not as plain strings, in which rich would take [brackets] and :words: for instructions.
    heading = Text(make_printable(title)) if title else None
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False)
    numeric = [all(_is_number(row[column]) for row in rows) for column in range(len(columns))]
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(
            Text(make_printable(name)), justify="right" if right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(make_printable(cell)) for cell in row))
    stdout().print(table)


def _is_number(text: str) -> bool:
    return text.strip("-+.%± 0123456789") == ""
