"""The table of a comparison, as text, Markdown, CSV, LaTeX or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from tacit.experiments.published import Published
from tacit.experiments.statistics import Difference, Estimate, Row

ALPHA = 0.05


def list_columns(rows: Sequence[Row]) -> list[str]:
    """Return the names of the figures that any row has, in the order of the first that has them."""
    return list(dict.fromkeys(name for row in rows for name in row.figures))


def list_baselines(rows: Sequence[Row]) -> list[str]:
    """Return the baselines that rows are held against."""
    return list(dict.fromkeys(each.baseline for row in rows for each in row.differences))


def to_cells(rows: Sequence[Row], sign: str = "±") -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of the table as text.

    A difference whose corrected p-value is below 0.05 has a star.
    """
    columns, baselines = list_columns(rows), list_baselines(rows)
    header = ["method", *columns, *(f"against {name}" for name in baselines)]
    unsettled = not all(row.converged for row in rows)
    cited = any(row.published for row in rows)
    header += ["converged"] * unsettled + ["published"] * cited
    body = []
    for row in rows:
        cells = [row.name, *(_say(row.figures.get(column), sign) for column in columns)]
        for baseline in baselines:
            found = [each for each in row.differences if each.baseline == baseline]
            text = _say(found[0].estimate, sign, "+") if found else "–"
            sure = found and found[0].corrected is not None and found[0].corrected < ALPHA
            cells.append(text + (" *" if sure else ""))
        cells += [_say_converged(row)] * unsettled + [_cite(row)] * cited
        body.append(cells)
    return header, body


def _say_converged(row: Row) -> str:
    if not row.runs:
        return "–"
    return "yes" if row.converged else "no"


def _cite(row: Row) -> str:
    if row.published is None:
        return "–"
    said = row.published
    return f"{said.score:g} ({said.head}, {said.information})"


def _say(estimate: Estimate | None, sign: str, plus: str = "") -> str:
    if estimate is None:
        return "–"
    spread = f" {sign} {estimate.half:.1f}" if estimate.half is not None else ""
    return f"{estimate.mean:{plus}.1f}{spread}"


def list_notes(rows: Sequence[Row], seeds: int, further: Sequence[str] = ()) -> list[str]:
    """Return what has to be said below the table."""
    notes = []
    if seeds > 1:
        notes.append(
            f"Means over {seeds} seeds with intervals of 95 % (Student's t); best validation first."
        )
    if list_baselines(rows):
        notes.append("Differences are of equal seeds; * is p < 0.05 after Holm's correction.")
    if later := [row for row in rows if not row.converged]:
        notes.append(
            f"Not converged, and so not ranked: {_list_unsettled(later)}. Their figures say more "
            f"of the budget than of the method."
        )
    for table, source in dict.fromkeys(
        (row.published.table, row.published.source) for row in rows if row.published
    ):
        notes.append(
            f"Published: {table}; {source}. Test mAP on ResNet-50, with the head and from the "
            f"labels in brackets; trained by others, on their budget."
        )
    for row in rows:
        for seed, reason in (row.missing or {}).items():
            notes.append(f"{row.name}, seed {seed}, is in no mean: {reason}")
    return [*notes, *further]


def _list_unsettled(rows: Sequence[Row]) -> str:
    low = [row.name for row in rows if row.near_chance]
    rising = [row.name for row in rows if not row.near_chance]
    said = [f"{', '.join(low)} (hardly above chance)"] * bool(low)
    said += [
        f"{', '.join(rising)} (validation gained a point or more over the last fifth of the epochs)"
    ] * bool(rising)
    return "; ".join(said)


def to_markdown(rows: Sequence[Row], seeds: int, further: Sequence[str] = ()) -> str:
    """Return the table with its notes as Markdown."""
    header, body = to_cells(rows)
    lines = [_pipe(header), "| --- |" + " ---: |" * (len(header) - 1), *map(_pipe, body)]
    return "\n".join([*lines, "", *list_notes(rows, seeds, further)]) + "\n"


def _pipe(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def to_csv(rows: Sequence[Row], seeds: int, further: Sequence[str] = ()) -> str:
    """Return numbers alone, a line for each row: mean, spread, half an interval, seeds."""
    columns, baselines = list_columns(rows), list_baselines(rows)
    kinds = ("mean", "spread", "half", "seeds")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [*columns, *(f"against {name}" for name in baselines)]
    writer.writerow(["method", *(f"{name} {kind}" for name in names for kind in kinds)])
    for row in rows:
        against = {each.baseline: each.estimate for each in row.differences}
        found = [row.figures.get(name) for name in columns]
        found += [against.get(name) for name in baselines]
        blank = [""] * len(kinds)
        writer.writerow(
            [row.name, *(v for e in found for v in (asdict(e).values() if e else blank))]
        )
    return out.getvalue()


LATEX = str.maketrans({"%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "·": r"$\cdot$", "–": "--"})


def to_latex(rows: Sequence[Row], seeds: int, further: Sequence[str] = ()) -> str:
    """Return the table as a LaTeX tabular."""
    header, body = to_cells(rows, sign="@")
    lines = [r"\begin{tabular}{l" + "r" * (len(header) - 1) + "}", r"\hline"]
    lines += [" & ".join(cell.translate(LATEX) for cell in header) + r" \\", r"\hline"]
    for cells in body:
        escaped = [cell.translate(LATEX).replace("@", r"$\pm$") for cell in cells]
        lines.append(" & ".join(escaped) + r" \\")
    lines += [r"\hline", r"\end{tabular}"]
    return "\n".join([*(f"% {note}" for note in list_notes(rows, seeds)), *lines]) + "\n"


def to_json(rows: Sequence[Row], seeds: int, further: Sequence[str] = ()) -> str:
    """Return everything as JSON."""
    told = {"seeds": seeds, "rows": [asdict(row) for row in rows], "notes": list(further)}
    return json.dumps(told, indent=2) + "\n"


def from_json(text: str) -> tuple[list[Row], int, list[str]]:
    """Return the rows, the number of seeds and the further notes that `to_json` wrote down."""
    told = json.loads(text)
    return [_read_row(row) for row in told["rows"]], told["seeds"], told["notes"]


def _read_row(row: dict[str, Any]) -> Row:
    differences = [
        Difference(**{**each, "estimate": Estimate(**each["estimate"])})
        for each in row["differences"]
    ]
    return Row(
        **{
            **row,
            "figures": {name: Estimate(**each) for name, each in row["figures"].items()},
            "differences": tuple(differences),
            "missing": {int(seed): reason for seed, reason in (row["missing"] or {}).items()},
            "runs": {int(seed): folder for seed, folder in row["runs"].items()},
            "published": Published(**row["published"]) if row["published"] else None,
        }
    )


WRITERS: dict[str, Callable[[Sequence[Row], int, Sequence[str]], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "tex": to_latex,
    "json": to_json,
}
