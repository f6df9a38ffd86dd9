"""Whatever is wrong is found, by its name; what is not wrong is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from check.damage import DAMAGES, Damage
from check.planted import CLASSES, Photos, healthy
from tacit.check import KINDS
from tacit.check.run import check
from tacit.data import open_image

# Found together with others, or only where a file may not be read, which an administrator may.
UNPLANTED = {"unreadable", "no_access"}


@pytest.fixture(autouse=True)
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as if the extra heic were not installed."""
    monkeypatch.setattr(open_image, "HAS_HEIC", False)
    formats = [kind for kind in open_image.FORMATS if kind != "HEIF"]
    monkeypatch.setattr(open_image, "FORMATS", formats)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    return healthy(tmp_path_factory.mktemp("healthy"))


@pytest.fixture
def photos(original: Photos, tmp_path: Path) -> Photos:
    """Return a copy, to be damaged."""
    shutil.copytree(original.folder, tmp_path, dirs_exist_ok=True)
    return Photos(tmp_path, [dict(row) for row in original.rows])


def found(photos: Photos) -> list[tuple[str, str | None]]:
    findings = check(photos.table, jobs=1, **photos.options).findings.all
    return [(f.kind, f.said.get("image", f.said.get("class"))) for f in findings]


def test_a_healthy_data_set_has_no_findings(original: Photos) -> None:
    report = check(original.table, jobs=1)
    assert report.findings.all == [] and report.status(strict=True) == 0
    assert report.looked_at == len(original.rows) and report.listing.classes == CLASSES


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found_and_nothing_else(damage: Damage, photos: Photos) -> None:
    expected = damage(photos)
    answer = found(photos)
    assert set(answer) == expected and len(answer) == len(expected)
    assert damage.__name__ in {kind for kind, _ in expected}


def test_every_kind_is_planted() -> None:
    assert {damage.__name__ for damage in DAMAGES} | UNPLANTED == set(KINDS)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_the_status_is_that_of_the_severest(damage: Damage, photos: Photos) -> None:
    damage(photos)
    report = check(photos.table, jobs=1, **photos.options)
    worst = {KINDS[finding.kind].severity for finding in report.findings.all}
    assert report.status() == int("error" in worst)
    assert report.status(strict=True) == int(bool(worst & {"error", "warning"}))
    assert all(finding.sentence and finding.fix for finding in report.findings.all)
