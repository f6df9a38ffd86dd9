"""A pipeline of rows whose results overtake one another, as those of many machines do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

ACTORS = 2
HELD = 5  # rows on their way

CONTEXT = SimpleNamespace(enable_progress_bars=True)
DataContext = SimpleNamespace(get_current=lambda: CONTEXT)


def TaskPoolStrategy(size: int | None = None) -> None:
    pass


def ActorPoolStrategy(size: int) -> None:
    pass


class Rows:
    """A stream of rows; nothing runs before the first one is asked for."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self.rows = rows

    def flat_map(self, each: Callable[[Any], Iterable[Any]], **how: Any) -> Rows:
        return Rows(found for row in overtaking(self.rows) for found in each(row))

    def map(self, kind: Any, *, fn_constructor_args: tuple[Any, ...], **how: Any) -> Rows:
        return Rows(self._act(kind, fn_constructor_args))

    def _act(self, kind: Any, arguments: tuple[Any, ...]) -> Iterator[Any]:
        actors = [kind(*arguments) for _ in range(ACTORS)]
        for number, row in enumerate(overtaking(self.rows)):
            yield actors[number % ACTORS](row)

    def iter_rows(self) -> Iterator[Any]:
        return overtaking(self.rows)


def from_items(items: list[Any], override_num_blocks: int) -> Rows:
    assert 0 < override_num_blocks <= len(items)
    return Rows(items)


def overtaking(rows: Iterable[Any]) -> Iterator[Any]:
    """Give rows back in another order, a few of them held at a time."""
    chance, held = random.Random(0), []
    for row in rows:
        held.append(row)
        if len(held) == HELD:
            yield held.pop(chance.randrange(HELD))
    chance.shuffle(held)
    yield from held
