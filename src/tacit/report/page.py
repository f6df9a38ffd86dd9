"""The report of an experiment as one HTML file that loads nothing and needs no scripts.

Every text that comes in is escaped: class names are whatever somebody called a folder. Text between
backticks in the lead, the captions and the notes is set as code; there is no other markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from tacit.files import write_text
from tacit.report import set_section, set_text
from tacit.report.charts import Chart, assign_tones, draw_chart, draw_swatch
from tacit.report.examples import Example, Gallery, draw_gallery

__all__ = ["Chart", "Example", "Gallery", "Page", "Table", "render_page", "write_page"]


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names the row, columns of numbers are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    emphasised_row: int | None = None

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("A table needs at least one column.")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"The row {row} does not have {len(self.columns)} cells.")
        if self.emphasised_row is not None and not 0 <= self.emphasised_row < len(self.rows):
            raise ValueError(f"There is no row {self.emphasised_row} to emphasise.")


@dataclass(frozen=True)
class Page:
    """Everything that the report shows, from top to bottom."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    table: Table
    examples: tuple[Example, ...]
    charts: tuple[Chart, ...]
    notes: tuple[str, ...]
    further: tuple[tuple[str, Table], ...] = ()
    """More tables, each under a heading."""
    galleries: tuple[Gallery, ...] = ()
    """More examples, each group under a heading."""


# Nothing may be fetched or run, even if a text should ever get past the escaping.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_page(path: Path, page: Page) -> None:
    """Write the page; the file at ``path`` is either the old one or the complete new one."""
    # A folder name that is no valid text must not cost anybody the report of a long run.
    content = render_page(page).encode("utf-8", errors="replace").decode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, content)


def render_page(page: Page) -> str:
    """Return the page as HTML."""
    style = files("tacit.report").joinpath("page.css").read_text(encoding="utf-8")
    main = (
        _header(page)
        + _results(page)
        + draw_gallery(Gallery("In images", page.examples))
        + "".join(
            draw_gallery(each, f"examples-{number}")
            for number, each in enumerate(page.galleries, start=1)
        )
        + _charts(page)
        + "".join(
            _table(table, _tones(page), title, f"table-{number}")
            for number, (title, table) in enumerate(page.further, start=1)
        )
        + _notes(page.notes)
    )
    return (
        '<!doctype html>\n<html lang="en-GB">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(page.title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{main}</main>\n"
        "<footer><p>Written by tacit. This page is one file and loads nothing from the network."
        "</p></footer>\n</body>\n</html>\n"
    )


def _header(page: Page) -> str:
    paragraphs = "".join(f"<p>{set_text(part)}</p>" for part in page.lead.split("\n\n") if part)
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in page.facts
    )
    return (
        f'<header>\n<h1>{escape(page.title)}</h1>\n<div class="lead">{paragraphs}</div>\n'
        + (f'<dl class="facts">{facts}</dl>\n' if facts else "")
        + "</header>\n"
    )


def _emphasised(table: Table) -> str | None:
    return None if table.emphasised_row is None else table.rows[table.emphasised_row][0]


def _tones(page: Page) -> dict[str, int]:
    """Give one tone to each name on the page; those in the table come first."""
    drawn = [line.name for chart in page.charts for line in chart.lines]
    listed = [row[0] for row in page.table.rows if row[0] in drawn]
    return assign_tones([*listed, *drawn], _emphasised(page.table))


def _is_numeric(cells: tuple[str, ...]) -> bool:
    """Tell whether a column holds numbers, perhaps with units; a dash is a number left out."""
    return all(re.match(r"\s*[-+~<>\u2212\u2013\u2014\u2248]?\s*(\d|$)", cell) for cell in cells)


def _results(page: Page) -> str:
    drawn = {line.name for chart in page.charts for line in chart.lines}
    tones = {name: tone for name, tone in _tones(page).items() if name in drawn}
    return _table(page.table, tones, "Results", "results")


def _table(table: Table, tones: dict[str, int], title: str, identifier: str) -> str:
    """Draw a table; rows whose name has a tone bear the swatch of their line."""
    numeric = [_is_numeric(cells) for cells in zip(*table.rows, strict=True)]
    numeric = numeric or [False] * len(table.columns)
    kinds = [' class="number"' if number and index else "" for index, number in enumerate(numeric)]
    # The roles keep this a table for screen readers where the style sheet lays it out as a grid.
    heads = "".join(
        f'<th scope="col" role="columnheader"{kind}>{escape(column)}</th>'
        for column, kind in zip(table.columns, kinds, strict=True)
    )
    rows = []
    for index, row in enumerate(table.rows):
        swatch = draw_swatch(tones[row[0]]) if row[0] in tones else ""
        cells = "".join(
            f'<td role="cell"{kind}>{escape(cell)}</td>'
            for cell, kind in zip(row[1:], kinds[1:], strict=True)
        )
        emphasis = ' class="emphasised"' if index == table.emphasised_row else ""
        rows.append(
            f'<tr role="row"{emphasis}><th scope="row" role="rowheader">{swatch}'
            f"<bdi>{escape(row[0])}</bdi></th>{cells}</tr>\n"
        )
    body = "".join(rows) or '<tr role="row"><td role="cell" class="empty">no data</td></tr>\n'
    return set_section(
        identifier,
        title,
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{identifier}-heading">\n'
        f'<table role="table" style="--columns: {max(1, len(table.columns) - 1)}">\n'
        f"<caption>{set_text(table.caption)}</caption>\n"
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{body}</tbody>\n</table>\n</div>\n',
    )


def _charts(page: Page) -> str:
    if not page.charts:
        return ""
    tones, emphasised = _tones(page), _emphasised(page.table)
    figures = "\n".join(
        draw_chart(chart, f"chart-{number}", tones, emphasised)
        for number, chart in enumerate(page.charts, start=1)
    )
    return set_section("charts", "In figures", f'<div class="gallery">\n{figures}\n</div>\n')


def _notes(notes: tuple[str, ...]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{set_text(note)}</li>\n" for note in notes)
    return set_section("notes", "Notes", f"<ul>\n{items}</ul>\n")
