"""What the page is told, as JSON. Never which question was drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tacit.repair.audit import bound_yield
from tacit.repair.lookalikes import Examples
from tacit.repair.session import Question, Review

LEAST_RECENT = 20  # looks before anything is said of the next ones
NARROW = 0.6  # width of an interval that is worth telling
OTHERS = 6  # more suspects of the same image that are shown beside a question


def describe_state(review: Review, who: str) -> dict[str, Any]:
    """Describe everything that stays: the data, the classes, the person."""
    left = review.queue.count_classes(~review.queue.done)
    return {
        "store": review.store.id,
        "user": who,
        "name": review.source.name,
        "images": len(review.source),
        "suspects": len(review.queue),
        "classes": [
            {"name": name, "left": int(count)}
            for name, count in zip(review.source.classes, left, strict=True)
        ],
        "progress": describe_progress(review, who),
    }


def describe_progress(review: Review, who: str) -> dict[str, Any]:
    """Describe how far the review is, for everybody and for one person."""
    counts = review.answers.counts
    given = {
        answer: sum(number for (_, said), number in counts.items() if said == answer)
        for answer in ("present", "absent", "unsure")
    }
    people = review.answers.people()
    return {
        **given,
        "looks": sum(given.values()),
        "mine": people.get(who, 0),
        "people": people,
        "left": int((~review.queue.done).sum()),
        "turns": review.live_queue.turns if review.live_queue is not None else 0,
        "sentence": review.sentence(),
    }


def describe_question(review: Review, question: Question) -> dict[str, Any]:
    """Describe a question with everything that is shown beside it."""
    row, column = question.cell
    examples = Examples.of(review).choose(column, row)
    return {
        "cell": f"{row}-{column}",
        "row": row,
        "column": column,
        "image": question.image,
        "label": question.label,
        "posterior": question.posterior,
        "box": question.box,
        "version": question.version,
        "known": describe_labels(review, row),
        "others": [
            {"cell": f"{row}-{other}", "label": review.source.classes[other]}
            for other in review.suspected(row)
            if other != column
        ][:OTHERS],
        **examples,
    }


def describe_labels(review: Review, row: int) -> list[dict[str, str]]:
    """Describe what is known of an image, and who says so."""
    known = [
        {"label": review.source.classes[column], "answer": "present"}
        | {"by": review.origins.get((row, column), "file")}
        for column in (review.source.labels[row] == 1).nonzero()[0].tolist()
    ]
    for column in sorted(review.answers.by_image.get(row, ())):
        for who, verdict in review.answers.said.get((row, column), {}).items():
            known.append({"label": verdict.label, "answer": verdict.answer, "by": who})
    return known


def describe_grid(review: Review, column: int, asked: Sequence[Question]) -> dict[str, Any]:
    """Describe a page of images of one class."""
    return {
        "label": review.source.classes[column],
        "column": column,
        "cells": [
            {
                "cell": f"{each.row}-{each.column}",
                "row": each.row,
                "column": each.column,
                "image": each.image,
                "version": each.version,
                "boxed": each.box is not None,
            }
            for each in asked
        ],
    }


def describe_history(review: Review, who: str, skip: int, most: int) -> dict[str, Any]:
    """Describe a person's answers that stand, the last one first."""
    given = list(review.history(who, skip, most))
    return {
        "answers": [
            {
                "question": describe_question(review, question),
                "answer": verdict.answer,
            }
            for question, verdict in given
        ]
    }


def describe_report(review: Review, who: str) -> dict[str, Any]:
    """Describe how far the review is, class by class, and what the audit says."""
    counts, labels = review.answers.counts, review.source.labels.per_class(1)
    left, audit = review.queue.count_classes(~review.queue.done), review.audit.result
    rows, unknown = [], review.source.labels.per_class(0)
    for column, name in enumerate(review.source.classes):
        said = [counts[name, answer] for answer in ("present", "absent", "unsure")]
        if left[column] or any(said):
            numbers = (int(labels[column]), *said, int(left[column]))
            rows.append([name, *(f"{number:,}" for number in numbers)])
            if audit is not None and audit.looks:
                # No fewer than were found, and no more than there are unknown cells.
                low, high = (
                    min(max(float(bound[column]), said[0]), int(unknown[column]))
                    for bound in (audit.per_class_low, audit.per_class_high)
                )
                rows[-1].append(f"{low:,.0f} to {high:,.0f}")
    rows.sort(key=lambda row: -int(row[2].replace(",", "")))
    columns = ["class", "labels before", "missing, found", "not there", "not sure", "waiting"]
    return {
        "sentences": [review.sentence(), *describe_audit(review)],
        "columns": [*columns, "missing in all"] if audit is not None and audit.looks else columns,
        "rows": rows,
        "progress": describe_progress(review, who),
    }


def describe_audit(review: Review) -> list[str]:
    """Say what lies ahead: how good the queue is, and what the next looks will bring."""
    audit, recent = review.audit.result, list(review.answers.recent)
    said = []
    if audit is not None and audit.precision_high - audit.precision_low < NARROW:
        said.append(
            f"Of the first {audit.depth:,} suspects, {audit.precision_low:.0%} to "
            f"{audit.precision_high:.0%} are there."
        )
    if len(recent) >= LEAST_RECENT:
        said.append(f"The next 100 looks will find {bound_yield(recent):.0f} at most.")
    return said
