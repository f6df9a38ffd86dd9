"""One rule for names of classes, images and splits, wherever they are written or read.

A name is any text but a blank one. Files that hold a name on each line end a line where a text file
does, at a line feed, perhaps with a carriage return, and nowhere else: ``str.splitlines`` would
also cut names at a form feed, at U+2028 and at six further signs.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from tacit.errors import DataError
from tacit.files import read_text, write_text

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the begin of a formula
LONGEST_FILE_NAME = 200  # bytes; file systems have 255, and suffixes are added


def check_names(where: str, what: str, names: Sequence[str]) -> None:
    """Refuse names that are blank, or no text at all."""
    joined = "\n".join(names)
    blank = sum(not name.strip() for name in names)
    if blank:
        raise DataError(f"{where}: the name of {blank} {what} entries is empty.")
    if "\0" in joined or not joined.isascii() and not _is_text(joined):
        raise DataError(f"{where} has names ({what}) with characters that no text has.")


def _is_text(joined: str) -> bool:
    try:
        joined.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
    return True


def check_file_name(what: str, name: str) -> str:
    """Return a name if a file or folder can be called like it on every system."""
    odd = not name.strip() or name.startswith(".") or any(s in name for s in '/\\:*?"<>|')
    if odd or not name.isprintable() or len(name.encode(errors="replace")) > LONGEST_FILE_NAME:
        raise DataError(f"The {what} {name!r} cannot be the name of a file; rename it.")
    return name


def split_lines(text: str) -> list[str]:
    """Return the lines of a text that was read as text, so that all of them end in a line feed."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file that hold anything."""
    return [line.strip() for line in split_lines(read_text(path)) if line.strip()]


def write_lines(path: Path, names: Sequence[str]) -> None:
    """Write names that `read_lines` gives back as they are."""
    write_text(path, join_lines(names))


def join_lines(names: Sequence[str]) -> str:
    """Return a line for each name, or refuse those that would be read as others."""
    for name in names:
        # A byte order mark at the beginning of a file is no part of its first name.
        if not name or name != name.strip() or {"\n", "\r"} & {*name} or name[0] == "\ufeff":
            raise DataError(f"The name {name!r} cannot stand on a line of its own; rename it.")
    return "".join(f"{name}\n" for name in names)


def csv_writer(file: TextIO, delimiter: str = ",") -> Callable[[Iterable[Any]], None]:
    """Return what writes a row of CSV, to a file opened with ``newline=""``.

    The csv module puts no quotes around carriage returns, at which readers then end the row.
    """
    plain = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    quoted = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(row: Iterable[Any]) -> None:
        cells = list(row)
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoted if returns else plain).writerow(cells)

    return write


def escape_formula(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would calculate."""
    return f"'{text}" if text.startswith(FORMULA) else text
