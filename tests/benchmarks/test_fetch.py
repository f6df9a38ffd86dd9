"""Fetching a benchmark: licence first, archives checked, unpacked, and gone on with."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from local_server import Page, Server
from local_server import server as server
from tacit.benchmarks import BENCHMARKS, Archive, read_benchmark
from tacit.benchmarks.download import Patience
from tacit.benchmarks.fetch import fetch
from tacit.errors import DataError, UsageError

ONCE = Patience(attempts=1, timeout=5)


class Offered:
    """The VOC copy as an archive on a server, and the row of the table that says so."""

    def __init__(self, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        packed = folder / "voc.tar"
        with tarfile.open(packed, "w") as tar:
            tar.add(folder / "VOCdevkit", "VOCdevkit")
        content = packed.read_bytes()
        packed.unlink()
        shutil.rmtree(folder / "VOCdevkit")
        self.page = Page(content, etag='"1"')
        address = server.put("/VOCtrainval_11-May-2012.tar", self.page)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        archive = Archive(f"{address}?download=1", len(content), f"md5:{md5}", 200_000)
        monkeypatch.setitem(
            BENCHMARKS, "voc2012", replace(BENCHMARKS["voc2012"], archives=(archive,))
        )
        self.root, self.server, self.archive = folder / "new" / "root", server, archive
        self.path = self.root / archive.name
        self.said: list[str] = []

    def fetch(self, keep: bool = False) -> None:
        fetch("voc2012", self.root, tell=self.said.append, keep=keep, patience=ONCE)


@pytest.fixture
def offered(server: Server, voc2012: Path, monkeypatch: pytest.MonkeyPatch) -> Offered:
    return Offered(server, voc2012, monkeypatch)


def test_what_is_missing_is_fetched_checked_and_unpacked(offered: Offered) -> None:
    offered.fetch()
    assert len(read_benchmark("voc2012", offered.root)) == 5
    assert os.listdir(offered.root) == ["VOCdevkit"]
    row = BENCHMARKS["voc2012"]
    assert row.source in offered.said[0] and row.licence in offered.said[1]
    assert offered.archive.address in offered.said[2]
    assert "checksum as expected" in offered.said[3] and "archive removed" in offered.said[3]
    offered.fetch()
    assert len(offered.server.asked) == 1 and len(offered.said) == 4


def test_the_licence_is_told_before_the_server_is_asked(offered: Offered) -> None:
    asked_when_told: dict[str, int] = {}

    def tell(sentence: str) -> None:
        asked_when_told[sentence.partition(":")[0]] = len(offered.server.asked)

    fetch("voc2012", offered.root, tell=tell)
    assert asked_when_told["Licence"] == 0 and asked_when_told[offered.archive.name] == 1


def test_archives_are_kept_if_asked_for(offered: Offered) -> None:
    offered.fetch(keep=True)
    assert offered.path.is_file() and "removed" not in offered.said[-1]


def test_an_archive_that_lies_there_is_unpacked_and_stays(offered: Offered) -> None:
    offered.root.mkdir(parents=True)
    offered.path.write_bytes(offered.page.content)
    offered.fetch()
    assert offered.server.asked == [] and offered.path.is_file()
    read_benchmark("voc2012", offered.root)


def test_an_archive_that_lies_there_damaged_is_not_removed(offered: Offered) -> None:
    offered.root.mkdir(parents=True)
    offered.path.write_bytes(offered.page.content[:-1])
    with pytest.raises(DataError, match=r"were expected. Remove .*, and it is fetched"):
        offered.fetch()
    assert offered.path.is_file() and offered.server.asked == []


def test_a_broken_connection_is_gone_on_with_by_the_next_call(offered: Offered) -> None:
    offered.page.drops = [20_000]
    with pytest.raises(DataError, match=r"20,000 bytes are kept.*\n.*put into .* by hand"):
        offered.fetch()
    offered.fetch()
    assert offered.server.asked == [None, "bytes=20000-"]
    read_benchmark("voc2012", offered.root)


def test_unpacking_that_was_interrupted_is_noticed_and_gone_on_with(
    offered: Offered, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def some(what: str, done: int, total: int | None) -> None:
        nonlocal count
        count += what.startswith("unpacking")
        if count == 43:  # of 40 image sets and 6 images
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("voc2012", offered.root, tell=offered.said.append, progress=some)
    with pytest.raises(DataError, match=r"VOCtrainval_11-May-2012.tar, not wholly unpacked\)"):
        read_benchmark("voc2012", offered.root)
    offered.fetch()
    assert ": checksum as expected, 3 files unpacked" in offered.said[-1]
    assert os.listdir(offered.root) == ["VOCdevkit"] and len(offered.server.asked) == 1
    read_benchmark("voc2012", offered.root)


def test_the_disk_is_looked_at_before_the_server(
    offered: Offered, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered.root.mkdir(parents=True)
    need = offered.archive.size + offered.archive.room
    full = shutil.disk_usage(offered.root)._replace(free=need - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(DataError, match=r"are needed to fetch and unpack VOCtrainval"):
        offered.fetch()
    assert offered.server.asked == [] and offered.said == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full._replace(free=need))
    offered.fetch()


def test_files_in_the_way_end_with_a_sentence(offered: Offered) -> None:
    offered.root.mkdir(parents=True)
    (offered.root / "VOCdevkit").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="voc2012 cannot be unpacked below"):
        offered.fetch()
    assert (offered.root / "VOCdevkit").read_text().startswith("a file")


def test_what_cannot_be_fetched_is_left_to_be_asked_for(tmp_path: Path) -> None:
    said: list[str] = []
    fetch("nuswide", tmp_path, tell=said.append)
    assert said == []
    with pytest.raises(DataError) as error:
        read_benchmark("nuswide", tmp_path)
    assert "on request" in str(error.value) and "--download" not in str(error.value)
    with pytest.raises(UsageError, match="did you mean 'nuswide'"):
        fetch("nuswid", tmp_path, tell=said.append)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_missing_file_has_an_archive_or_a_sentence(name: str, tmp_path: Path) -> None:
    row = BENCHMARKS[name]
    archives = {archive.name for archive in row.archives}
    assert set(row.files.values()) == archives if archives else row.by_hand
    for archive in row.archives:
        kind, _, digits = archive.digest.partition(":")
        assert len(digits) == 2 * hashlib.new(kind).digest_size and int(digits, 16)
        assert archive.address.startswith("http") and archive.size > 0 < archive.room
    with pytest.raises(DataError) as error:
        read_benchmark(name, tmp_path)
    said = str(error.value)
    assert ("--download" in said) == bool(archives)
    assert all(str(tmp_path / file) in said for file in row.files)


def test_open_images_images_are_said_to_be_fetched_by_hand(
    server: Server, openimages_v3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = openimages_v3 / "human.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(openimages_v3 / "2017_11", "2017_11")
    content = packed.read_bytes()
    shutil.rmtree(openimages_v3 / "2017_11")
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    archives = tuple(
        Archive(server.put(f"/{archive.name}", Page(content)), len(content), f"md5:{md5}", 9000)
        for archive in BENCHMARKS["openimages_v3"].archives
    )
    row = replace(BENCHMARKS["openimages_v3"], archives=archives)
    monkeypatch.setitem(BENCHMARKS, "openimages_v3", row)
    said: list[str] = []
    fetch("openimages_v3", openimages_v3, tell=said.append, patience=ONCE)
    assert said[-1] == row.by_hand and "0 files unpacked" in said[-2]
    read_benchmark("openimages_v3", openimages_v3)
