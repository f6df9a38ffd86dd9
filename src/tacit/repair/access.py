"""Who may speak to the page: nobody but the browser of the person who started it.

Any page of the web can make a browser send requests to this machine, and any name can be made to
point to it. So host and origin are compared to the letter, a cookie stands for the key that was in
the address once, and what changes something needs a header that other pages cannot send.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-tacit"  # sent by our page; a form cannot, and scripts of other origins may not
MOST_BYTES = 1 << 20  # of a request
MOST_QUERY = 1 << 15  # of what follows the question mark of an address
FREE = ("/favicon.ico", "/favicon.svg")  # asked for by browsers before there is a cookie

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def _make_key() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Key:
    """What opens the page.

    Attributes:
        port: Where the page is served.
        token: What is in the address that is opened first.
        secret: What the cookie holds from then on.
    """

    port: int
    token: str = field(default_factory=_make_key, repr=False)
    secret: str = field(default_factory=_make_key, repr=False)

    @property
    def cookie(self) -> str:
        """The cookie's name; browsers send cookies of one port to all others, too."""
        return f"tacit-{self.port}"

    @property
    def hosts(self) -> Sequence[str]:
        """What the page may be called."""
        return tuple(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]"))

    def address(self, host: str = "127.0.0.1") -> str:
        """Return the address to open first."""
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{self.port}/?token={self.token}"


class Guard:
    """Lets requests through to an application, or answers them with a sentence.

    Args:
        app: The application.
        key: What opens it.
    """

    def __init__(self, app: ASGIApp, key: Key) -> None:
        self.app, self.key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        if scope["type"] != "http":  # nothing here speaks over web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = self._stop(scope, Headers(scope=scope))
        if answer is not None:
            await answer(scope, receive, send_guarded)
        else:
            await self.app(scope, _limit(receive), send_guarded)

    def _stop(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that is not let through."""
        host = headers.get("host", "")
        if headers.getlist("host") != [host] or host not in self.key.hosts:
            return _say(400, "This page is called 127.0.0.1 and nothing else.")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            # Who follows a link from elsewhere comes to the door, and not further.
            is_visit = headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/"
            if not (is_visit and scope["method"] == "GET"):
                return _say(403, "Other pages may not use this one.")
        if "origin" in headers and headers["origin"] != f"http://{host}":
            return _say(403, "Other pages may not use this one.")
        if len(scope["query_string"]) > MOST_QUERY:
            return _say(414, "The address is too long.")
        if scope["path"] in FREE:
            return None
        if scope["method"] == "GET" and scope["path"] == "/" and self._has_token(scope):
            return self._exchange()
        if not self._has_cookie(headers):
            return _say(
                403, "Open the address that the command printed: it holds the key to this page."
            )
        if scope["method"] not in ("GET", "HEAD"):
            return self._stop_change(headers)
        return None

    def _stop_change(self, headers: Headers) -> Response | None:
        if headers.get(HEADER) != "1" or "origin" not in headers:
            return _say(403, "Answers are taken from this page alone.")
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _say(415, "Answers are sent as JSON.")
        length = headers.get("content-length", "")
        if not length.isascii() or not length.isdecimal():
            return _say(411, "Answers come with their length.")
        if int(length[:12]) > MOST_BYTES:
            return _say(413, f"At most {MOST_BYTES:,} bytes are taken at once; send less.")
        return None

    def _has_token(self, scope: Scope) -> bool:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        return _is_same(query.get("token", [""])[-1], self.key.token)

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        found = cookies.get(self.key.cookie)
        return found is not None and _is_same(found.value, self.key.secret)

    def _exchange(self) -> Response:
        """Give the cookie for the token, and an address without it."""
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self.key.cookie, self.key.secret, httponly=True, samesite="strict")
        return answer


def _limit(receive: Receive) -> Receive:
    """Stop reading a request that is longer than it said."""
    seen = 0

    async def receive_some() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return message if seen <= MOST_BYTES else {"type": "http.disconnect"}

    return receive_some


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _say(status: int, sentence: str) -> Response:
    return PlainTextResponse(f"{sentence}\n", status)
