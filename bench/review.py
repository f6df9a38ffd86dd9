"""Whether a review loses an answer, and how long one waits for it to be on the disk.

    python bench/review.py load [--clients 8] [--verdicts 500]
    python bench/review.py kill [--rounds 20] [--verdicts 1000]
    python bench/review.py large [--suspects 1000000]

`load`: clients send verdicts over HTTP while somebody reads the store again and again. `kill`: a
process that adds verdicts is killed at random; what it had acknowledged is looked for. `large`: how
soon the first of many suspects is told by `tacit review`, and how much memory that needs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from bars import judge
from PIL import Image

from tacit.data.source import Source
from tacit.labels import SparseLabels
from tacit.repair.opening import STORE, open_source
from tacit.repair.serving import bind, serve
from tacit.repair.session import Review
from tacit.repair.store import Store
from tacit.repair.suspects_file import SuspectsFile, write_suspects

CLASSES = tuple(f"class {number:03d}" for number in range(50))
FILE = "suspects-of-a-bench.parquet"
ADD = """
import sys
from tacit.repair.store import Store
from tacit.repair.verdicts import Verdict
store, first, count = Store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with store.writing():
    for number in range(first, first + count):
        at = "2026-01-01T00:00:00+00:00"
        store.add(Verdict(str(number), f"image {number}", "class 001", "present", "ann", at))
        print(number, flush=True)
"""

READ = """
import select, sys, time
from tacit.repair.store import Store
count = 0
while not count or not select.select([sys.stdin], [], [], 0.05)[0]:
    assert [verdict.id for verdict in Store(sys.argv[1]).verdicts()] is not None
    count += 1
print(count)
"""


@dataclass
class Load:
    """What many clients met."""

    sent: int = 0
    stored: int = 0
    read: int = 0
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))] * 1000


@dataclass
class Kills:
    """What was there after processes had been killed."""

    acknowledged: int = 0
    lost: set[str] = field(default_factory=set)
    doubled: int = 0


def draw(size: int, row: int) -> Image.Image:
    return Image.new("RGB", (size, size), (row % 256, 80, 120))


def make_source(suspects: int) -> Source:
    """Return images for so many suspects, five on each, with one known positive each."""
    images = -(-suspects // 5)
    names = [f"folder-{row % 100:02d}/image-{row:08d}.jpg" for row in range(images)]
    rows = np.arange(images)
    labels = SparseLabels.from_cells(
        rows, rows % len(CLASSES), np.ones(images, np.int8), (images, len(CLASSES))
    )
    return Source("large", CLASSES, names, labels, partial(draw, 64))


def make_review(folder: Path, suspects: int) -> Review:
    """Write so many suspects, and open their review."""
    source = make_source(suspects)
    names, images = source.images, len(source)
    path = folder / FILE

    def blocks() -> Any:
        for first in range(0, suspects, 65_536):
            number = np.arange(first, min(first + 65_536, suspects))
            row = number % images
            yield {
                "image": [names[each] for each in row.tolist()],
                "class": (row + 1 + number // images) % len(CLASSES),
                "rank": number + 1,
                "posterior": (1 - number / suspects).astype(np.float32),
                "score": np.full(len(number), 0.5, np.float32),
                "box": [[0.1, 0.2, 0.6, 0.7]] * len(number),
            }

    about = {"data": source.fingerprint(), "classes": list(CLASSES), "floor": 0.0}
    write_suspects(path, blocks(), about)
    return open_source(SuspectsFile(path), source)


@contextmanager
def served(review: Review) -> Any:
    """Serve a review on a thread, and give its port and the headers of its page."""
    addresses, servers, is_ready = [], [], threading.Event()

    def ready(address: str) -> None:
        addresses.append(address)
        is_ready.set()

    with review, bind("127.0.0.1", 0) as listening:
        work = partial(serve, review, "ann", listening, ready, servers.append)
        thread = threading.Thread(target=work)
        thread.start()
        assert is_ready.wait(30)
        there = urlsplit(addresses[0])
        with closing(http.client.HTTPConnection("127.0.0.1", there.port)) as connection:
            connection.request("GET", f"/?{there.query}")
            cookie = connection.getresponse().headers["Set-Cookie"].partition(";")[0]
        headers = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{there.port}"}
        headers |= {"Content-Type": "application/json", "X-Tacit": "1"}
        try:
            yield there.port, headers
        finally:
            servers[0].should_exit = True
            thread.join()


@contextmanager
def served_alone(folder: Path, suspects: int) -> Any:
    """Serve a review in a process of its own, as people do."""
    make_review(folder, suspects).queue.wait()
    command = [sys.executable, __file__, "serve", "--suspects", str(suspects), "--at", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def serve_until_told(folder: Path, suspects: int) -> None:
    """Serve what `make_review` wrote until nobody holds the other end of stdin."""
    review = open_source(SuspectsFile(folder / FILE), make_source(suspects))
    with served(review) as door:
        print(json.dumps(door), flush=True)
        sys.stdin.read()


def press(folder: Path, clients: int, verdicts: int) -> Load:
    """Let clients send verdicts, one at a time each, while another process reads the store."""
    found, lock = Load(), threading.Lock()

    def send(port: int, headers: dict[str, str], client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(verdicts):
            row = client * verdicts + number
            sent = {"id": f"{client}-{number}", "cell": f"{row}-{row % 50}", "answer": "present"}
            body = json.dumps({"user": f"person {client}", "verdicts": [sent]})
            started = time.perf_counter()
            connection.request("POST", "/api/verdicts", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            taken = time.perf_counter() - started
            with lock:
                found.sent += 1
                found.statuses[str(answer.status)] += 1
                found.seconds.append(taken)
                if answer.status != 200:
                    found.errors.append(content.decode())
        connection.close()

    store = folder / STORE
    with served_alone(folder, 5 * max(clients * verdicts, 100)) as (port, headers):
        command = [sys.executable, "-c", READ, str(store)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as reader:
            senders = [
                threading.Thread(target=send, args=(port, headers, client))
                for client in range(clients)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            said, _ = reader.communicate("")
            found.read = int(said or 0)
    found.stored = len({verdict.id for verdict in Store(store).verdicts()})
    return found


def kill_at_random(folder: Path, rounds: int, verdicts: int, seed: int = 0) -> Kills:
    """Kill a process that adds verdicts, again and again, on the same store."""
    found, chosen = Kills(), random.Random(seed)
    store = Store.open(folder / "verdicts.sqlite", "f00d", CLASSES)
    said: set[str] = set()
    for number in range(rounds):
        least = chosen.randrange(verdicts)  # killed soon after so many
        command = [sys.executable, "-c", ADD, str(store.path), str(number * verdicts)]
        with subprocess.Popen(
            [*command, str(verdicts)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout):
                said.add(line.strip())
                if count == least:
                    time.sleep(chosen.random() * 0.01)
                    process.kill()
        there = [verdict.id for verdict in Store(store.path).verdicts()]
        found.lost |= said - set(there)
        found.doubled += len(there) - len(set(there))
    found.acknowledged = len(said)
    return found


def measure_large(folder: Path, suspects: int) -> dict[str, float]:
    """Start `tacit review` on many suspects, and return how soon the first is told, and its MB."""
    review = make_review(folder, suspects)
    review.queue.wait()
    source, labels = review.source, folder / "labels.csv"
    with labels.open("w", encoding="utf-8") as file:
        file.write("image,labels\n")
        for row, image in enumerate(source.images):
            file.write(f"{image},{CLASSES[row % len(CLASSES)]}\n")
    (folder / source.images[0]).parent.mkdir()
    draw(64, 0).save(folder / source.images[0])
    command = [sys.executable, "-m", "tacit", "review", str(folder / FILE), "--data", str(labels)]
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, "--no-browser", "--port", "0"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        address = next(line for line in process.stderr if "http:" in line).split()[-1]
        opened = time.perf_counter()
        there = urlsplit(address)
        with closing(http.client.HTTPConnection("127.0.0.1", there.port or 0)) as connection:
            connection.request("GET", f"/?{there.query}")
            answer = connection.getresponse()
            answer.read()
            headers = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}

            def ask(path: str) -> float:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                assert answer.status == 200, answer.read()
                answer.read()
                return time.perf_counter()

            for path in ("/", "/api/state", "/api/questions?count=30", "/image/0/640"):
                first = ask(path)
            whole = ask("/api/questions?count=30&class=7&most=0.01")
            time.sleep(3)  # the audit is drawn
            ask("/api/report")
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        process.terminate()
    return {
        "first seconds": first - opened,
        "first seconds, with the start": first - started,
        "whole seconds, with the start": whole - started,
        "memory": int(status.partition("VmHWM:")[2].split()[0]) / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["load", "kill", "large", "serve"])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--verdicts", type=int)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--suspects", type=int, default=1_000_000)
    parser.add_argument("--at", type=Path, help="where `serve` finds its files")
    asked = parser.parse_args()
    if asked.what == "serve":
        serve_until_told(asked.at, asked.suspects)
        return
    with tempfile.TemporaryDirectory() as name:
        sys.exit(not measure(asked, Path(name)))


def measure(asked: argparse.Namespace, folder: Path) -> bool:
    """Measure one thing, print it, and return whether it is as it should be."""
    if asked.what == "load":
        load = press(folder, asked.clients, asked.verdicts or 500)
        print(
            f"{load.sent:,} verdicts sent by {asked.clients} clients, {load.stored:,} stored; half "
            f"within {load.quantile(0.5):.1f} ms, 95 % within {load.quantile(0.95):.1f} ms; the "
            f"store was read {load.read:,} times meanwhile; {len(load.errors)} errors"
        )
        whole = load.sent == load.stored and not load.errors
        return judge({"review, 95 % of verdicts in ms": load.quantile(0.95)}) and whole
    if asked.what == "kill":
        kills = kill_at_random(folder, asked.rounds, asked.verdicts or 1000)
        print(
            f"{asked.rounds} times killed, {kills.acknowledged:,} verdicts acknowledged, "
            f"{len(kills.lost)} lost, {kills.doubled} doubled"
        )
        return not kills.lost and not kills.doubled
    large = measure_large(folder, asked.suspects)
    print(json.dumps({name: round(value, 2) for name, value in large.items()}))
    found = {"review, first question in s": large["first seconds"], "review, MB": large["memory"]}
    return judge(found)


if __name__ == "__main__":
    main()
