"""Names of images: whether they lead to a file, and whether other computers tell them apart."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tacit.check.findings import Findings
from tacit.data.formats.shared.folders import is_image
from tacit.data.listing import leaves_the_root

LONGEST = 255  # bytes between two slashes, on nearly every file system


def find_files(root: Path, images: Sequence[str], findings: Findings) -> list[int]:
    """Report names without a file that can be opened, and return the rows of all others."""
    present, missing = [], []
    homes = _Homes(root)
    for row, image in enumerate(images):
        kind, said = _state(root, image, homes)
        if kind == "missing":
            missing.append(image)
        elif kind is not None:
            findings.add(kind, {"image": image, **said})
        if kind in (None, "link_outside"):
            present.append(row)
    if missing and len(missing) == len(images):
        said = {"count": len(images), "root": str(root), "first": os.path.basename(images[0])}
        findings.add("no_images", said)
    elif missing:
        there = {_fold(image): image for image in list_images_below(root)}
        for image in missing:
            other = there.get(_fold(image))
            near = f"; there is {other}" if other else ""
            findings.add("missing", {"image": image, "near": near})
    return present


def find_unlisted(root: Path, images: Sequence[str], findings: Findings) -> None:
    """Report images in the folder that no row names."""
    listed = set(images)
    for image in list_images_below(root):
        if image not in listed:
            findings.add("unlisted", {"image": image})


def find_clashes(images: Sequence[str], findings: Findings) -> None:
    """Report names that some computers take for one."""
    composed: dict[str, str] = {}
    for image in images:
        other = composed.setdefault(_compose(image), image)
        if other != image:
            findings.add("unicode_clash", {"image": image, "other": other})
    folded: dict[str, str] = {}
    for image in composed.values():
        other = folded.setdefault(_fold(image), image)
        if other != image:
            findings.add("case_clash", {"image": image, "other": other})


def list_images_below(root: Path) -> list[str]:
    """Return the names of all images in a folder and in the folders inside."""
    found: list[str] = []
    for folder, inside, names in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        below = "" if folder == str(root) else os.path.relpath(folder, root).replace(os.sep, "/")
        found += [f"{below}/{name}" if below else name for name in sorted(names) if is_image(name)]
    return found


class _Homes:
    """Where folders really are, asked once for each."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.known: dict[str, str] = {}

    def leads_out(self, path: str) -> str | None:
        """Return where a file really is, if that is outside."""
        folder, name = os.path.split(path)
        if folder not in self.known:
            self.known[folder] = os.path.realpath(folder)
        real = os.path.join(self.known[folder], name)
        if os.path.islink(real):
            real = os.path.realpath(real)
        return None if real.startswith(os.path.join(self.root, "")) else real


def _state(root: Path, image: str, homes: _Homes) -> tuple[str | None, dict[str, Any]]:
    # Quick, for a million names: only those that might leave are taken apart.
    if (image[0] == "/" or ".." in image or ":" in image or "\\" in image) and leaves_the_root(
        image
    ):
        return "outside", {}
    if any(len(os.fsencode(part)) > LONGEST for part in image.split("/")):
        return "long_name", {}
    path = os.path.join(root, image)
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return "missing", {}
    if not stat.S_ISREG(state.st_mode):
        return "no_file", {}
    if not state.st_size:
        return "empty_file", {}
    target = homes.leads_out(path)
    return (None, {}) if target is None else ("link_outside", {"target": target})


def _compose(image: str) -> str:
    return image if image.isascii() else unicodedata.normalize("NFC", image)


def _fold(image: str) -> str:
    return _compose(image).casefold()
