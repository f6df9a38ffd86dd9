"""`tacit report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tacit.cli.output import print_json, say, stderr
from tacit.errors import UsageError


def report(
    *runs: Path,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write one page about a run, or about several side by side.

    The page is one file that loads nothing: a summary, the table, curves, each class, and what
    differs between the runs.

    Parameters
    ----------
    runs
        Run folders that `tacit train` wrote; others are held against the first one.
    out
        The page; report.html in the first run folder if left out.
    json
        Print where the page is and what it says first, as JSON.
    """
    if not runs:
        raise UsageError("Name at least one run folder, as in: tacit report runs/first")
    with stderr().status("writing the page"):
        from tacit.experiments.report_page import build_report, read_runs
        from tacit.report.page import write_page

        page = build_report(read_runs(runs))
        path = out or runs[0] / "report.html"
        write_page(path, page)
    summary = page.lead.replace("`", "").replace("\n\n", " ")
    if json:
        print_json({"page": str(path), "summary": summary})
        return
    say(summary)
    say(f"Open {path} in a browser.")
