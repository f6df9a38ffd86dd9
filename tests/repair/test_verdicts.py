"""What holds after many verdicts of several people."""

from __future__ import annotations

import pytest

from tacit.errors import DataError
from tacit.repair.verdicts import Verdict, settle


def say(number: int, answer: str, who: str = "ann", image: str = "a") -> Verdict:
    return Verdict(str(number), image, "dog", answer, who, "2026-01-01T00:00:00Z")  # type: ignore[arg-type]


def test_the_last_answer_of_each_person_holds() -> None:
    given = [say(1, "present"), say(2, "absent"), say(3, "unsure", "ben"), say(4, "absent", "ben")]
    held = settle(given)
    assert {who: verdict.answer for who, verdict in held["a", "dog"].items()} == {
        "ann": "absent",
        "ben": "absent",
    }


def test_undo_takes_back_one_answer_of_the_same_person() -> None:
    given = [say(1, "present"), say(2, "absent"), say(3, "present", "ben"), say(4, "undo")]
    held = settle(given)["a", "dog"]
    assert held["ann"].id == "1" and held["ben"].id == "3"


def test_what_was_all_taken_back_was_never_said() -> None:
    assert settle([say(1, "undo"), say(2, "present"), say(3, "undo"), say(4, "undo")]) == {}


def test_an_answer_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="'yes' of 'queue' is no verdict"):
        say(1, "yes")
