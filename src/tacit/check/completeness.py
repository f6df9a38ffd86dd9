"""How complete labels are, as far as they say so themselves: what each image and class has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tacit.data.listing import Listing

MANY = 3  # so many labels of an image, or more, are counted together
SHOWN = 6  # classes at each end of a list of many
LONE = 0.5  # share of images with one label, from which on it is said what that means


def describe_labels(listing: Listing) -> dict[str, Any]:
    """Return how many known labels images and classes have."""
    labels, images = listing.labels, len(listing)
    present = labels.per_image(1)
    counts = np.bincount(np.minimum(present, MANY), minlength=MANY + 1).tolist()
    return {
        "known present per image": round(float(present.mean()), 3) if images else 0.0,
        "images by known present": {
            **{str(number): count for number, count in enumerate(counts[:MANY])},
            f"{MANY}+": counts[MANY],
        },
        "known absent": labels.count(-1),
        "unknown": labels.count(0),
        "classes": dict(zip(listing.classes, labels.per_class(1).tolist(), strict=True)),
    }


def tell_completeness(described: dict[str, Any], images: int) -> list[str]:
    """Say the same in sentences."""
    if not images or not described["classes"]:
        return []
    by_number = described["images by known present"]
    held = [f"{count:,} with {number}" for number, count in by_number.items() if count]
    lines = [
        f"{described['known present per image']:.2f} known labels an image: {', '.join(held)}",
        f"classes, by the images they are known on: {_tell_classes(described['classes'], images)}",
    ]
    alone = by_number["1"] / images
    if described["unknown"] and alone >= LONE:
        lines.append(
            f"{int(100 * alone)} % of the images have one known label: what else they show is "
            f"missing here, and training takes it for unknown"
        )
    return lines


def _tell_classes(counts: dict[str, int], images: int) -> str:
    order = sorted(counts, key=lambda name: (-counts[name], name))
    shown = order if len(order) <= 2 * SHOWN else [*order[:SHOWN], "", *order[-SHOWN:]]
    return ", ".join(_tell_class(name, counts, images, shown) for name in shown)


def _tell_class(name: str, counts: dict[str, int], images: int, shown: Sequence[str]) -> str:
    if not name:
        return f"… {len(counts) - 2 * SHOWN} more …"
    share = 100 * counts[name] / images
    return f"'{name}' {share:.0f} %" if share >= 1 else f"'{name}' {share:.1f} % ({counts[name]})"
