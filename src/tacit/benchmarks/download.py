"""Fetching one file over HTTP: resumed where it broke off, never glued together from two files.

What has arrived lies in ``NAME.part`` beside the target; ``NAME.part.json`` says which file on the
server it is the beginning of. The target appears when it is whole and checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tacit.errors import DataError
from tacit.files import write_text

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how many bytes are done, and of how many, if that is known."""

CHUNK = 1 << 20
LONGEST_REST = 60.0
# Answers after which the same request may well succeed.
PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server.

    Attributes:
        attempts: Failures in a row, without anything new in between, before giving up.
        timeout: Seconds of silence that count as a broken connection.
        wait: Sleeps for some seconds.
    """

    attempts: int = 6
    timeout: float = 60.0
    wait: Callable[[float], None] = time.sleep

    def rest(self, failures: int, asked: float) -> None:
        """Sleep before the next attempt: longer each time, or as long as the server asks for."""
        self.wait(min(LONGEST_REST, max(2.0 ** (failures - 1), asked)))


class _Broken(Exception):
    """A failure that may pass."""

    def __init__(self, reason: str, asked: float = 0.0) -> None:
        super().__init__(reason)
        self.asked = asked


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted connection to an open one."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        if not newurl.startswith("https:" if req.full_url.startswith("https:") else "http"):
            raise DataError(f"{req.full_url} redirects to {newurl}, which is not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Part:
    """What has arrived of a file, and which file of the server it belongs to."""

    def __init__(self, target: Path, address: str) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        self.address = address

    def length(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def origin(self) -> dict[str, str]:
        """Return what tells the server's file from another one; nothing if that is not known."""
        try:
            origin = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        same = isinstance(origin, dict) and origin.get("address") == self.address
        return {str(key): str(value) for key, value in origin.items()} if same else {}

    def begin(self, origin: dict[str, str]) -> None:
        """Begin anew. The note comes first, so that no bytes lie there without it."""
        self.path.unlink(missing_ok=True)
        write_text(self.note, json.dumps({"address": self.address, **origin}))
        self.path.touch()

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def report_nothing(what: str, done: int, total: int | None) -> None:
    """Report nothing."""


def download(
    address: str,
    target: Path,
    *,
    size: int | None = None,
    digest: str | None = None,
    progress: Progress = report_nothing,
    patience: Patience | None = None,
) -> None:
    """Fetch a file, going on where an earlier attempt ended.

    Args:
        address: Where it is; http or https.
        target: The file to write; it must not exist.
        size: Its bytes, if known beforehand.
        digest: Its checksum, as in "md5:97ee…" or "sha256:…", if known.
        progress: Called with what is being done.
        patience: How long to bear with the server.
    """
    patience = patience or Patience()
    part = _Part(target, address)
    if not part.origin() or (size is not None and part.length() > size):
        part.discard()
    failures, furthest = 0, part.length()
    while True:
        try:
            _attempt(part, size, progress, patience.timeout)
            break
        except _Broken as broken:
            have = part.length()
            failures = 1 if have > furthest else failures + 1
            furthest = max(furthest, have)
            if failures >= patience.attempts:
                kept = f" {have:,} bytes are kept; the same command goes on from there."
                raise DataError(
                    f"{address} failed {failures} times in a row: {broken}.{kept if have else ''}"
                ) from broken
            patience.rest(failures, broken.asked)
    try:
        check(part.path, size, digest, progress)
    except DataError:
        part.discard()
        raise
    part.path.replace(target)
    part.discard()


def check(
    path: Path, size: int | None, digest: str | None = None, progress: Progress = report_nothing
) -> None:
    """Compare a file's length and checksum with what they should be."""
    found = path.stat().st_size
    name = path.name.removesuffix(".part")
    if size is not None and found != size:
        raise DataError(f"{name} has {found:,} bytes; {size:,} were expected.")
    if digest is None:
        return
    kind, _, expected = digest.partition(":")
    running = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        done = 0
        while chunk := file.read(CHUNK):
            running.update(chunk)
            done += len(chunk)
            progress(f"checking {name}", done, found)
    if running.hexdigest() != expected:
        raise DataError(f"{name} has the {kind} {running.hexdigest()}; {expected} was expected.")


def _attempt(part: _Part, size: int | None, progress: Progress, timeout: float) -> None:
    """Fetch what is missing, once."""
    have, origin = part.length(), part.origin()
    if have and have == size:
        return
    if not origin.keys() & {"etag", "modified", "length"}:
        part.discard()  # nothing would tell another file from this one
        have = 0
    request = Request(part.address, headers={"User-Agent": "tacit", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        strong = "" if origin.get("etag", "").startswith("W/") else origin.get("etag", "")
        if strong or "modified" in origin:
            request.add_header("If-Range", strong or origin["modified"])
    try:
        response: HTTPResponse = build_opener(_Redirects).open(request, timeout=timeout)
    except HTTPError as error:
        with error:
            _refuse(error, part, have)
        return
    except (OSError, HTTPException) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            raise DataError(f"{part.address} has a certificate that is not valid.") from error
        raise _Broken(str(error) or type(error).__name__) from error
    with response:
        _receive(response, part, size, progress)


def _refuse(error: HTTPError, part: _Part, have: int) -> None:
    """Raise what an unusable answer means; return if nothing is missing after all."""
    if error.code == 416:
        length = error.headers.get("Content-Range", "").rpartition("/")[2]
        if length == str(have) == part.origin().get("length", length):
            return
        part.discard()
        raise _Broken("the file on the server is another one than before")
    if error.code in PASSING:
        asked = error.headers.get("Retry-After", "")
        raise _Broken(f"the server answered {error.code}", float(asked) if asked.isdecimal() else 0)
    raise DataError(f"The server answered {error.code} ({error.reason}) to {part.address}.")


def _receive(response: HTTPResponse, part: _Part, size: int | None, progress: Progress) -> None:
    """Append what a server sends to what is there, if it continues the same file."""
    if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise DataError(f"{part.address} answers with a web page instead of the file.")
    have, total = 0, _number(response.headers.get("Content-Length"))
    if response.status == 206:
        start, total = _range(response.headers.get("Content-Range", ""))
        have = part.length()
        if start != have or _differ(part.origin(), _origin(response, total)):
            part.discard()
            raise _Broken("the file on the server is another one than before")
    if None not in (size, total) and total != size:
        raise DataError(
            f"{part.address} has {total:,} bytes; {size:,} were expected. It is another file."
        )
    if response.status != 206:
        part.begin(_origin(response, total))
    name = part.path.name.removesuffix(".part")
    end = size if total is None else total
    with part.path.open("ab") as file:
        while chunk := _read(response):
            file.write(chunk)
            have += len(chunk)
            progress(f"fetching {name}", have, end)
            if end is not None and have > end:
                break
        file.flush()
        os.fsync(file.fileno())
    if end is not None and have < end:
        raise _Broken(f"the connection ended after {have:,} of {end:,} bytes")


def _read(response: HTTPResponse) -> bytes:
    """Read some bytes. Only the connection's errors are such that trying again may help."""
    try:
        return response.read1(CHUNK)
    except (OSError, HTTPException, ValueError) as error:
        raise _Broken(str(error) or type(error).__name__) from error


def _origin(response: HTTPResponse, total: int | None) -> dict[str, str]:
    said = {
        "etag": response.headers.get("ETag"),
        "modified": response.headers.get("Last-Modified"),
        "length": None if total is None else str(total),
    }
    return {key: value for key, value in said.items() if value is not None}


def _differ(before: dict[str, str], now: dict[str, str]) -> bool:
    """Whether two descriptions cannot be of one file; none in common says nothing for it."""
    common = before.keys() & now.keys()
    return not common or any(before[key] != now[key] for key in common)


def _range(said: str) -> tuple[int | None, int | None]:
    """Read where a part begins and how long the whole is from "bytes 5-9/10"."""
    unit, _, rest = said.partition(" ")
    places, _, whole = rest.partition("/")
    return (_number(places.partition("-")[0]) if unit == "bytes" else None), _number(whole)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None
