"""Each finding's command is one that can be called, and mends it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from check.damage import DAMAGES, Damage
from check.planted import healthy
from tacit.check.run import Report, check
from tacit.cli import run

# Mended by a person: they are told how to look.
LOOKED_AT = {"no_images", "few_classes"}
# Mended by saying what a column is.
SAID = {
    "unread_names": {"negative_column": "not"},
    "unread_column": {"other_columns": ["shop", "till no"]},
}


def call(command: str) -> None:
    """Call what a finding says, as it would be in a shell."""
    words = shlex.split(command)
    if words[0] == "tacit":
        assert run(words[1:]) in (0, 1)  # what it found is found once more
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, shell=True, check=True, env={**os.environ, "PATH": path}, timeout=60)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_commands_mend(
    damage: Damage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = healthy(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    damage(photos)
    kind = damage.__name__
    if kind == "unknown_format":
        return  # by installing something, which is tried elsewhere
    for finding in first(check(photos.table, jobs=1, **photos.options), kind):
        call(finding)
    cleaned = tmp_path / "cleaned" / "labels.csv"
    groups = cleaned.with_name("labels-groups.csv")
    options = {**photos.options, **({"groups": groups} if groups.exists() else {})}
    if cleaned.exists():
        after = check(cleaned, images=photos.images, jobs=1, **options)
    else:
        after = check(photos.table, jobs=1, **options, **SAID.get(kind, {}))
    left = {finding.kind for finding in after.findings.all}
    if kind not in LOOKED_AT:
        assert kind not in left and "unreadable" not in left
    if kind not in (*LOOKED_AT, "unlisted"):
        assert len(after.listing) >= 20  # the rest is still there


def first(report: Report, kind: str) -> list[str]:
    """Return the commands of a kind; one is enough where it mends all."""
    return list(dict.fromkeys(finding.fix for finding in report.findings.of(kind)))


def test_what_is_merged_keeps_its_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = healthy(tmp_path)
    before = check(photos.table, jobs=1).listing
    photos.rows[3]["labels"] = photos.rows[3]["labels"].replace("waterfall", "watrefall")
    photos.rows[7]["labels"] = photos.rows[7]["labels"].replace("waterfall", "WATERFALL")
    photos.write()
    monkeypatch.chdir(tmp_path)
    kinds = [f"--mend={kind}" for kind in ("class_typo", "class_variant")]
    assert run(["check", "labels.csv", "--clean=cleaned/labels.csv", *kinds]) == 0
    after = check(tmp_path / "cleaned" / "labels.csv", images=photos.images, jobs=1).listing
    assert after.classes == before.classes and after.labels.equals(before.labels)
