"""What tests over the whole table of methods share, so that a new row needs no line in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tacit.methods import hyperparameters, method_class

PAGES = Path(__file__).parents[2] / "docs" / "methods"

# Hyperparameters under which every method that has them does all it can within two short epochs.
ACTIVE: dict[str, Any] = {
    "average_decay": 0.5,
    "cap": True,
    "from_epoch": 2,
    "gap_decay": 0.5,
    "late_threshold": 0.5,
    "least_lift": 0.0,
    "queue_size": 16,
    "rate": 0.3,
    "row_rate": 0.1,
    "share": 0.5,
    "threshold": 0.5,
    "warmup_epochs": 1,
}


# And what a single method needs for it: of a few random scores no prior is above what is known.
OWN: dict[str, dict[str, Any]] = {
    "cald": {"least_margin": 0.0},  # so soon nothing is near
    "quota": {"expected_positives": 3.0},
    "scl": {"expected_positives": 3.0},
}


def active_options(name: str) -> dict[str, Any]:
    """Return hyperparameters under which a method does all it can within two short epochs."""
    known = hyperparameters(name)
    shared = {key: value for key, value in ACTIVE.items() if key in known}
    return shared | OWN.get(name, {})


def needed_options(name: str, images: int, classes: int) -> dict[str, Any]:
    """Return the hyperparameters that a method cannot do without: a teacher's scores."""
    if "scores" not in hyperparameters(name):
        return {}
    generator = torch.Generator().manual_seed(9)
    return {"scores": torch.rand(images, classes, generator=generator).mul(4).softmax(1)}


def labels_for(name: str, observed: Tensor) -> Tensor:
    """Turn observed labels into those of the kind that a method is meant for.

    Of the unknown cells, those of every third class count as missed positives.
    """
    kind = method_class(name).labels
    labels = observed
    if kind == "full":
        labels = torch.where(labels == 1, 1, -1)
    elif kind == "true_negatives":
        missed = (labels == 0) & (torch.arange(labels.shape[1]) % 3 == 1)
        labels = torch.where((labels == 1) | missed, labels, -1)
    return labels.to(torch.int8)


def method_page(name: str) -> Path:
    """Return the only page that has a section on a method."""
    heading = re.compile(rf"^## `{name}`$", flags=re.M)
    pages = [page for page in PAGES.glob("*.md") if heading.search(page.read_text("utf-8"))]
    assert len(pages) == 1, f"{name} has {len(pages)} sections"
    return pages[0]


def method_section(name: str) -> str:
    """Return the section, which is headed by the name alone and so has the name for an anchor."""
    parts = re.split(r"^## (.+)$", method_page(name).read_text("utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[f"`{name}`"]


def summary(name: str) -> dict[str, str]:
    """Return what the head of a section says about suspects and state."""
    head = method_section(name).split("\n### ")[0]
    return dict(re.findall(r"^- \*\*(\w+):\*\* (.+)$", head, flags=re.M))


def names_suspects(name: str) -> bool:
    """Whether a method calls unknown cells missed positives, as its section says."""
    return not summary(name)["Suspects"].startswith("none.")
