"""Checking a data set beside merely decoding its images.

    python bench/check_data.py LABELS [--jobs 2] [--rounds 3] [--json]

The plain loop opens every image with Pillow and decodes it, in as many processes and in chunks of
the same size. `tacit check` also hashes, compares, and reads the labels; its seconds are those of
the whole command. Both are measured in turn, since machines are busy with other things at times.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tacit.check.decode_all import CHUNK
from tacit.data.formats import read_listing


def decode(paths: list[str]) -> int:
    """Decode some images, and return their number of pixels."""
    from PIL import Image

    pixels = 0
    for path in paths:
        with Image.open(path) as image:
            image.load()
            pixels += image.width * image.height
    return pixels


def plain(paths: list[str], jobs: int) -> None:
    """Decode all images and do nothing with them."""
    chunks = [paths[at : at + CHUNK] for at in range(0, len(paths), CHUNK)]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        sum(pool.map(decode, chunks))


def check(labels: Path, jobs: int) -> None:
    """Call the command as a user would."""
    command = [sys.executable, "-m", "tacit", "check", str(labels), f"--jobs={jobs}", "--json"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def timed(run: object, *arguments: object) -> tuple[float, float]:
    """Return seconds by the clock, and seconds of processors in processes that have ended."""
    assert callable(run)
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run(*arguments)
    seconds, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    """Measure both in turn and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    listing = read_listing(given.labels)
    paths = [str(listing.root / image) for image in listing.images]
    rounds = [
        (*timed(plain, paths, given.jobs), *timed(check, given.labels, given.jobs))
        for _ in range(given.rounds)
    ]
    names = ("plain seconds", "plain cpu", "check seconds", "check cpu")
    columns = list(zip(*rounds, strict=True))
    figures = {n: round(statistics.median(c), 2) for n, c in zip(names, columns, strict=True)}
    ratios = sorted(check / bare for bare, _, check, _ in rounds)
    shares = sorted(check / bare for _, bare, _, check in rounds)
    result = {"images": len(paths), "jobs": given.jobs, "rounds": given.rounds, **figures}
    result["ratio"], result["cpu ratio"] = (
        round(statistics.median(found), 2) for found in (ratios, shares)
    )
    if given.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
