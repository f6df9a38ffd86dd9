"""Columns of a table that nothing is read from."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tacit.check.findings import Findings
from tacit.check.rows import Rows
from tacit.data.formats.table.name_lists import read_named_cells
from tacit.errors import DataError

NAMED = 0.5  # share of a column's names that are classes, from which on it is about classes


def find_unread(
    rows: Rows, classes: Sequence[str], others: Collection[str], findings: Findings
) -> None:
    """Report columns that are not read, and first of all those that name classes.

    Args:
        rows: The table.
        classes: Class names.
        others: Columns that something else is read from, such as groups.
        findings: Where to report.
    """
    silent = []
    for column in rows.list_free():
        if column in rows.hot or column in others:
            continue
        named = _find_classes(rows, column, set(classes))
        if named:
            said = {"column": column, "names": ", ".join(named[:3])}
            findings.add("unread_names", said)
        else:
            silent.append(column)
    if silent:
        findings.add("unread_column", {"columns": silent})


def _find_classes(rows: Rows, column: str, classes: set[str]) -> list[str]:
    """Return the classes that a column names, if that is what it seems to be about."""
    try:
        found = read_named_cells(rows.table[column], column, rows.told.get("separator"))
    except DataError:  # numbers, or text of another kind
        return []
    names = {found.names[number] for number in set(found.numbers.tolist())}
    meant = sorted(names & classes)
    return meant if names and len(meant) >= NAMED * len(names) else []
