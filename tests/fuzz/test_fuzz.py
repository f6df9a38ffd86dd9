"""Whatever a file holds, who reads it answers with a result or with a sentence.

A few dozen changed files of every kind; `make fuzz` reads thousands.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fuzz.attack import Attack
from fuzz.kinds import all_kinds

CASES, SEED = 40, 1


@pytest.mark.parametrize("name", all_kinds())
def test_changed_files_are_read_or_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    attack = Attack(name, all_kinds()[name], tmp_path / "work")
    attack.read_whole()
    ended: Counter[str] = Counter()
    faults = []
    for case in range(CASES):
        outcome, fault = attack.run(SEED, case)
        ended[outcome] += 1
        if fault:
            faults.append(f"case {case}: {fault}")
    assert not faults, "\n".join(faults)
    assert sum(ended.values()) == CASES
