"""`tacit prepare`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table, stderr, tell


def prepare(
    name: str,
    /,
    *,
    root: Path,
    out: Path | None = None,
    positives: int = 1,
    negatives: int = 0,
    seed: int = 1200,
    published: Path | None = None,
    use_published: Annotated[bool, Parameter(negative=())] = False,
    download: Annotated[bool, Parameter(negative=())] = False,
    keep_archives: Annotated[bool, Parameter(negative=())] = False,
    strict: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Prepare a benchmark from its official files.

    Reads and checks them, draws observed labels as the literature does, and writes a folder that
    `tacit train --data FOLDER` takes. Images stay where they are. If files are missing, the
    message says which, and where to get them; with --download, what has an official address is
    fetched, checked and unpacked below the root.

    Parameters
    ----------
    name
        Benchmark, see `tacit datasets`.
    root
        The folder of the official files.
    out
        The folder to write; data/NAME if left out.
    positives
        Known positives to keep per image, -1 for all.
    negatives
        Known negatives to keep per image, -1 for all.
    seed
        Seed of the draw; 1200 is the literature's.
    published
        Observed labels others published (a list of file names and class numbers, or an array):
        compared with our draw, row by row.
    use_published
        Take the published labels in place of our draw.
    download
        Fetch what is missing, as far as there is an official address for it. What was
        interrupted is continued.
    keep_archives
        Keep what was fetched after unpacking it.
    strict
        Exit with 1 if anything differs from the literature, or images are missing.
    json
        Print the result as JSON.
    """
    from tacit.errors import UsageError

    if use_published and published is None:
        raise UsageError("--use-published needs --published FILE.")
    folder = out or Path("data") / name
    if keep_archives and not download:
        raise UsageError("--keep-archives needs --download.")
    if download:
        _fetch(name, root, keep_archives)
    with stderr().status(f"reading {name}"):
        from tacit.benchmarks import prepare as preparing

        done = preparing.prepare(
            name,
            root,
            folder,
            positives=positives,
            negatives=negatives,
            seed=seed,
            published=published,
            use_published=use_published,
        )
    for warning in done.warnings:
        tell(f"warning: {warning}")
    if json:
        agreement = vars(done.agreement) if done.agreement else None
        print_json({**done.record, "warnings": done.warnings, "agreement": agreement})
    else:
        _print(done)
    tell(f"Train on it with: tacit train --data {shlex.quote(str(folder))}")
    return 1 if strict and done.warnings else 0


def _fetch(name: str, root: Path, keep: bool) -> None:
    from tacit.benchmarks.fetch import fetch
    from tacit.cli.progress import reporting

    with reporting(stderr()) as reporter:
        fetch(name, root, tell=reporter.tell, keep=keep, progress=reporter)


def _print(done: object) -> None:
    from tacit.benchmarks.prepare import Preparation

    assert isinstance(done, Preparation)
    counts = done.record["counts"]
    rows = [
        (
            split,
            f"{figures['images']:,}",
            str(figures["positives per image"]),
            str(figures["without a positive"]),
        )
        for split, figures in counts.items()
        if isinstance(figures, dict)
    ]
    print_table(("split", "images", "positives per image", "without a positive"), rows)
    shares = done.record["split"]
    if shares:
        tell(
            f"Of the training split, {shares['train']:,} images train and {shares['validation']:,} "
            f"validate (md5 of their rows {shares['validation md5']})."
        )
    for note in done.record["notes"]:
        tell(note)
    if done.agreement:
        tell(f"Published labels: {done.agreement.sentence()}.")
