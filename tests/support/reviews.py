"""Small reviews: drawn images, a file of suspects, and a page that is served."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from tacit.data.source import Source
from tacit.repair.opening import open_source
from tacit.repair.serving import bind, serve
from tacit.repair.session import Review
from tacit.repair.suspects_file import SuspectsFile, write_suspects

CLASSES = ("boat", "cat", "dog", "tree")


def make_source(images: int = 40, classes: tuple[str, ...] = CLASSES, size: int = 48) -> Source:
    """Return plain images with one known positive each; every second class is truly there."""
    labels = np.zeros((images, len(classes)), np.int8)
    labels[np.arange(images), np.arange(images) % len(classes)] = 1
    names = [f"photos/image-{row:04d}.jpg" for row in range(images)]

    def draw(row: int) -> Image.Image:
        colour = (row * 37 % 256, row * 91 % 256, row * 53 % 256)
        return Image.new("RGB", (size, size * 3 // 4), colour)

    return Source("plain", classes, names, labels, draw)


def write_queue(path: Path, source: Source, most: int | None = None) -> SuspectsFile:
    """Write all unknown cells of a source as suspects, the first image's first."""
    rows, columns = np.nonzero(source.labels.dense() == 0)
    rows, columns = rows[:most], columns[:most]
    count = len(rows)
    block = {
        "image": [source.images[row] for row in rows.tolist()],
        "class": columns,
        "rank": np.arange(1, count + 1),
        "posterior": np.linspace(0.9, 0.1, count).astype(np.float32),
        "score": np.linspace(0.8, 0.05, count).astype(np.float32),
        "box": [[0.25, 0.25, 0.75, 0.75] if number % 2 else None for number in range(count)],
    }
    about = {"data": source.fingerprint(), "classes": list(source.classes), "floor": 0.0}
    write_suspects(path, [block], about)
    return SuspectsFile(path)


def make_review(folder: Path, source: Source | None = None, **options: Any) -> Review:
    """Return a review in a folder, in which it goes on if there was one before."""
    source = source or make_source()
    path = folder / "suspects-of-a-test.parquet"
    file = SuspectsFile(path) if path.exists() else write_queue(path, source)
    return open_source(file, source, **options)


@dataclass
class Served:
    """A page that is served on a thread of this process."""

    review: Review
    address: str = ""
    cookie: str = ""
    port: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **changes: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request as the page does, with some headers changed or left out (None)."""
        headers: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        sent = None
        if method == "POST":
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers |= {
                "Content-Type": "application/json",
                "X-Tacit": "1",
                "Origin": f"http://127.0.0.1:{self.port}",
                "Sec-Fetch-Site": "same-origin",
            }
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = {name: value for name, value in headers.items() if value is not None}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if sent is not None and "Content-Length" not in given:
            given["Content-Length"] = str(len(sent))
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders(sent)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        content = answer.read()
        connection.close()
        return answer.status, found, content

    def get(self, path: str) -> Any:
        """Return what is told as JSON."""
        status, _, content = self.ask(path)
        assert status == 200, content
        return json.loads(content)

    def post(self, verdicts: list[dict[str, Any]], user: str = "ann") -> tuple[int, Any]:
        """Send answers, and return the status and what is told."""
        status, _, content = self.ask("/api/verdicts", "POST", {"user": user, "verdicts": verdicts})
        return status, json.loads(content)


@contextmanager
def serving(review: Review, port: int = 0, user: str = "ann") -> Iterator[Served]:
    """Serve a review until the end of the context."""
    served, is_ready = Served(review), threading.Event()
    stop: list[Any] = []

    def ready(address: str) -> None:
        served.address, served.port = address, urlsplit(address).port or 0
        is_ready.set()

    with review, bind("127.0.0.1", port) as listening:
        thread = threading.Thread(
            target=serve, args=(review, user, listening, ready), kwargs={"started": stop.append}
        )
        thread.start()
        assert is_ready.wait(20)
        status, headers, _ = served.ask("/?" + urlsplit(served.address).query, Cookie=None)
        assert status == 303
        served.cookie = headers["set-cookie"].partition(";")[0]
        try:
            yield served
        finally:
            stop[0].should_exit = True
            thread.join(20)
            assert not thread.is_alive()
