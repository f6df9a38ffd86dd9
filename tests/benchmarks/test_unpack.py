"""Archives are unpacked below their folder, whatever they hold."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from tacit.benchmarks.unpack import DamagedArchive, unpack, write_size
from tacit.errors import DataError

FILES = {"top.txt": b"one", "deep/er/a.jpg": b"image" * 99, "deep/b.jpg": b""}
KINDS = ("zip", "tar", "tar.gz")


def pack(path: Path, files: dict[str, bytes] = FILES) -> Path:
    """Pack an archive of the kind that its name says; folders have entries of their own."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("deep/", b"")
            for name, content in files.items():
                zipped.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        folder = tarfile.TarInfo("deep")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_unpacked_once(tmp_path: Path, root: Path, kind: str) -> None:
    seen: list[tuple[int, int | None]] = []
    archive = pack(tmp_path / f"a.{kind}")
    assert unpack(archive, root, lambda what, done, total: seen.append((done, total))) == 3
    assert tree(root) == FILES and seen[-1] == (498, 498)
    (root / "deep" / "b.jpg").unlink()
    before = (root / "top.txt").stat().st_mtime_ns
    assert unpack(archive, root) == 1 and unpack(archive, root) == 0
    assert tree(root) == FILES and (root / "top.txt").stat().st_mtime_ns == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../out.txt", "deep/../../out.txt", "/tmp/out.txt", "C:\\out"])
def test_a_path_out_of_the_folder_is_refused_before_anything_is_written(
    tmp_path: Path, root: Path, kind: str, name: str
) -> None:
    archive = pack(tmp_path / f"a.{kind}", {**FILES, name: b"x"})
    with pytest.raises(DataError, match="a path out of the folder"):
        unpack(archive, root)
    assert tree(tmp_path).keys() == {archive.name}


@pytest.mark.parametrize("type", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar_are_refused(tmp_path: Path, root: Path, type: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (("fine.txt", tarfile.REGTYPE), ("link", type)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd" if kind == type else ""
            tar.addfile(info, io.BytesIO())
    with pytest.raises(DataError, match="a link or device, 'link'"):
        unpack(tmp_path / "a.tar", root)
    assert tree(root) == {}


def test_links_in_zip_are_refused(tmp_path: Path, root: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr("fine.txt", b"x")
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="a link or device, 'link'"):
        unpack(tmp_path / "a.zip", root)
    assert tree(root) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_other_files_are_not_overwritten(tmp_path: Path, root: Path, kind: str) -> None:
    (root / "deep" / "b.jpg").mkdir(parents=True)
    (root / "top.txt").write_text("mine, and longer")
    with pytest.raises(DataError, match=r"2 other files are where .* Nothing was unpacked"):
        unpack(pack(tmp_path / f"a.{kind}"), root)
    assert tree(root) == {"top.txt": b"mine, and longer"}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archives_are_told_from_whole_ones(tmp_path: Path, root: Path, kind: str) -> None:
    archive = pack(tmp_path / f"a.{kind}", {"a": bytes(range(256)) * 300, **FILES})
    whole = archive.read_bytes()
    for cut in (0, 5, 100, len(whole) // 2):
        archive.write_bytes(whole[:cut])
        with pytest.raises(DamagedArchive, match=r"a\.(zip|tar)"):
            unpack(archive, root)
    if kind != "tar":  # which has checksums of its headers only
        middle = len(whole) // 3
        archive.write_bytes(whole[:middle] + b"\x55\xaa\x55" + whole[middle + 3 :])
        with pytest.raises(DamagedArchive):
            unpack(archive, root)
    assert not any(path.name.endswith(".partial") for path in root.rglob("*"))
    archive.write_bytes(whole)
    unpack(archive, root)
    assert tree(root).items() >= FILES.items()


def test_what_is_no_archive_is_named(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "a.tar"
    for content, said in {
        b"\n<!DOCTYPE html><title>Moved</title>": "is a web page",
        b"hello": "neither a zip nor a tar archive",
        gzip.compress(b"hello"): "neither a zip nor a tar",
    }.items():
        path.write_bytes(content)
        with pytest.raises(DamagedArchive, match=said):
            unpack(path, root)


def test_two_files_of_one_name_are_refused(tmp_path: Path, root: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for content in (b"one", b"other"):
            info = tarfile.TarInfo("a")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(DamagedArchive, match="two files called 'a'"):
        unpack(tmp_path / "a.tar", root)


def test_nothing_is_written_where_there_is_no_room(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(root)._replace(free=400)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(DataError, match="498 bytes are needed to unpack a.zip, and 400 bytes are"):
        unpack(pack(tmp_path / "a.zip"), root)
    assert tree(root) == {}


def test_a_file_has_its_name_only_when_it_is_whole(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: object, file: io.BufferedWriter, size: int) -> None:
        file.write(b"pic")
        raise KeyboardInterrupt

    archive = pack(tmp_path / "a.tar")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, root)
    assert tree(root) == {}
    assert unpack(archive, root) == 3


def test_bytes_are_written_as_people_read_them() -> None:
    counts = {7: "7 bytes", 303_055: "303 kB", 144_102_834: "144 MB", 13_510_573_713: "13.5 GB"}
    assert {count: write_size(count) for count in counts} == counts
