"""What a check found, one sentence each, with the command that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacit.check import CLEAN, KINDS, MEND, Severity


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: A name from `KINDS`.
        said: What the sentence is about, such as the image and the class.
        sentence: What is wrong.
        fix: A command that mends it.
    """

    kind: str
    said: dict[str, Any]
    sentence: str
    fix: str

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return KINDS[self.kind].severity

    def describe_all(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        first = {"kind": self.kind, "severity": self.severity, "sentence": self.sentence}
        return {**first, **self.said, "fix": self.fix}


class Findings:
    """Collects what is found.

    Attributes:
        data: The words of the command line that name the data.
        clean: A path for labels without what is wrong.
        root: The folder of the images.
        without: Kinds that are not told.
    """

    def __init__(
        self, data: str, root: Path, without: Iterable[str] = (), clean: str = "cleaned/labels.csv"
    ) -> None:
        self.data, self.root, self.without = data, root, frozenset(without)
        self.clean = clean
        self.all: list[Finding] = []

    def add(self, kind: str, said: dict[str, Any]) -> None:
        """Add a finding; ``said`` fills in the table's sentence."""
        if kind in self.without:
            return
        row = KINDS[kind]
        path = str(self.root / str(said.get("image", "")))
        words = {"data": self.data, "kind": kind, "path": shlex.quote(path)}
        words |= {"clean": self.clean, "column": shlex.quote(str(said.get("column", "")))}
        others = (shlex.quote(str(column)) for column in said.get("columns", ()))
        words["others"] = "".join(f" --other-columns {column}" for column in others)
        words["target_path"] = shlex.quote(str(said.get("target", "")))
        words["first"] = shlex.quote(str(said.get("first", "")))
        shown = {key: write_value(value) for key, value in said.items()}
        self.all.append(
            Finding(kind, said, row.sentence.format_map(shown), row.fix.format_map(words))
        )

    def of(self, kind: str) -> list[Finding]:
        """Return the findings of a kind."""
        return [finding for finding in self.all if finding.kind == kind]

    def write_mending(self, without: Collection[str] = ()) -> str | None:
        """Return one command that mends in the labels errors and warnings, but for some kinds."""
        found = [kind for kind in self.kinds() if kind not in without]
        kinds = [kind for kind in found if KINDS[kind].severity != "note"]
        asked = [kind for kind in kinds if KINDS[kind].fix == MEND]
        if not asked and not any(KINDS[kind].fix == CLEAN for kind in kinds):
            return None
        flags = "".join(f" --mend {kind}" for kind in asked)
        return CLEAN.format(data=self.data, clean=self.clean) + flags

    def kinds(self) -> dict[str, list[Finding]]:
        """Return what was found by kind, in the order of the table."""
        sorted_by_kind: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
        for finding in self.all:
            sorted_by_kind[finding.kind].append(finding)
        return {kind: found for kind, found in sorted_by_kind.items() if found}

    def count(self, severity: Severity) -> int:
        """Count the findings of a severity."""
        return sum(finding.severity == severity for finding in self.all)


def write_value(value: Any) -> str:
    """Write a value into a sentence: on one line, and not endlessly long."""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(value))
    return text if len(text) <= 300 else f"{text[:200]}…{text[-60:]}"
