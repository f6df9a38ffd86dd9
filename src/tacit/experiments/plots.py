"""Charts as files for a paper, drawn by matplotlib: PNG, PDF or SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from tacit.errors import UsageError
from tacit.files import write_atomically
from tacit.report.charts import DASHES, Chart, assign_tones

FORMATS = ("png", "pdf", "svg")
MARKERS = "osDv^P"  # beside dashes and tones, so that nothing hangs on colour
# Nothing of the clock or of a counter is written: the same chart, the same bytes.
UNDATED = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def write_plots(
    charts: Sequence[Chart], folder: Path, formats: Sequence[str], emphasised: str | None = None
) -> list[Path]:
    """Write each chart in each format, and return the files."""
    pyplot = import_pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    tones = assign_tones((line.name for chart in charts for line in chart.lines), emphasised)
    written = []
    for chart in charts:
        with pyplot.rc_context({"svg.hashsalt": "tacit", "svg.fonttype": "none"}):
            figure = _draw(pyplot, chart, tones)
            for format in formats:
                path = folder / f"{_slug(chart.title)}.{format}"
                write_atomically(path, partial(_save, figure, format))
                written.append(path)
            pyplot.close(figure)
    return written


def import_pyplot() -> Any:
    """Import matplotlib for drawing into files, or say how to get it."""
    try:
        import matplotlib
    except ImportError as error:
        raise UsageError(
            "Figures as files need matplotlib, which is not installed: pip install "
            "'tacit[figures]'. The page has the same figures without it."
        ) from error
    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80]


def _save(figure: Any, format: str, path: Path) -> None:
    figure.savefig(path, format=format, dpi=150, bbox_inches="tight", metadata=UNDATED[format])


def _draw(pyplot: Any, chart: Chart, tones: dict[str, int]) -> Any:
    figure, axes = pyplot.subplots(figsize=(4.2, 3.0), layout="constrained")
    colours = _read_colours()
    for line in chart.lines:
        tone = tones[line.name]
        ys = [float("nan") if point is None else point[1] for point in line.points()]
        axes.plot(
            line.xs,
            ys,
            label=line.name,
            color=colours[tone],
            marker=MARKERS[tone],
            markersize=3.5,
            linewidth=0 if chart.names else 1.4,
            linestyle=(0, tuple(map(float, DASHES[tone].split()))) if DASHES[tone] else "-",
        )
        if line.band:
            low, high = ([b[n] if b else float("nan") for b in line.band] for n in (0, 1))
            axes.fill_between(line.xs, low, high, color=colours[tone], alpha=0.15, linewidth=0)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.set_title(chart.title, fontsize=10)
    axes.grid(axis="y", linewidth=0.5, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if chart.names:
        axes.axhline(0, color="0.5", linewidth=0.8)
        axes.set_xticks(range(1, len(chart.names) + 1), chart.names, rotation=90, fontsize=6)
    axes.legend(fontsize=7, frameon=False)
    return figure


def _read_colours() -> list[str]:
    """Return the tones of the page in light, of which the style sheet has the only list."""
    style = files("tacit.report").joinpath("page.css").read_text(encoding="utf-8")
    return [colour for _, colour in re.findall(r"--tone-(\d): (#\w{6})", style)]
