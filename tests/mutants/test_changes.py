"""The changes that mutants are made of."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mutants.changes import build_mutant, list_mutants
from mutants.report import interval, write_page

SOURCE = '''
"""A file."""

LIMIT = 3


def count(values: list[int | None], *, start: int = 0) -> int:
    """Count."""
    if not values:
        raise ValueError("None of %d" % (1 + 1))
    for value in values:
        if value is not None and value < LIMIT:
            start += 1
    print(start, end="")
    return start
'''


def run(source: str, key: str | None = None) -> int:
    tree = SOURCE if key is None else build_mutant(key, "a.py", source)
    names: dict[str, object] = {}
    exec(compile(tree, "a.py", "exec"), names)
    return names["count"]([1, 3, None])  # type: ignore[operator, no-any-return]


def changes(source: str = SOURCE) -> dict[str, str]:
    """Return the statements that change, by key, as before => after."""
    return {m.key: f"{m.before} => {m.after}" for m in list_mutants("a.py", source)}


def test_every_kind_of_change_is_made_and_nothing_else() -> None:
    found = sorted(changes().values())
    head = "def count(values: list[int | None], *, start: int={}) -> int: pass"
    test = "if value is not None and value < LIMIT: pass => if value is {}: pass"
    assert found == sorted(
        [
            "LIMIT = 3 => LIMIT = 4",
            f"{head.format(0)} => {head.format(1)}",
            "if not values: pass => if values: pass",
            "raise ValueError('None of %d' % (1 + 1)) => pass",
            test.format("not None or value < LIMIT"),
            test.format("None and value < LIMIT"),
            test.format("not None and value >= LIMIT"),
            test.format("not None and value <= LIMIT"),
            "start += 1 => pass",
            "start += 1 => start -= 1",
            "start += 1 => start += 2",
            "print(start, end='') => pass",
            "print(start, end='') => print(start)",
            "return start => return",
        ]
    )


def test_a_mutant_does_what_its_name_says(capsys: pytest.CaptureFixture[str]) -> None:
    keys = {name: key for key, name in changes().items()}
    assert run(SOURCE) == 1
    assert run(SOURCE, keys["LIMIT = 3 => LIMIT = 4"]) == 2
    assert run(SOURCE, keys["start += 1 => start -= 1"]) == -1
    assert run(SOURCE, keys["return start => return"]) is None
    capsys.readouterr()
    assert run(SOURCE, keys["print(start, end='') => pass"]) == 1
    assert capsys.readouterr().out == ""


def test_what_only_type_checkers_read_and_where_tensors_lie_are_left_alone() -> None:
    decorated = "@dataclass_transform(kw_only_default=True)\n@final\nclass A:\n    pass\n"
    assert len(changes(decorated)) == 1  # without @final
    assert set(changes("a = zeros(2, device=b.device)").values()) == {
        "a = zeros(2, device=b.device) => a = zeros(3, device=b.device)"
    }


def test_a_name_stays_when_the_file_changes_elsewhere() -> None:
    longer = "import os\n\n\ndef other() -> int:\n    return os.getpid() + 1\n\n" + SOURCE
    assert changes().keys() < changes(longer).keys()
    with pytest.raises(LookupError, match="no mutant"):
        build_mutant("a.py::count::gone => pass", "a.py", SOURCE)


def test_equal_changes_of_a_function_have_numbers() -> None:
    twice = "def f(a):\n    a.go()\n    a.go()\n"
    assert [m.key for m in list_mutants("a.py", twice)] == [
        "a.py::f::a.go() => pass",
        "a.py::f::a.go() => pass #1",
    ]


def test_the_score_leaves_out_what_is_equivalent() -> None:
    results = {"a.py::f::x => y": "killed", "a.py::f::x => z": "lived", "b.py::g::1 => 2": "killed"}
    results["b.py::g::equal"] = "equivalent"
    page = write_page(results, {"b.py::g::equal": "Both are so."}, 9, 4, 0)
    assert "`make mutants MUTANTS='--sample 4'`" in page
    again = write_page(results, {"b.py::g::equal": "Both are so."}, 9, 4, 5)
    assert "`make mutants MUTANTS='--sample 4 --seed 5'`" in again
    assert "| 4 | 2 | 1 | 1 | 66.7% |" in page and "b.py::g::equal\n    Both are so." in page


def test_the_interval_is_wilsons() -> None:
    # Solved by hand: |share - p| = z sqrt(p (1 - p) / n) at both ends.
    low, high = interval(95, 100)
    for end in (low, high):
        assert abs(0.95 - end) == pytest.approx(1.959964 * (end * (1 - end) / 100) ** 0.5)
    assert interval(0, 0) == (0.0, 1.0)


def test_fresh_samples_have_a_table_of_their_own() -> None:
    page = write_page({"a.py::f::x => y": "killed"}, {}, 9, 1, 0)
    fresh = page.split("\n\n## Fresh samples\n\n")[1].split("\n\n## By file\n\n")[0]
    samples = tomllib.loads((Path(__file__).parent / "samples.toml").read_text())["sample"]
    rows = fresh.splitlines()[4:]
    assert len(rows) == len(samples) > 0
    for row, sample in zip(rows, samples, strict=True):
        low, high = interval(sample["killed"], sample["killed"] + sample["lived"])
        assert row.endswith(f"| {low:.1%} to {high:.1%} |") and sample["day"] in row
