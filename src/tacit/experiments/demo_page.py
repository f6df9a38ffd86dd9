"""The page of the demonstration: its table, some images and four charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacit.data.source import Splits
from tacit.experiments.demo_review import Repair
from tacit.experiments.figures import CALLED, draw_line
from tacit.experiments.gallery import collect_examples
from tacit.report.page import Chart, Page, Table
from tacit.runs.folder import Run

Records = list[dict[str, Any]]


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
    repaired: str
    """The plain one again, on labels that were repaired."""


@dataclass(frozen=True)
class Row:
    """One training in the table, in percent and from 0 to 1."""

    method: str
    map: float
    precision: float
    recall: float
    f1: float
    seconds: float


def table_cells(row: Row) -> tuple[str, ...]:
    """Write a row as text; a training that suspects nothing has no identification."""
    suspects = (
        (f"{row.precision:.2f}", f"{row.recall:.2f}", f"{row.f1:.2f}")
        if row.precision or row.recall
        else ("–", "–", "–")
    )
    return (row.method, f"{row.map:.1f}", *suspects, f"{row.seconds:.0f}")


def build_page(
    roles: Roles, runs: Mapping[str, Path], rows: list[Row], repair: Repair, splits: Splits
) -> Page:
    """Build the page from the rows of the table, what was repaired, and the run folders."""
    logs = {name: Run(run).log.read() for name, run in runs.items()}
    by_name = {row.method: row for row in rows}
    described = splits.train.describe()
    return Page(
        title="What is missing was there",
        lead=_tell_story(roles, by_name, repair),
        facts=(
            ("training images", f"{described['images']:,}"),
            ("classes", f"{described['classes']}"),
            ("labels given", f"{repair.given:,}"),
            ("labels missing", f"{repair.missing:,}"),
            ("labels added", f"{repair.added:,}"),
        ),
        table=Table(
            COLUMNS,
            tuple(table_cells(row) for row in rows),
            "Mean average precision on the test images, in percent; the epoch was chosen on "
            f"validation images with {splits.validation_labels} labels. Precision, recall "
            "and F1 tell how well the labels a method suspected in its last epoch were the "
            "missing ones. Seconds are training alone, on this machine.",
            emphasised_row=[row.method for row in rows].index(roles.repaired),
        ),
        examples=collect_examples(runs[roles.shown], Run(runs[roles.shown]).config, splits),
        charts=_charts(roles, logs),
        notes=_list_notes(roles, runs[roles.shown]),
        further=(("From one label to more of them", _list_steps(repair)),),
    )


def _tell_story(roles: Roles, rows: Mapping[str, Row], repair: Repair) -> str:
    shown, plain, repaired = (rows[n] for n in (roles.shown, roles.plain, roles.repaired))
    return (
        "Every training image below came with one label, and one only. The other things in "
        "it were there, but nobody wrote them down. Taking what is missing for absent teaches "
        f"a classifier mistakes: {plain.map:.1f} mAP on images that it had never seen. "
        f"{roles.shown}, trained on the same labels, reached {shown.map:.1f}.\n\n"
        f"Then the labels were repaired: {repair.looks:,} questions were answered, half of "
        f"them drawn at random, and the model was believed as far as these bore it out. That "
        f"added {repair.added:,} of {repair.missing:,} missing labels, "
        f"{_share(repair.right, repair.added)} of them right. Taking what is still missing for "
        f"absent now reaches {repaired.map:.1f}."
    )


def _list_notes(roles: Roles, shown: Path) -> tuple[str, ...]:
    return (
        "The images are generated, and easier than photographs; what a method gains here "
        "says little about what it gains there.",
        "The true labels were used to choose the epoch, to score, to draw this page, and to "
        "answer the questions in the place of a person. No method saw them, but for "
        f"`{roles.bound}`, which is the upper bound.",
        "Beside this page lie the images, `labels.csv` as it was, `repaired.csv`, and "
        "`changes.jsonl`, which says of every label who added it.",
        "Everything above comes again with `tacit demo`. To answer the questions yourself: "
        f"`tacit review {shown}`.",
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"


def _list_steps(repair: Repair) -> Table:
    accepted = (
        f"{repair.accepted:,} suspects with a posterior of {repair.above:.2f} or more"
        if repair.above is not None
        else "none: the questions bore no threshold out"
    )
    rows = (
        (
            "find",
            "`tacit suspects`",
            f"about {repair.expected:,.0f} labels are missing "
            f"({repair.low:,.0f} to {repair.high:,.0f}); {repair.missing:,} were",
        ),
        ("review", "`tacit review`", repair.said),
        ("accept", "`tacit apply --accept-above`", accepted),
        (
            "repair",
            "`tacit apply`",
            f"{repair.given:,} labels became {repair.given + repair.added:,}; of the added ones "
            f"{repair.right:,} are right",
        ),
    )
    cells = tuple((step, verb.replace("`", ""), what) for step, verb, what in rows)
    return Table(("step", "command", "what came of it"), cells, "What was done between the runs.")


def _charts(roles: Roles, logs: Mapping[str, Records]) -> tuple[Chart, ...]:
    return (
        Chart(
            "Accuracy while training",
            "Mean average precision on the validation images, in percent.",
            "epoch",
            "mAP",
            tuple(draw_line(name, log, "validation_map") for name, log in logs.items()),
        ),
        _identification_chart(roles.shown, logs[roles.shown]),
        Chart(
            "How far a logit falls when all but the known object is hidden",
            "The information gap, averaged over labels that were given, over missing ones and "
            "over classes that are truly absent. Missing labels should stand out.",
            "epoch",
            "gap",
            tuple(
                draw_line(name, logs[roles.shown], "evidence", "gap", group)
                for group, name in CALLED.items()
            ),
        ),
        Chart(
            "What becomes of the missing labels",
            "The mean logit of labels that are missing from the training images: above zero the "
            "model believes in them, far below it has learned the mistake by heart.",
            "epoch",
            "logit",
            tuple(
                draw_line(name, log, "evidence", "logit", "missed")
                for name, log in logs.items()
                if name in (roles.plain, roles.shown)
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
        tuple(draw_line(key, log, "identification", key) for key in ("precision", "recall")),
    )
