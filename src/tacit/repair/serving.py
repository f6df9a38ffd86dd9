"""Serving the page of a review on this machine, until Ctrl-C."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from tacit.errors import TacitError, UsageError
from tacit.repair.access import Key
from tacit.repair.server import create_app
from tacit.repair.session import Review

HOSTS = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}
PATIENCE = 3  # seconds for what is under way when the page is closed


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on this machine alone, or say why there is none.

    Args:
        host: 127.0.0.1, or ::1.
        port: The port; 0 for any that is free.
    """
    if host not in HOSTS:
        raise UsageError(
            f"The page is for this machine alone ({', '.join(HOSTS)}), not for {host}. From "
            f"another one, come by `ssh -L {port}:127.0.0.1:{port} THIS_MACHINE`."
        )
    if not 0 <= port <= 65535:
        raise UsageError(f"There is no port {port}; they go from 1 to 65535.")
    try:
        # Where the protocol is not named, asyncio lets the second part of every answer wait for
        # the reader's confirmation of the first: 40 ms of nothing.
        listening = socket.socket(HOSTS[host], socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise TacitError(_explain(error, host, port)) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise TacitError(_explain(error, host, port)) from error
    return listening


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is taken, perhaps by another review; close that, or choose another one "
            f"with --port {port + 1 if port < 65535 else 8000}."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"You are not allowed to listen on port {port}; ports from 1024 on are free to all, "
            f"such as --port 8766."
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"This machine has no address {host}; leave --host out."
    return f"The page cannot be served at {host}, port {port}: {error.strerror or error}."


def serve(
    review: Review,
    user: str,
    listening: socket.socket,
    ready: Callable[[str], None],
    started: Callable[[uvicorn.Server], None] = lambda server: None,
) -> None:
    """Serve the page until somebody ends it with Ctrl-C or a signal.

    Args:
        review: A review that is open for writing.
        user: Who answers, unless the page says another name.
        listening: From `bind`.
        ready: Called with the address to open.
        started: Called with the server before it runs, for who wants to end it otherwise.
    """
    host, port = listening.getsockname()[:2]
    key = Key(port)
    config = uvicorn.Config(
        create_app(review, key, user),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,  # it would hold the token
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    server = _Server(config)
    started(server)
    server.at_start = lambda: ready(key.address(host))
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    at_start: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.at_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the serving and nothing else: there is a lock to be given back."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)

        before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
