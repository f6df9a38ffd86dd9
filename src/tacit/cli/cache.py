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

    These are features of the feature store, and scaled images of a folder that a recipe names as
    data.cache. All of it can be made again. What a run is just reading must not be removed.

    Parameters
    ----------
    names
        Entries as the list calls them; all, if none is named.
    folder
        A feature store, or a folder of scaled images; this user's feature store if left out.
    clean
        Remove them.
    json
        Print the list as JSON.
    """
    from tacit.errors import unknown_name
    from tacit.features.store import find_store

    store = folder or find_store("shared")
    assert store is not None
    kept = _list_entries(store)
    for name in names:
        if name not in kept:
            raise unknown_name("entry of the cache", name, kept)
    chosen = {name: row for name, row in kept.items() if not names or name in names}
    if clean:
        for name, row in chosen.items():
            shutil.rmtree(store / name) if row["kind"] == "features" else (store / name).unlink()
        tell(f"Removed {_sum_up(chosen)}, of {len(kept)} in {store}.")
    elif json:
        print_json([{"name": name, **row} for name, row in chosen.items()])
    else:
        columns = ("name", "kind", "trunk", "size", "MB")
        rows = [(name, *(_show(row, key) for key in columns[1:])) for name, row in chosen.items()]
        print_table(columns, rows)
        tell(f"{_sum_up(chosen)} in {store}.")
        if folder is None:
            tell("Scaled images are where data.cache says: tacit cache --folder FOLDER")


def _list_entries(store: Path) -> dict[str, dict[str, Any]]:
    from tacit.features.store import list_shelves
    from tacit.images.scaled import list_pixel_files

    shelves = {name: {"kind": "features", **row} for name, row in list_shelves(store).items()}
    pixels = {name: {"kind": "pixels", **row} for name, row in list_pixel_files(store).items()}
    return {**shelves, **pixels}


def _show(row: dict[str, Any], key: str) -> str:
    return f"{row['bytes'] / 1e6:,.1f}" if key == "MB" else str(row.get(key, ""))


def _sum_up(entries: dict[str, dict[str, Any]]) -> str:
    count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    return f"{count}, {sum(row['bytes'] for row in entries.values()) / 1e6:,.1f} MB"
