"""The figures that logs of finished runs hold: one drawing function each, by name.

A figure is drawn of what a run has logged, and of nothing else; where no run has logged what it
shows, there is none. Nobody here knows a method by name.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from tacit.evaluation.diagnostics import GROUPS, SAID
from tacit.experiments.finished import Series
from tacit.report.charts import TONES, Chart, Line

Figure = Callable[[Sequence[Series]], list[Chart]]
Number = float | None

# What figures call the groups of the diagnostics.
CALLED = dict(zip(GROUPS, ("given", "missing", "absent"), strict=True))


def draw_figures(series: Sequence[Series]) -> list[Chart]:
    """Draw all that the logs hold, in the order of the table of figures."""
    return [chart for draw in FIGURES.values() for chart in draw(series)]


def draw_accuracy(series: Sequence[Series]) -> list[Chart]:
    """Draw accuracy by epoch: it falls again where mistakes are learned by heart."""
    caption = "Mean average precision on the validation images, in percent."
    lines = [follow(each, lambda record: record.get("validation_map")) for each in series]
    return _chart("Accuracy while training", caption, "mAP", lines)


def draw_loss(series: Sequence[Series]) -> list[Chart]:
    """Draw the loss by epoch."""
    caption = "The sum of the loss terms, whose scale depends on the method."
    lines = [follow(each, lambda record: sum(record.get("terms", {}).values())) for each in series]
    return _chart("Loss", caption, "loss", lines)


def draw_memory(series: Sequence[Series]) -> list[Chart]:
    """Draw what becomes of missing labels: how many the model says are present."""
    shares = [follow(each, _reach("evidence", SAID, "missed")) for each in series]
    logits = [follow(each, _reach("evidence", "logit", "missed")) for each in series]
    share = (
        "The share of labels missing from the training images that the model says are present. It "
        "falls where the model learns by heart that they are absent."
    )
    logit = (
        "The mean logit of labels that are missing from the training images: above zero the model "
        "believes in them, far below it has learned the mistake by heart."
    )
    return [
        *_chart("Missing labels that the model believes in", share, "share", shares),
        *_chart("What becomes of the missing labels", logit, "logit", logits),
    ]


def draw_gap(series: Sequence[Series]) -> list[Chart]:
    """Draw the information gap of given, missing and absent labels, a chart for each series."""
    charts = []
    for each in series:
        lines = [
            follow(each, _reach("evidence", "gap", group), called)
            for group, called in CALLED.items()
        ]
        caption = (
            "How far a logit falls when all but the known object is hidden, averaged over labels "
            "that were given, over missing ones and over classes that are truly absent. Missing "
            "labels should stand out."
        )
        charts += _chart(f"Information gap: {each.name}", caption, "gap", lines)
    return charts


def draw_identification(series: Sequence[Series]) -> list[Chart]:
    """Draw precision, recall and F1 of the suspects."""
    told = {
        "precision": "The share of suspects that are right, by the truth that these data have.",
        "recall": "The share of missing labels that are among the suspects.",
        "f1": "The harmonic mean of precision and recall.",
    }
    return [
        chart
        for key, caption in told.items()
        for chart in _chart(
            f"Suspects: {key.replace('f1', 'F1')}",
            caption,
            "share",
            [follow(each, partial(_identify, key)) for each in series],
        )
    ]


def draw_rejection(series: Sequence[Series]) -> list[Chart]:
    """Draw how many missing labels are suspected for each absent one, and how much at all."""
    ratio = [follow(each, partial(_identify, "ratio")) for each in series]
    share = [follow(each, _share_suspected) for each in series]
    return [
        *_chart(
            "Missing labels suspected for each absent one",
            "Suspects that are missing labels, divided by those that are truly absent. What is "
            "above 1 does more good than harm.",
            "ratio",
            ratio,
        ),
        *_chart(
            "How much is suspected",
            "The share of unknown cells that are suspects.",
            "share",
            share,
        ),
    ]


def draw_sensitivity(series: Sequence[Series]) -> list[Chart]:
    """Draw results against a setting that is a number and that rows differ in."""
    key, values = _find_axis(series)
    if key is None:
        return []
    name = key.split(".")[-1]
    scores = [statistics.fmean(run.result["map"] for run in each.runs) for each in series]
    charts = _against(f"Accuracy by {name}", name, "test mAP", values, scores)
    readings = dict.fromkeys(
        key for each in series for key in (each.runs[0].log[-1].get("readings") or {})
    )
    for reading in readings:
        last = [_average([_last(run.log, reading) for run in each.runs]) for each in series]
        charts += _against(f"{reading} by {name}", name, reading, values, last)
    return charts


def draw_readings(series: Sequence[Series]) -> list[Chart]:
    """Draw what methods say of themselves by epoch, such as a threshold."""
    names = dict.fromkeys(
        name
        for each in series
        for run in each.runs
        for record in run.log
        for name in record.get("readings") or {}
    )
    return [
        chart
        for name in names
        for chart in _chart(
            f"Reading: {name}",
            f"What the method calls `{name}`, averaged over the steps of an epoch.",
            name,
            [follow(each, _reach("readings", name)) for each in series],
        )
    ]


def draw_classes(series: Sequence[Series]) -> list[Chart]:
    """Draw what each class gains against the first series."""
    if len(series) < 2:
        return []
    first = _average_classes(series[0])
    names = tuple(sorted(first, key=lambda name: first[name]))
    lines = []
    for each in series[1:]:
        scores = _average_classes(each)
        gains = [scores[name] - first[name] if name in scores else None for name in names]
        lines.append(Line(each.name, tuple(float(n) for n in range(1, len(names) + 1)), gains))
    caption = (
        f"Average precision of each class less that of {series[0].name}, in points; the class that "
        "is hardest for it comes first."
    )
    return _chart("Gains by class", caption, "gain", lines, "class", names=names)


FIGURES: dict[str, Figure] = {
    "accuracy": draw_accuracy,
    "loss": draw_loss,
    "memory": draw_memory,
    "gap": draw_gap,
    "identification": draw_identification,
    "rejection": draw_rejection,
    "sensitivity": draw_sensitivity,
    "readings": draw_readings,
    "classes": draw_classes,
}


def follow(series: Series, value: Callable[[dict[str, Any]], Number], name: str = "") -> Line:
    """Return a value over all epochs: its mean over seeds, and the least and the largest of them.

    Where a seed has none, or has ended already, it does not count.
    """
    logs = [[value(record) for record in run.log] for run in series.runs]
    means: list[Number] = []
    band: list[tuple[float, float] | None] = []
    for epoch in range(max(map(len, logs), default=0)):
        found = [log[epoch] for log in logs if epoch < len(log)]
        there = [float(each) for each in found if each is not None]
        means.append(statistics.fmean(there) if there else None)
        band.append((min(there), max(there)) if len(there) > 1 else None)
    epochs = tuple(float(number) for number in range(1, len(means) + 1))
    return Line(name or series.name, epochs, tuple(means), tuple(band) if any(band) else ())


def draw_line(name: str, log: Sequence[dict[str, Any]], *keys: str) -> Line:
    """Return a value of one log, found by its keys, over all epochs."""
    find = _reach(*keys)
    epochs = tuple(float(number) for number in range(1, len(log) + 1))
    return Line(name, epochs, tuple(find(record) for record in log))


def _chart(
    title: str,
    caption: str,
    y_label: str,
    lines: Iterable[Line],
    x_label: str = "epoch",
    names: tuple[str, ...] = (),
) -> list[Chart]:
    """Return the chart of the lines that say something, if there are any."""
    drawn = [line for line in lines if line.drawn()]
    shown = tuple(drawn[:TONES])
    if len(drawn) > len(shown):
        caption += f" The first {len(shown)} of {len(drawn)} rows are drawn."
    return [Chart(title, caption, x_label, y_label, shown, names)] if shown else []


def _reach(*keys: str) -> Callable[[dict[str, Any]], Number]:
    """Return a function that finds a value in a record of the log by its keys."""

    def find(record: dict[str, Any]) -> Number:
        value: Any = record
        for key in keys:
            value = (value or {}).get(key)
        return None if value is None else float(value)

    return find


def _identify(key: str, record: dict[str, Any]) -> Number:
    found = record.get("identification") or {}
    if not found.get("tp") and not found.get("fp"):
        return None  # it suspects nothing, or not yet
    if key == "ratio":
        return float(found.get("tp", 0) / found["fp"]) if found.get("fp") else None
    return None if found.get(key) is None else float(found[key])


def _share_suspected(record: dict[str, Any]) -> Number:
    found, cells = record.get("identification") or {}, record.get("cells") or {}
    unknown = cells.get("missed", 0) + cells.get("negative", 0)
    suspects = found.get("tp", 0) + found.get("fp", 0)
    return suspects / unknown if unknown and suspects else None


def _find_axis(series: Sequence[Series]) -> tuple[str | None, list[float]]:
    """Return the one setting that is a number, and that every row has another value of."""
    flat = [each.settings for each in series]
    if len(flat) < 3:
        return None, []
    for key in flat[0]:
        values = [settings.get(key) for settings in flat]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if key != "run.seed" and len(numbers) == len(set(numbers)) == len(flat):
            return key, numbers
    return None, []


def _against(
    title: str, x_label: str, y_label: str, xs: Sequence[float], ys: Sequence[Number]
) -> list[Chart]:
    pairs = sorted(zip(xs, ys, strict=True), key=lambda pair: pair[0])
    line = Line(y_label, tuple(x for x, _ in pairs), tuple(y for _, y in pairs))
    caption = f"One row for each value of `{x_label}`; all else is the same."
    return _chart(title, caption, y_label, [line], x_label)


def _last(log: Sequence[dict[str, Any]], reading: str) -> Number:
    return _reach("readings", reading)(log[-1])


def _average(values: Sequence[Number]) -> Number:
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None


def _average_classes(series: Series) -> dict[str, float]:
    """Return the average precision of each class, over the seeds that have it."""
    found: dict[str, list[float]] = {}
    for run in series.runs:
        for name, score in run.result["per_class"].items():
            if score is not None:
                found.setdefault(name, []).append(score)
    return {name: statistics.fmean(scores) for name, scores in found.items()}
