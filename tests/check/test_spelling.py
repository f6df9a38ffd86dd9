"""Names of classes: slips are told from names that are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacit.check.findings import Findings
from tacit.check.spelling import find_spellings, is_slip


@pytest.mark.parametrize(
    ("one", "two"),
    [("giraffe", "girafe"), ("giraffe", "girraffe"), ("giraffe", "giraffa"), ("horse", "hosre")],
)
def test_one_letter_is_a_slip(one: str, two: str) -> None:
    assert is_slip(one, two) and is_slip(two, one)


@pytest.mark.parametrize(
    ("one", "two"), [("goose", "moose"), ("class 1", "class 2"), ("truck", "train"), ("tree", "")]
)
def test_other_names_are_meant(one: str, two: str) -> None:
    assert not is_slip(one, two) and not is_slip(two, one)


def found(counts: dict[str, int]) -> set[tuple[str, str, str]]:
    findings = Findings("labels.csv", Path("."))
    find_spellings(list(counts), list(counts.values()), findings)
    return {(f.kind, f.said["class"], f.said["other"]) for f in findings.all}


def test_a_common_name_is_no_slip_of_another() -> None:
    assert found({"horse": 100, "house": 80}) == set()
    assert found({"horse": 100, "hose": 2, "horrse": 5}) == {("class_typo", "horrse", "horse")}


def test_case_spaces_and_invisible_signs_make_no_class() -> None:
    counts = {"traffic light": 9, "Traffic_Light": 3, "traffic\u200b light": 1, "trafficlight": 7}
    variants = {name for kind, name, other in found(counts) if other == "traffic light"}
    assert variants >= {"Traffic_Light", "traffic\u200b light"}


def test_many_classes_are_compared_without_comparing_all() -> None:
    letters = str.maketrans("0123456789", "ghijklmnop")
    counts = {f"class {number:05} of many".translate(letters): 9 for number in range(1500)}
    assert found(counts) == set()
