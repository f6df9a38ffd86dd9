"""NUS-WIDE, from the arrays in which it is passed on; there are two packagings of it."""

from __future__ import annotations

from pathlib import Path

from tacit.data.listing import Listing, join_splits
from tacit.data.observe import label_all
from tacit.errors import DataError
from tacit.files import read_array

# The official Concepts81, in alphabetical order.
CLASSES = (
    "airport", "animal", "beach", "bear", "birds", "boats", "book", "bridge", "buildings", "cars",
    "castle", "cat", "cityscape", "clouds", "computer", "coral", "cow", "dancing", "dog",
    "earthquake", "elk", "fire", "fish", "flags", "flowers", "food", "fox", "frost", "garden",
    "glacier", "grass", "harbor", "horses", "house", "lake", "leaf", "map", "military", "moon",
    "mountain", "nighttime", "ocean", "person", "plane", "plants", "police", "protest", "railroad",
    "rainbow", "reflection", "road", "rocks", "running", "sand", "sign", "sky", "snow", "soccer",
    "sports", "statue", "street", "sun", "sunset", "surf", "swimmers", "tattoo", "temple", "tiger",
    "tower", "town", "toy", "train", "tree", "valley", "vehicle", "water", "waterfall", "wedding",
    "whales", "window", "zebra",
)  # fmt: skip
SPLITS = {"train": "train", "test": "val"}


def read(root: Path) -> Listing:
    """Read the arrays. Images may be without any class; their order is that of the arrays."""
    found, notes = {}, []
    for split, official in SPLITS.items():
        images = read_array(root / f"formatted_{official}_images.npy")
        labels = read_array(root / f"formatted_{official}_labels.npy")
        if images.ndim != 1 or images.dtype.kind not in "US":
            raise DataError(f"formatted_{official}_images.npy in {root} is no list of file names.")
        if labels.shape != (len(images), len(CLASSES)):
            raise DataError(
                f"NUS-WIDE's {split} split has {len(images)} images but labels of shape "
                f"{labels.shape}; expected ({len(images)}, {len(CLASSES)})."
            )
        names = [f"Flickr/{str(name).lstrip('/')}" for name in images]
        empty = int((labels != 1).all(1).sum())
        notes.append(f"{empty} images of {split} show none of the classes")
        found[split] = (names, label_all(labels))
    return join_splits("nuswide", root, CLASSES, found, notes)
