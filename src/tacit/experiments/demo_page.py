"""The page of the demonstration: its table, some images and four charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacit.config import Config
from tacit.data.source import Splits
from tacit.experiments.gallery import collect_examples
from tacit.report.charts import Line
from tacit.report.page import Chart, Page, Table
from tacit.runs.folder import Run

Records = list[dict[str, Any]]

# What the page calls the groups of the diagnostics.
GROUPS = {"given": "known", "missing": "missed", "absent": "negative"}


COLUMNS = ("method", "test mAP", "precision", "recall", "F1", "seconds")


@dataclass(frozen=True)
class Roles:
    """What the variants are to one another; each is a name in the table."""

    bound: str
    """Trained on all labels."""
    plain: str
    """Takes what is missing for absent."""
    shown: str
    """The one that the page is about."""
    without: str
    """The same with its rejection switched off."""


@dataclass(frozen=True)
class Row:
    """One variant in the table: means over seeds, in percent and from 0 to 1."""

    method: str
    map: float
    map_spread: float
    precision: float
    recall: float
    f1: float
    seconds: float
    maps: tuple[float, ...]


def table_cells(row: Row) -> tuple[str, ...]:
    """Write a row as text; a variant that suspects nothing has no identification."""
    spread = f" ± {row.map_spread:.1f}" if len(row.maps) > 1 else ""
    suspects = (
        (f"{row.precision:.2f}", f"{row.recall:.2f}", f"{row.f1:.2f}")
        if row.precision or row.recall
        else ("–", "–", "–")
    )
    return (row.method, f"{row.map:.1f}{spread}", *suspects, f"{row.seconds:.0f}")


def build_page(
    roles: Roles, runs: Mapping[str, Path], rows: list[Row], config: Config, splits: Splits
) -> Page:
    """Build the page from the rows of the table and one run folder of each variant."""
    seeds = len(rows[0].maps)
    logs = {name: Run(run).log.read() for name, run in runs.items()}
    train_split, by_name = splits.train, {row.method: row for row in rows}
    described = train_split.describe()
    shown, plain, without = (by_name[name] for name in (roles.shown, roles.plain, roles.without))
    present = train_split.require_truth("for the page").count(1)
    missing = present - int(described["known positives"])
    return Page(
        title="What is missing was there",
        lead=(
            "Every training image below came with one label, and one only. The other things in "
            "it were there, but nobody wrote them down. Taking what is missing for absent teaches "
            f"a classifier mistakes; `tacit` trained {roles.shown} on the same labels.\n\n"
            f"It reached {shown.map:.1f} mAP on images it had never seen, "
            f"{shown.map - plain.map:+.1f} against taking the missing for absent; with its "
            f"rejection of suspects switched off it reached {without.map:.1f}, so that this part "
            f"by itself is worth {shown.map - without.map:+.1f} here."
        ),
        facts=(
            ("training images", f"{described['images']:,}"),
            ("classes", f"{described['classes']}"),
            ("labels given", f"{described['known positives']:,}"),
            ("labels missing", f"{missing:,}"),
            ("seeds", str(seeds)),
        ),
        table=Table(
            COLUMNS,
            tuple(table_cells(row) for row in rows),
            "Mean average precision on the test images, in percent; the epoch was chosen on "
            f"validation images with {splits.validation_labels} labels. Precision, recall "
            "and F1 tell how well the labels a method suspected in its last epoch were the "
            "missing ones. Seconds are training alone, on this machine.",
            emphasised_row=[row.method for row in rows].index(roles.shown),
        ),
        examples=collect_examples(runs[roles.shown], config, splits),
        charts=_charts(roles, logs),
        notes=(
            "The images are generated, and easier than photographs; what a method gains here "
            "says little about what it gains there.",
            "The true labels were used to choose the epoch, to score, and to draw this page. No "
            f"method saw them, but for `{roles.bound}`, which is the upper bound.",
            "Everything above comes again with `tacit demo`, and with `tacit demo --seeds 3` as a "
            "mean of three seeds.",
        ),
    )


def _charts(roles: Roles, logs: Mapping[str, Records]) -> tuple[Chart, ...]:
    return (
        Chart(
            "Accuracy while training",
            "Mean average precision on the validation images, in percent.",
            "epoch",
            "mAP",
            tuple(_line(name, log, "validation_map") for name, log in logs.items()),
        ),
        _identification_chart(roles.shown, logs[roles.shown]),
        Chart(
            "How far a logit falls when all but the known object is hidden",
            "The information gap, averaged over labels that were given, over missing ones and "
            "over classes that are truly absent. Missing labels should stand out.",
            "epoch",
            "gap",
            tuple(
                _line(name, logs[roles.shown], "evidence", "gap", group)
                for name, group in GROUPS.items()
            ),
        ),
        Chart(
            "What becomes of the missing labels",
            "The mean logit of labels that are missing from the training images: above zero the "
            "model believes in them, far below it has learned the mistake by heart.",
            "epoch",
            "logit",
            tuple(
                _line(name, log, "evidence", "logit", "missed")
                for name, log in logs.items()
                if name != roles.bound
            ),
        ),
    )


def _identification_chart(name: str, log: Records) -> Chart:
    return Chart(
        f"How well {name} finds what is missing",
        "Of the labels it suspects, how many are missing ones (precision); of the missing ones, "
        "how many it suspects (recall). It waits for the first epochs to pass.",
        "epoch",
        "share",
        tuple(_line(key, log, "identification", key) for key in ("precision", "recall")),
    )


def _line(name: str, log: Records, *keys: str) -> Line:
    values: list[float | None] = []
    for record in log:
        value: Any = record
        for key in keys:
            value = (value or {}).get(key)
        values.append(value)
    return Line(name, tuple(float(record["epoch"]) for record in log), tuple(values))
