"""Images that look alike are found among others, and others are not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from check.planted import draw_image
from tacit.check.near_duplicates import compute_fingerprints, find_candidates, look_alike


def drawn(seed: int) -> Image.Image:
    """Return an image with edges, as photographs have them."""
    random = np.random.default_rng(seed)
    image = draw_image(seed, (160, 120))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, w, h = random.integers(0, (130, 90, 60, 60)).tolist()
        pen.rectangle((x, y, x + w, y + h), tuple(random.integers(0, 256, 3).tolist()))
    return image


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


VERSIONS = {
    "compressed": lambda image: as_jpeg(image, 30),
    "half": lambda image: image.resize((80, 60)),
    "larger": lambda image: image.resize((271, 203)),
    "another shape": lambda image: image.resize((120, 120)),
    "brighter": lambda image: image.point(lambda level: min(255, int(level * 1.15))),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


def bits(images: list[Image.Image]) -> np.ndarray:
    small = [image.convert("L").resize((32, 32), Image.Resampling.BILINEAR) for image in images]
    found = compute_fingerprints(np.stack([np.asarray(image) for image in small]))
    return np.frombuffer(b"".join(found), dtype=np.uint8).reshape(len(images), -1)


@pytest.mark.parametrize("name", VERSIONS)
def test_versions_of_an_image_look_alike_and_others_do_not(name: str, tmp_path: Path) -> None:
    originals = [drawn(seed) for seed in range(24)]
    images = [*originals, *(VERSIONS[name](image) for image in originals)]
    paths = [tmp_path / f"{number}.png" for number in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    pairs = find_candidates(bits(images)).tolist()
    alike = {(one, two) for one, two in pairs if look_alike(paths[one], paths[two])}
    assert alike == {(number, number + 24) for number in range(24)}
    others = [(one, two) for one in range(24) for two in range(one)]
    assert not any(look_alike(paths[one], paths[two]) for one, two in others[::7])


def test_pairs_with_fewer_differing_bits_than_bands_are_all_found() -> None:
    random = np.random.default_rng(5)
    first = random.integers(0, 256, (300, 32), dtype=np.uint8)
    flips = np.zeros((300, 256), dtype=np.uint8)
    for row in flips:
        row[random.choice(256, 20, replace=False)] = 1
    second = first ^ np.packbits(flips, axis=1)
    pairs = find_candidates(np.concatenate([first, second])).tolist()
    assert pairs == [[number, number + 300] for number in range(300)]


def test_effort_stays_linear_where_everything_looks_alike() -> None:
    same = np.zeros((2000, 32), dtype=np.uint8)
    pairs = find_candidates(same)
    assert len(np.unique(pairs)) == 2000 and len(pairs) < 20 * 2000


def test_two_fogs_are_not_the_same_fog(tmp_path: Path) -> None:
    ramp = np.linspace(90, 160, 64)[:, None] * np.ones((1, 64))
    for number, lighter in enumerate((0, 30)):
        pixels = (ramp + lighter).astype(np.uint8)
        Image.fromarray(pixels).convert("RGB").save(tmp_path / f"{number}.png")
    assert not look_alike(tmp_path / "0.png", tmp_path / "1.png")
    assert look_alike(tmp_path / "0.png", tmp_path / "0.png")
