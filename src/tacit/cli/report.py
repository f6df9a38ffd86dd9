"""`tacit report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tacit.cli.output import print_json, say, stderr
from tacit.errors import UsageError

if TYPE_CHECKING:
    from tacit.experiments.finished import FinishedRun
    from tacit.report.charts import Chart
    from tacit.report.page import Gallery, Page


def report(
    *runs: Path,
    out: Path | None = None,
    examples: Annotated[bool, Parameter(negative=())] = False,
    plots: str | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write one page about a run, about several side by side, or about a comparison.

    The page is one file that loads nothing: a summary, the table, curves, each class, and what
    differs between the runs.

    Parameters
    ----------
    runs
        Run folders that `tacit train` wrote, of which others are held against the first one; or the
        folder of one `tacit compare`.
    out
        The page; report.html in the first folder if left out.
    examples
        Show images as well: what a run makes of some, or where the first two disagree.
    plots
        Write each figure as a file beside the page, too: png, pdf or svg, with commas between them.
    json
        Print where the page is and what it says first, as JSON.
    """
    if not runs:
        raise UsageError("Name at least one run folder, as in: tacit report runs/first")
    formats = read_formats(plots)
    path = out or runs[0] / "report.html"
    with stderr().status("writing the page"):
        from tacit.report.page import write_page

        page, charts = _build(runs, examples)
        write_page(path, page)
        if formats:
            from tacit.experiments.plots import write_plots

            write_plots(charts, path.parent / "figures", formats)
    summary = page.lead.replace("`", "").replace("\n\n", " ")
    if json:
        print_json({"page": str(path), "summary": summary})
        return
    say(summary)
    say(f"Open {path} in a browser.")


def read_formats(plots: str | None) -> tuple[str, ...]:
    """Return the formats of figures that are asked for."""
    from tacit.errors import unknown_name
    from tacit.experiments.plots import FORMATS, import_pyplot

    formats = tuple(word.strip() for word in (plots or "").split(",") if word.strip())
    for each in formats:
        if each not in FORMATS:
            raise unknown_name("format of figures", each, FORMATS)
    if formats:
        import_pyplot()  # before anything is trained
    return formats


def _build(folders: tuple[Path, ...], examples: bool) -> tuple[Page, tuple[Chart, ...]]:
    from tacit.experiments.comparison_page import Compared, is_comparison
    from tacit.experiments.finished import read_runs
    from tacit.experiments.report_page import build_report

    if len(folders) == 1 and is_comparison(folders[0]):
        compared = Compared(folders[0])
        firsts = [each.runs[0] for each in compared.series]
        page = compared.build(_collect(firsts) if examples else ())
    else:
        runs = read_runs(folders)
        page = build_report(runs, _collect(runs) if examples else ())
    return page, page.charts


def _collect(runs: list[FinishedRun]) -> list[Gallery]:
    """Collect the images: of one run what it makes of them, of several where they disagree."""
    from tacit.experiments.disagreements import collect_disagreements
    from tacit.experiments.gallery import collect_examples
    from tacit.report.page import Gallery
    from tacit.runs.folder import Run

    if len(runs) > 1:
        return [collect_disagreements(runs[0], runs[1])]
    if not runs:
        return []
    run = Run(runs[0].folder)
    return [Gallery("In images", collect_examples(run.folder, run.config, run.splits()))]
