"""What holds arrays is compared by identity: arrays are neither equal nor unequal as a whole."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module

import pytest

CORE = (
    *("labels", "data.listing", "data.source", "evaluation.calibration", "evaluation.decisions"),
    *("evaluation.goals", "evaluation.metrics", "evaluation.diagnostics", "repair.audit"),
    *("repair.missing", "repair.out_of_fold", "repair.finding"),
)
ARRAYS = ("NDArray", "Array", "Tensor", "Dense", "Floats", "Cells", "Scores")


def holders() -> list[type]:
    found = []
    for name in CORE:
        module = import_module(f"tacit.{name}")
        for each in vars(module).values():
            if inspect.isclass(each) and each.__module__ == module.__name__:
                kinds = dataclasses.fields(each) if dataclasses.is_dataclass(each) else ()
                if any(str(kind.type).startswith(ARRAYS) for kind in kinds):
                    found.append(each)
    return found


def test_there_are_some() -> None:
    assert len(holders()) > 8


@pytest.mark.parametrize("cls", holders(), ids=lambda cls: cls.__qualname__)
def test_what_holds_arrays_is_compared_by_identity(cls: type) -> None:
    assert cls.__eq__ is object.__eq__ and cls.__hash__ is object.__hash__
