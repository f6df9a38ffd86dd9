"""Downloads from a server that drops, lies and changes its mind."""

from __future__ import annotations

import hashlib
from http.client import HTTPMessage
from io import BytesIO
from pathlib import Path
from urllib.request import Request

import pytest

from local_server import Page, Server
from local_server import server as server
from tacit.benchmarks.download import CHUNK, Patience, _Redirects, check, download
from tacit.errors import DataError

CONTENT = bytes(range(256)) * 40
OTHER = CONTENT[::-1]
SIZE = len(CONTENT)
MD5 = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"


@pytest.fixture
def rests() -> list[float]:
    """How long was waited between attempts."""
    return []


@pytest.fixture
def patience(rests: list[float]) -> Patience:
    return Patience(attempts=3, timeout=5, wait=rests.append)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_over_whole_and_leaves_nothing_beside_it(
    server: Server, tmp_path: Path
) -> None:
    seen: list[tuple[str, int, int | None]] = []
    address = server.put("/a.tar", Page(CONTENT, etag='"1"'))
    download(address, tmp_path / "a.tar", size=SIZE, digest=MD5,
             progress=lambda *state: seen.append(state))  # fmt: skip
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert leftovers(tmp_path) == ["a.tar"]
    assert ("fetching a.tar", SIZE, SIZE) in seen and ("checking a.tar", SIZE, SIZE) in seen


@pytest.mark.parametrize(
    "tags",
    [{"etag": '"1"'}, {"modified": "Mon, 02 Nov 2015 10:00:00 GMT"}, {"etag": 'W/"1"'}, {}],
    ids=["etag", "modified", "weak etag", "length alone"],
)
def test_a_dropped_connection_is_gone_on_with(
    server: Server, tmp_path: Path, patience: Patience, rests: list[float], tags: dict[str, str]
) -> None:
    address = server.put("/a", Page(CONTENT, drops=[1000, 2000], **tags))
    download(address, tmp_path / "a", size=SIZE, patience=patience)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=3000-"]
    assert rests == [1, 1]  # every attempt brought something new
    # A weak tag names no bytes, so it is no condition for a part of them.
    condition = None if tags.get("etag", "").startswith("W/") else next(iter(tags.values()), None)
    assert server.conditions == [None, condition, condition]


def test_without_ranges_it_begins_anew(server: Server, tmp_path: Path, patience: Patience) -> None:
    address = server.put("/a", Page(CONTENT, etag='"1"', ranges=False, drops=[1000, 500]))
    download(address, tmp_path / "a", patience=patience)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_rests_grow_and_end(
    server: Server, tmp_path: Path, patience: Patience, rests: list[float]
) -> None:
    address = server.put("/a", Page(CONTENT, ranges=False, drops=[100] * 9))
    with pytest.raises(DataError, match=r"failed 3 times in a row: .* after 100 of 10,240 bytes"):
        download(address, tmp_path / "a", patience=patience)
    assert rests == [1, 2]
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("conditions", [True, False], ids=["heeds If-Range", "ignores it"])
@pytest.mark.parametrize("key", ["etag", "modified"])
def test_a_file_that_changed_is_not_glued_to_the_old_one(
    server: Server, tmp_path: Path, patience: Patience, conditions: bool, key: str
) -> None:
    old, new = ('"1"', '"2"') if key == "etag" else ("Mon, 02 Nov 2015 10:00:00 GMT", "Tue, later")
    page = Page(CONTENT, conditions=conditions, drops=[4000], **{key: old})  # type: ignore[arg-type]
    address = server.put("/a", page)
    once = Patience(attempts=1, wait=patience.wait)
    with pytest.raises(DataError, match="4,000 bytes are kept"):
        download(address, tmp_path / "a", patience=once)
    page.content = OTHER
    setattr(page, key, new)
    download(address, tmp_path / "a", patience=patience)
    assert (tmp_path / "a").read_bytes() == OTHER


def test_a_length_that_changed_is_noticed_where_nothing_else_is_said(
    server: Server, tmp_path: Path, patience: Patience
) -> None:
    page = Page(CONTENT, drops=[4000])
    address = server.put("/a", page)
    with pytest.raises(DataError, match="kept"):
        download(address, tmp_path / "a", patience=Patience(attempts=1))
    page.content = OTHER + b"more"
    download(address, tmp_path / "a", patience=patience)
    assert (tmp_path / "a").read_bytes() == OTHER + b"more"


def test_what_nothing_identifies_is_not_gone_on_with(
    server: Server, tmp_path: Path, patience: Patience
) -> None:
    address = server.put("/a", Page(CONTENT, length="none", drops=[4000]))
    download(address, tmp_path / "a", size=SIZE, patience=patience)
    assert server.asked == [None, None] and (tmp_path / "a").read_bytes() == CONTENT


def test_a_part_of_another_address_is_left_out(server: Server, tmp_path: Path) -> None:
    address = server.put("/a", Page(CONTENT, etag='"1"'))
    (tmp_path / "a.part").write_bytes(b"x" * 99)
    (tmp_path / "a.part.json").write_text('{"address": "http://elsewhere/a", "etag": "\\"1\\""}')
    download(address, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    (tmp_path / "a").unlink()
    for note in ("{", "[]", "null"):
        (tmp_path / "a.part").write_bytes(b"x" * 99)
        (tmp_path / "a.part.json").write_text(note)
        download(address, tmp_path / "a")
        (tmp_path / "a").unlink()
    assert set(server.asked) == {None}


def test_interrupted_by_hand_and_gone_on_with(server: Server, tmp_path: Path) -> None:
    address = server.put("/a", Page(CONTENT, etag='"1"', drops=[6000]))

    def interrupt(what: str, done: int, total: int | None) -> None:
        if done >= 6000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(address, tmp_path / "a", progress=interrupt)
    assert leftovers(tmp_path) == ["a.part", "a.part.json"]
    download(address, tmp_path / "a", size=SIZE, digest=MD5)
    assert server.asked == [None, "bytes=6000-"] and leftovers(tmp_path) == ["a"]


def test_a_part_that_is_whole_needs_no_server(server: Server, tmp_path: Path) -> None:
    address = server.put("/a", Page(CONTENT, etag='"1"', drops=[SIZE]))

    def interrupt(what: str, done: int, total: int | None) -> None:
        if what.startswith("checking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(address, tmp_path / "a", size=SIZE, digest=MD5, progress=interrupt)
    download(address, tmp_path / "a", size=SIZE, digest=MD5)
    assert len(server.asked) == 1 and (tmp_path / "a").read_bytes() == CONTENT


def test_a_whole_part_of_unknown_size_is_found_out(server: Server, tmp_path: Path) -> None:
    address = server.put("/a", Page(CONTENT, etag='"1"'))
    (tmp_path / "a.part").write_bytes(CONTENT)
    note = f'{{"address": "{address}", "etag": "\\"1\\"", "length": "{SIZE}"}}'
    (tmp_path / "a.part.json").write_text(note)
    download(address, tmp_path / "a")
    assert server.asked == [f"bytes={SIZE}-"] and (tmp_path / "a").read_bytes() == CONTENT
    (tmp_path / "a").unlink()
    (tmp_path / "a.part").write_bytes(CONTENT + b"too much")
    (tmp_path / "a.part.json").write_text(note)
    download(address, tmp_path / "a", patience=Patience(wait=lambda seconds: None))
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("length", ["none", "chunked"])
def test_a_length_need_not_be_told(
    server: Server, tmp_path: Path, patience: Patience, length: str
) -> None:
    address = server.put("/a", Page(CONTENT, etag='"1"', length=length, drops=[3000]))
    download(address, tmp_path / "a", size=SIZE, digest=MD5, patience=patience)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_chunk_that_ends_early_is_a_dropped_connection(
    server: Server, tmp_path: Path, patience: Patience
) -> None:
    address = server.put("/a", Page(CONTENT, etag='"1"', length="chunked", drops=[3000]))
    download(address, tmp_path / "a", patience=patience)
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [SIZE - 100, SIZE + 100])
def test_a_length_that_is_not_the_archives_is_refused_at_once(
    server: Server, tmp_path: Path, patience: Patience, length: int
) -> None:
    address = server.put("/a", Page(CONTENT, length=length))
    with pytest.raises(DataError, match=rf"has {length:,} bytes; 10,240 were expected"):
        download(address, tmp_path / "a", size=SIZE, patience=patience)
    assert len(server.asked) == 1 and leftovers(tmp_path) == []


def test_a_length_told_too_long_ends_with_a_sentence(
    server: Server, tmp_path: Path, patience: Patience
) -> None:
    address = server.put("/a", Page(CONTENT, ranges=False, length=SIZE + 5))
    with pytest.raises(DataError, match=r"after 10,240 of 10,245 bytes"):
        download(address, tmp_path / "a", patience=patience)


def test_more_than_expected_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    much, seen = bytes(8 * CHUNK), []
    address = server.put("/a", Page(much, length="none"))
    with pytest.raises(DataError, match="bytes; 5,000 were expected"):
        download(address, tmp_path / "a", size=5000, progress=lambda *state: seen.append(state[1]))
    assert 5000 < max(seen) <= 5000 + CHUNK


@pytest.mark.parametrize("status", [404, 403, 401, 410])
def test_what_is_not_there_is_not_asked_for_again(
    server: Server, tmp_path: Path, patience: Patience, status: int
) -> None:
    address = server.put("/a", Page(CONTENT, answers=[status]))
    with pytest.raises(DataError, match=rf"The server answered {status} \(.+\) to {address}"):
        download(address, tmp_path / "a", patience=patience)
    assert len(server.asked) == 1


def test_a_server_in_trouble_is_asked_again_when_it_says(
    server: Server, tmp_path: Path, patience: Patience, rests: list[float]
) -> None:
    page = Page(CONTENT, answers=[500, 503], headers={"Retry-After": "7"})
    download(server.put("/a", page), tmp_path / "a", patience=patience)
    assert rests == [7, 7] and (tmp_path / "a").read_bytes() == CONTENT
    page.answers, page.headers = [503], {"Retry-After": "86400"}
    download(server.put("/a", page), tmp_path / "c", patience=patience)
    assert rests == [7, 7, 60]  # nobody waits for a day
    page.answers = [500] * 9
    with pytest.raises(DataError, match=r"failed 3 times in a row: the server answered 500\.$"):
        download(server.put("/a", page), tmp_path / "b", patience=patience)


def test_nobody_answers(server: Server, tmp_path: Path, patience: Patience) -> None:
    address = server.put("/a", Page(CONTENT))
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="failed 3 times in a row: .*refused"):
        download(address, tmp_path / "a", patience=patience)


def test_redirects_are_followed_with_the_range(
    server: Server, tmp_path: Path, patience: Patience
) -> None:
    moved = server.put("/moved", Page(CONTENT, etag='"1"', drops=[1000]))
    address = server.put("/a", Page(b"", redirect=moved))
    download(address, tmp_path / "a", patience=patience)
    assert (tmp_path / "a").read_bytes() == CONTENT and server.asked[-1] == "bytes=1000-"


@pytest.mark.parametrize("elsewhere", ["ftp://127.0.0.1/a", "file:///etc/passwd"])
def test_redirects_out_of_the_web_are_not_followed(
    server: Server, tmp_path: Path, elsewhere: str
) -> None:
    with pytest.raises(DataError, match="not followed|not allowed"):
        download(server.put("/a", Page(b"", redirect=elsewhere)), tmp_path / "a")


def test_redirects_from_an_encrypted_address_to_an_open_one_are_not_followed() -> None:
    request = Request("https://a.example/a")
    with pytest.raises(DataError, match="redirects to http://b.example/a, which is not followed"):
        _Redirects().redirect_request(
            request, BytesIO(), 302, "Found", HTTPMessage(), "http://b.example/a"
        )


def test_a_web_page_in_place_of_the_file_is_refused_and_what_is_there_kept(
    server: Server, tmp_path: Path
) -> None:
    page = Page(CONTENT, etag='"1"', drops=[4000])
    address = server.put("/a", page)
    with pytest.raises(DataError):
        download(address, tmp_path / "a", patience=Patience(attempts=1))
    server.put("/a", Page(b"<html>Sign in</html>", kind="text/html; charset=utf-8"))
    with pytest.raises(DataError, match="answers with a web page"):
        download(address, tmp_path / "a")
    assert (tmp_path / "a.part").stat().st_size == 4000
    server.put("/a", Page(CONTENT, etag='"1"'))
    download(address, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    address = server.put("/a", Page(OTHER, etag='"1"'))
    with pytest.raises(DataError, match=r"^a has the md5 [0-9a-f]{32}; [0-9a-f]{32} was expected"):
        download(address, tmp_path / "a", size=SIZE, digest=MD5)
    assert leftovers(tmp_path) == []


def test_files_are_checked_by_length_and_digest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    check(path, SIZE, f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
    with pytest.raises(DataError, match="the sha256"):
        check(path, SIZE, "sha256:00")
    with pytest.raises(DataError, match="10,240 bytes; 3 were"):
        check(path, 3)
