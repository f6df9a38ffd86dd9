"""Who may speak to the page: a test for each line of the list of threats in SECURITY.md."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from reviews import CLASSES, Served, make_review, make_source, serving
from tacit.data.source import Source
from tacit.errors import DataError, TacitError, UsageError
from tacit.repair.access import MOST_BYTES, Key
from tacit.repair.serving import bind
from tacit.repair.shown_images import check_inside

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(make_review(tmp_path_factory.mktemp("review"))) as page:
        yield page


def test_nobody_enters_without_the_key(served: Served) -> None:
    for path in ("/", "/page/review.js", "/api/state", "/image/0/160", "/?token=guessed"):
        for cookie in (None, "tacit-1=x", f"tacit-{served.port}=guessed", "no cookie", "a=\x01"):
            status, _, content = served.ask(path, Cookie=cookie)
            assert status == 403 and b"holds the key" in content


def test_the_key_leaves_the_address_for_a_strict_cookie_of_this_port(served: Served) -> None:
    token = urlsplit(served.address).query
    status, headers, _ = served.ask(f"/?{token}", Cookie=None)
    assert status == 303 and headers["location"] == "/"
    cookie = headers["set-cookie"]
    assert cookie.startswith(f"tacit-{served.port}=") and token.partition("=")[2] not in cookie
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert served.ask("/")[0] == 200


def test_keys_are_drawn_anew_and_never_shown() -> None:
    one, other = Key(1), Key(1)
    assert one.token != other.token and one.secret != one.token and len(one.token) > 40
    assert one.token not in repr(one) and one.secret not in repr(one)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}"),
        *("evil127.0.0.1:{port}", "127x0x0x1:{port}", "localhost:{port}.", "[::1]", "", None),
        *("127.0.0.1:{port}, evil.example", "127.0.0.1:{port}@evil.example", "0.0.0.0:{port}"),
    ],
)
def test_only_this_host_is_answered(served: Served, host: str | None) -> None:
    """A name that was made to point to this machine gets nothing."""
    sent = host and host.format(port=served.port)
    status, _, _ = served.ask("/", Host=sent)
    assert status == 400


def test_this_host_has_three_names(served: Served) -> None:
    for name in ("127.0.0.1", "localhost", "[::1]"):
        assert served.ask("/", Host=f"{name}:{served.port}")[0] == 200


ANSWER = {"user": "ann", "verdicts": [{"id": "forged", "cell": "0-1", "answer": "present"}]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "http://127.0.0.1:{port}.evil.example"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),  # another origin than the host asked
        ({"Origin": None}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),  # another port of this machine
        ({"X_Tacit": None}, 403),
        ({"X_Tacit": "0"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Cookie": None}, 403),
    ],
)
def test_other_pages_cannot_answer(
    served: Served, changes: dict[str, str | None], expected: int
) -> None:
    sent = {name: value and value.format(port=served.port) for name, value in changes.items()}
    assert served.ask("/api/verdicts", "POST", ANSWER, **sent)[0] == expected
    assert "forged" not in {verdict.id for verdict in served.review.store.verdicts()}


def test_other_pages_can_neither_read_nor_show_anything(served: Served) -> None:
    for path in ("/api/state", "/image/0/160", "/page/review.js"):
        assert served.ask(path, Sec_Fetch_Site="cross-site")[0] == 403
    # A link from elsewhere leads to the door; without the cookie, which is strict, no further.
    visit = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert served.ask("/", **visit, Cookie=None)[0] == 403
    assert served.ask("/api/state", **visit)[0] == 403


def test_every_answer_forbids_what_the_page_does_not_need(served: Served) -> None:
    for path, cookie in (("/", served.cookie), ("/nothing", served.cookie), ("/", None)):
        _, headers, _ = served.ask(path, Cookie=cookie)
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers and "server" not in headers


def test_the_page_has_no_script_and_no_style_in_it(served: Served) -> None:
    page = served.ask("/")[2].decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script[^>]*>[^<]|https?:", page)
    folder = ROOT / "src/tacit/repair/page"
    for script in folder.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        assert not re.search(r"https?://", text), script.name


def test_names_are_told_as_text(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>"
    source = make_source(classes=(bad, "b", "c"))
    with serving(make_review(tmp_path, source, audit_share=0.0)) as served:
        status, headers, content = served.ask("/api/questions?count=3")
        assert status == 200 and headers["content-type"] == "application/json"
        assert bad in {each["label"] for each in json.loads(content)["questions"]}


@pytest.mark.parametrize(
    "path",
    [
        *("/image/../../etc/passwd/160", "/image/%2e%2e%2f%2e%2e%2fetc%2fpasswd/160"),
        *("/image/-1/160", "/image/40/160", "/image/99999999999999999999/160", "/image/0/161"),
        *("/image/photos%2Fimage-0000.jpg/160", "/crop/0/4/160", "/crop/0/9999999/160"),
        *("/page/../session.py", "/page/..%2fsession.py", "/page/index.html", "/page/nothing.js"),
        *("/page/%2Fetc%2Fpasswd", "/favicon.svg/../page", "/etc/passwd", "//etc/passwd"),
    ],
)
def test_nothing_but_the_images_and_the_page_is_served(served: Served, path: str) -> None:
    status, headers, content = served.ask(path)
    assert status in (400, 404) and len(content) < 300
    assert not headers.get("content-type", "").startswith("image/")


def make_files(folder: Path) -> Source:
    """Return a source of four files, two of which are links to places that are none of its."""
    root, beside = folder / "photos", folder / "photos-private"
    for each in (root, beside):
        each.mkdir()
    for path in (root / "a.jpg", root / "b.jpg", beside / "secret.jpg", folder / "other.jpg"):
        Image.new("RGB", (32, 24), "red").save(path, exif=b"Exif\0\0secret place")
    (root / "c.jpg").symlink_to(beside / "secret.jpg")  # whose folder begins with the same letters
    (root / "d.jpg").symlink_to("../other.jpg")
    (root / "e.jpg").symlink_to(root / "a.jpg")
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "gone.jpg"]
    from functools import partial

    from tacit.data import listing

    labels = np.zeros((6, 2), np.int8)
    labels[:, 0] = [1, 0, 1, 0, 1, 0]
    return Source(
        "files", ("cat", "dog"), names, labels,
        partial(listing._open, root, names), files=partial(listing._file, root, names),
    )  # fmt: skip


def test_links_do_not_lead_out_of_the_folder_of_images(tmp_path: Path) -> None:
    source = make_files(tmp_path)
    with serving(make_review(tmp_path, source)) as served:
        for row in (0, 1, 4):
            status, headers, content = served.ask(f"/image/{row}/160")
            assert status == 200 and headers["content-type"] == "image/jpeg"
            assert b"secret" not in content and content[:2] == b"\xff\xd8"
        for row in (2, 3):
            status, _, content = served.ask(f"/image/{row}/160")
            assert status == 404 and b"a link to a place outside" in content
        status, _, content = served.ask("/image/5/160")
        assert status == 404 and b"no image at" in content


def test_a_root_whose_name_begins_another_one_holds_nothing_of_it(tmp_path: Path) -> None:
    make_files(tmp_path)
    check_inside(tmp_path / "photos" / "a.jpg", "a.jpg")
    with pytest.raises(DataError, match="outside of"):
        check_inside(tmp_path / "photos" / "c.jpg", "c.jpg")
    (tmp_path / "linked").symlink_to(tmp_path / "photos")
    check_inside(tmp_path / "linked" / "a.jpg", "a.jpg")  # the folder itself may be a link


def test_a_request_has_a_size(served: Served) -> None:
    much = json.dumps({"user": "ann", "verdicts": ["x" * MOST_BYTES]}).encode()
    status, _, content = served.ask("/api/verdicts", "POST", much)
    assert status == 413 and b"1,048,576 bytes" in content
    assert served.ask("/api/verdicts", "POST", ANSWER, Content_Length="1e9")[0] in (400, 411)
    assert served.ask("/?" + "x" * 40_000)[0] == 414


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b"{", b'{"verdicts": 3}', b'{"verdicts": [3]}', b"[" * 100_000),
        *(b'{"verdicts": [{"id": "", "cell": "0-1", "answer": "present"}]}',),
        *(b'{"verdicts": [{"id": "a", "cell": "0-1", "answer": "perhaps"}]}',),
        *(b'{"verdicts": [{"id": "a", "cell": "0-77", "answer": "present"}]}',),
        *(b'{"verdicts": [{"id": "a", "cell": "../0", "answer": "present"}]}',),
        *(b'{"verdicts": [{"id": "a", "cell": 7, "answer": "present"}]}',),
        *(b'{"verdicts": [{"id": "a", "cell": "0-1", "answer": "present", "version": "x"}]}',),
        b'{"user": "' + b"n" * 200 + b'", "verdicts": []}',
        b'{"user": "a\\u0000b", "verdicts": []}',
    ],
)
def test_what_is_no_answer_is_refused_with_a_sentence(served: Served, body: bytes) -> None:
    before = len(served.review.store)
    status, _, content = served.ask("/api/verdicts", "POST", body)
    assert status == 400 and json.loads(content)["error"].endswith(".")
    assert len(served.review.store) == before


@pytest.mark.parametrize(
    "query", ["count=x", "class=99", "least=high", "without=1", "count=-1", "user=" + "n" * 100]
)
def test_what_is_no_question_is_refused_with_a_sentence(served: Served, query: str) -> None:
    status, _, content = served.ask(f"/api/questions?{query}")
    assert status == 400 and json.loads(content)["error"].endswith(".")


def test_methods_that_nobody_needs_are_refused(served: Served) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        assert served.ask("/api/verdicts", method)[0] in (403, 405)
    assert served.ask("/api/verdicts")[0] == 405


def test_a_taken_port_is_said() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TacitError, match=f"Port {port} is taken.*--port {port + 1}"):
            bind("127.0.0.1", port)


def test_no_part_of_an_answer_waits_for_another() -> None:
    """Asyncio sends parts at once only where the protocol of the socket is named."""
    with bind("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_only_this_machine_is_listened_on() -> None:
    for host in ("0.0.0.0", "::", "example.com", "192.168.1.7"):
        with pytest.raises(UsageError, match="for this machine alone.*ssh -L"):
            bind(host, 8765)
    with pytest.raises(UsageError, match="no port 70000"):
        bind("127.0.0.1", 70_000)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(13, "not allowed to listen on port 80"), (99, "no address ::1"), (97, "no address ::1")],
)
def test_what_the_system_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(TacitError, match=sentence):
        bind("::1", 80)


def test_a_page_over_ipv6_has_its_address_in_brackets() -> None:
    assert Key(8765).address("::1").startswith("http://[::1]:8765/?token=")


def test_every_threat_of_the_list_names_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| [^|]+ \| [^|]+ \| `(test_\w+)` \|$", text, flags=re.M)
    assert len(named) > 12 and len(CLASSES) == 4
    missing = [name for name in named if name not in globals()]
    assert not missing
