"""A server on this machine that misbehaves as told, for tests of downloads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Page:
    """What the server has at a path, and how it behaves.

    Attributes:
        content: The bytes of the file.
        etag: Its entity tag; none if empty.
        modified: When it was changed; not said if empty.
        ranges: Whether parts can be asked for.
        conditions: Whether If-Range is looked at.
        length: How the length is told: "right", "none", "chunked", or another number.
        drops: For each answer in turn, after how many bytes the connection ends; None for never.
        answers: For each request in turn, a status to answer in place of the file.
        kind: The content type.
        redirect: Where the file is instead.
        headers: More headers.
    """

    content: bytes
    etag: str = ""
    modified: str = ""
    ranges: bool = True
    conditions: bool = True
    length: str | int = "right"
    drops: list[int | None] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    kind: str = "application/octet-stream"
    redirect: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """Pages, and the ranges that were asked for, with their conditions."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.asked: list[str | None] = []
        self.conditions: list[str | None] = []

    def put(self, path: str, page: Page) -> str:
        """Offer a page and return its address."""
        self.pages[path] = page
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    """Answers as the page says."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *values: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.asked.append(self.headers.get("Range"))
        self.server.conditions.append(self.headers.get("If-Range"))
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None or page.answers:
            self._short(404 if page is None else page.answers.pop(0), page)
        elif page.redirect:
            self.send_response(302)
            self.send_header("Location", page.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            with suppress(ConnectionError):
                self._file(page)

    def _short(self, status: int, page: Page | None) -> None:
        self.send_response(status)
        for name, value in (page.headers if page else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, page: Page) -> None:
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        same = not page.conditions or condition in (None, page.etag, page.modified)
        first, whole = 0, len(page.content)
        if wanted and page.ranges and same:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first >= whole:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{whole}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", page.kind)
        for name, value in {"ETag": page.etag, "Last-Modified": page.modified}.items():
            if value:
                self.send_header(name, value)
        self._body(page, page.content[first:])

    def _body(self, page: Page, body: bytes) -> None:
        drop = page.drops.pop(0) if page.drops else None
        sent = body if drop is None else body[:drop]
        if page.length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent) if sent else b"")
            self.wfile.write(b"0\r\n\r\n" if drop is None else b"")
            return
        if page.length != "none":
            said = len(body) if page.length == "right" else page.length
            self.send_header("Content-Length", str(said))
        self.end_headers()
        self.wfile.write(sent)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of one's own, which no proxy of this machine stands before."""
    monkeypatch.setenv("no_proxy", "*")
    with Server() as started:
        thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield started
        started.shutdown()
        thread.join()
