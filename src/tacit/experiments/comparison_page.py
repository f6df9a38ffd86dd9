"""The page of a comparison: its table, its figures, and what the methods see otherwise."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from tacit.errors import DataError
from tacit.experiments.commands import write_command
from tacit.experiments.figures import draw_figures
from tacit.experiments.finished import Series, read_run
from tacit.experiments.report_page import list_classes, list_differences
from tacit.experiments.statistics import Row
from tacit.experiments.table import from_json, list_baselines, list_notes, to_cells
from tacit.files import read_text
from tacit.report.charts import Chart
from tacit.report.page import Gallery, Page, Table

RESULTS = "results.json"


def is_comparison(folder: Path) -> bool:
    """Whether `tacit compare` has written a table here."""
    return (folder / RESULTS).is_file()


class Compared:
    """A comparison as its folder tells it: the rows of the table, and their finished runs.

    Args:
        folder: Where `tacit compare` wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.rows, self.seeds, self.further = from_json(read_text(folder / RESULTS))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{folder / RESULTS} is not what this tacit writes; the same `tacit compare` "
                f"writes it again, and trains nothing that is done."
            ) from error
        self.series = [
            Series(row.name, tuple(read_run(folder / run, row.name) for run in row.runs.values()))
            for row in self._baselines_first()
            if row.runs
        ]

    def _baselines_first(self) -> list[Row]:
        """Return the rows as figures draw them: what others are held against comes first."""
        against = list_baselines(self.rows)
        return sorted(self.rows, key=lambda row: row.name not in against)

    def draw(self) -> list[Chart]:
        """Draw all figures that the logs hold."""
        return draw_figures(self.series)

    def build(self, galleries: Sequence[Gallery] = ()) -> Page:
        """Build the page."""
        header, body = to_cells(self.rows)
        runs = [each.runs[0] for each in self.series]
        facts = runs[0].record.get("data", {}) if runs else {}
        differing = list_differences(runs) if runs else None
        return Page(
            title=f"Comparison: {self.folder.resolve().name}",
            lead=self._sum_up(),
            facts=tuple(
                (key, f"{value:,}" if isinstance(value, int) else str(value))
                for key, value in facts.items()
            ),
            table=Table(
                tuple(header),
                tuple(tuple(each) for each in body),
                "Test scores in percent; the epoch was chosen on validation images.",
                emphasised_row=0 if self.rows and self.rows[0].converged and body else None,
            ),
            examples=(),
            charts=tuple(self.draw()),
            notes=(*list_notes(self.rows, self.seeds, self.further), *self._note()),
            further=(
                *([("Class by class", list_classes(runs))] if runs else ()),
                *([("What differs", differing)] if differing else ()),
            ),
            galleries=tuple(galleries),
        )

    def _sum_up(self) -> str:
        ranked = [row for row in self.rows if row.converged and row.figures]
        later = [row.name for row in self.rows if not row.converged]
        said = f"{len(self.rows)} rows, {self.seeds} seed{'s' if self.seeds > 1 else ''} each."
        if ranked:
            first = ranked[0]
            score = first.figures["test mAP"]
            half = f" ± {score.half:.1f}" if score.half is not None else ""
            said += f" Best by validation: `{first.name}`, {score.mean:.1f}{half} mAP on the test."
        if later:
            said += f"\n\nNot ranked, because training ended too early for it: {', '.join(later)}."
        return said

    def _note(self) -> tuple[str, ...]:
        if not self.series:
            return ()
        run = self.series[0].runs[0]
        used = ", ".join(f"{name} {version}" for name, version in run.record["versions"].items())
        folder = shlex.quote(str(self.folder))
        again = (f"`{each.name}`: `{write_command(each.runs[0])}`" for each in self.series)
        return (
            f"Data {run.record.get('fingerprint', 'unknown')}; {used}.",
            f"`tacit report {folder}` writes this page again, and with `--examples` shows images "
            f"on which the first two rows differ. The trainings of the first seed again:",
            *again,
        )
