"""Taxonomies: which classes imply which, and which exclude each other, from a small file.

As lines::

    # from special to general
    poodle > dog > animal
    exclusive: indoors, outdoors

or as TOML, for names with signs in them::

    exclusive = [["indoors", "outdoors"]]
    [parents]
    dog = ["animal"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tacit.errors import DataError, nearest_name
from tacit.names import split_lines

EXCLUSIVE = "exclusive"


@dataclass(frozen=True)
class Taxonomy:
    """Relations between classes by their columns.

    Attributes:
        implications: Pairs of a class and one that it implies, by however many steps.
        exclusions: Sets of classes of which an image shows one at most.
        notes: What was left out.
    """

    implications: tuple[tuple[int, int], ...]
    exclusions: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...] = ()


def read_taxonomy(path: Path, classes: Sequence[str]) -> Taxonomy:
    """Read a taxonomy and say it by the columns of the classes.

    Names that are no class are passed over, but what follows by way of them holds.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The taxonomy {path} cannot be read: {error}.") from error
    toml = path.suffix.lower() == ".toml"
    parents, exclusive = _from_toml(path, text) if toml else _from_lines(path, text)
    above = {name: _above(path, name, parents) for name in parents}
    _check_exclusions(path, above, exclusive)
    column = {name: number for number, name in enumerate(classes)}
    named = dict.fromkeys([*parents, *(p for some in parents.values() for p in some)])
    named |= dict.fromkeys(name for names in exclusive for name in names)
    strange = [name for name in named if name not in column]
    if len(strange) == len(named):
        raise DataError(
            f"The taxonomy {path} names no class of this data set; its classes are "
            f"{', '.join(classes[:5])} and so on."
        )
    pairs = [
        (column[child], column[parent])
        for child, found in above.items()
        for parent in found
        if child in column and parent in column
    ]
    sets = [tuple(column[name] for name in names if name in column) for names in exclusive]
    notes = [_strange(path, strange, classes)] if strange else []
    return Taxonomy(
        tuple(sorted(pairs)), tuple(some for some in sets if len(some) > 1), tuple(notes)
    )


def _strange(path: Path, strange: Sequence[str], classes: Sequence[str]) -> str:
    near = nearest_name(strange[0], classes)
    hint = f"; did you mean '{near}'?" if near else ""
    return f"{len(strange)} names in {path.name} are no classes, first '{strange[0]}'{hint}"


def _from_lines(path: Path, text: str) -> tuple[dict[str, list[str]], list[list[str]]]:
    parents: dict[str, list[str]] = {}
    exclusive = []
    for number, line in enumerate(split_lines(text), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        if line.lower().startswith(f"{EXCLUSIVE}:"):
            names = [name.strip() for name in line.partition(":")[2].split(",")]
            exclusive.append(names)
        else:
            names = [name.strip() for name in line.split(">")]
            for child, parent in pairwise(names):
                parents.setdefault(child, []).append(parent)
        if len(names) < 2 or not all(names):
            raise DataError(
                f"{path}, line {number}: expected 'child > parent' or 'exclusive: a, b', "
                f"not {line!r}."
            )
    return parents, exclusive


def _from_toml(path: Path, text: str) -> tuple[dict[str, list[str]], list[list[str]]]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"The taxonomy {path} is no TOML: {error}.") from error
    strange = set(content) - {"parents", EXCLUSIVE}
    parents, exclusive = content.get("parents", {}), content.get(EXCLUSIVE, [])
    if strange or not isinstance(parents, dict) or not _is_lists(exclusive):
        raise DataError(
            f'The taxonomy {path} may hold [parents] with child = "parent" and exclusive, a list '
            f"of lists of classes{', not ' + sorted(strange)[0] if strange else ''}."
        )
    listed = {child: [p] if isinstance(p, str) else p for child, p in parents.items()}
    if not _is_lists(list(listed.values())):
        raise DataError(f"{path}: a parent is the name of a class or a list of names.")
    return listed, exclusive


def _is_lists(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in value
    )


def _above(path: Path, name: str, parents: Mapping[str, Iterable[str]]) -> list[str]:
    """Return everything that a class implies."""
    found: dict[str, None] = {}
    waiting = list(parents[name])
    while waiting:
        parent = waiting.pop()
        if parent == name:
            raise DataError(f"{path}: '{name}' implies itself by way of others.")
        if parent not in found:
            found[parent] = None
            waiting += parents.get(parent, ())
    return list(found)


def _check_exclusions(
    path: Path, above: Mapping[str, Sequence[str]], exclusive: Sequence[Sequence[str]]
) -> None:
    """Refuse classes that could never be there because of what they imply."""
    for names in exclusive:
        if len(set(names)) < len(names):
            raise DataError(f"{path}: a set of exclusive classes names one of them twice.")
        for child in {*above, *names}:
            implied = [name for name in names if name == child or name in above.get(child, ())]
            if len(implied) > 1:
                raise DataError(
                    f"{path}: '{child}' could never be there, since it is or implies both "
                    f"'{implied[0]}' and '{implied[1]}', which exclude each other."
                )
