"""`tacit cache`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table, tell


def cache(
    *names: str,
    folder: Path | None = None,
    clean: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """List what was computed once and is kept for other runs, or remove it.

    Everything here can be made again. What a run is just reading must not be removed.

    Parameters
    ----------
    names
        Shelves of the feature store, as the list calls them; all, if none is named.
    folder
        The store; the shared one of this user if left out.
    clean
        Remove them.
    json
        Print the list as JSON.
    """
    from tacit.errors import unknown_name
    from tacit.features.store import find_store, list_shelves

    store = folder or find_store("shared")
    assert store is not None
    shelves = list_shelves(store)
    for name in names:
        if name not in shelves:
            raise unknown_name("shelf of the feature store", name, shelves)
    chosen = {name: row for name, row in shelves.items() if not names or name in names}
    if clean:
        for name in chosen:
            shutil.rmtree(store / name)
        tell(f"Removed {len(chosen)} of {len(shelves)} shelves, {_sum_sizes(chosen)}, in {store}.")
    elif json:
        print_json([{"name": name, **row} for name, row in chosen.items()])
    else:
        columns = ("name", "trunk", "size", "pooled", "MB")
        rows = [(name, *(_show(row, key) for key in columns[1:])) for name, row in chosen.items()]
        print_table(columns, rows)
        tell(f"{len(chosen)} shelves, {_sum_sizes(chosen)}, in {store}.")


def _show(row: dict[str, Any], key: str) -> str:
    return f"{row['bytes'] / 1e6:,.1f}" if key == "MB" else str(row.get(key, "?"))


def _sum_sizes(shelves: dict[str, dict[str, Any]]) -> str:
    return f"{sum(row['bytes'] for row in shelves.values()) / 1e6:,.1f} MB"
