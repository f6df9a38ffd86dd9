"""Opening image files of all kinds."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from check.damage import HEIC
from tacit.check.decode import look_at
from tacit.data.formats.shared.folders import is_image
from tacit.data.open_image import (
    FORMATS,
    HAS_AVIF,
    HAS_HEIC,
    SUFFIXES,
    open_image,
    read_size,
)
from tacit.errors import DataError


def claiming(path: Path, side: int) -> Path:
    """Write the beginning of a PNG that claims a size and holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    pixels = zlib.compress(b"")
    data = struct.pack(">I", len(pixels)) + b"IDAT" + pixels
    data += struct.pack(">I", zlib.crc32(b"IDAT" + pixels))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)
    return path


@pytest.mark.parametrize(("side", "said"), [(12_000, "12000 x 12000"), (60_000, "more than")])
def test_an_image_that_claims_too_much_is_not_decoded(side: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"claims {said}.* pixels.*scale it down"):
        open_image(claiming(tmp_path / "bomb.png", side))


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    levels = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    assert np.array(open_image(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 100, 255]


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 1), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert open_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)


def test_an_image_lies_as_its_camera_was_held(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 2))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert open_image(tmp_path / "turned.jpg").size == (2, 4)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_cut_file_is_called_damaged(kept: float, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    random = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(random).save(whole)
    cut.write_bytes(whole.read_bytes()[: int(kept * whole.stat().st_size)])
    with pytest.raises(DataError, match=r"cut\.jpg (is damaged|is no image)"):
        open_image(cut)


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no image at"):
        open_image(tmp_path / "none.jpg")


def test_a_file_that_holds_another_format_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow would hand PostScript to Ghostscript, whatever the file is called."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{tmp_path / 'started'}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    with pytest.raises(DataError, match=r"a\.jpg is no image that can be read"):
        open_image(path)
    with pytest.raises(DataError, match=r"a\.jpg is no image that can be read"):
        read_size(path)
    assert [kind for kind, _ in look_at([str(path)])[0].found] == ["not_an_image"]
    assert not (tmp_path / "started").exists()


READABLE = sorted(suffix for suffix, kinds in SUFFIXES.items() if kinds[0] in FORMATS)


@pytest.mark.parametrize("suffix", READABLE)
def test_every_named_format_is_decoded(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    kind = SUFFIXES[suffix][0]
    Image.new("RGB", (20, 12), (200, 30, 60)).save(path, kind)
    assert read_size(path) == (20, 12)
    colour = np.asarray(open_image(path).getpixel((9, 5)), dtype=float)
    assert np.abs(colour - (200, 30, 60)).max() <= 8


def test_what_a_decoder_raises_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoders of libraries raise RuntimeError and the like on damaged files."""

    def fail(*_: object) -> None:
        raise RuntimeError("Failed to decode image")

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(DataError, match=r"a\.png is damaged: Failed to decode image\.$"):
        open_image(tmp_path / "a.png")


def test_sixteen_bits_take_little_memory(tmp_path: Path) -> None:
    """At 64 bits for each pixel, one file within the limit took gigabytes."""
    side = 1500
    Image.new("I;16", (side, side), 257 * 7).save(tmp_path / "deep.png")
    tracemalloc.start()
    try:
        image = open_image(tmp_path / "deep.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert image.getpixel((side - 1, side - 1)) == (7, 7, 7)
    assert peak < 16 * side * side  # all at once they were 50 bytes for each pixel


def test_every_value_of_sixteen_bits_is_rounded(tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "all.png")
    found = np.asarray(open_image(tmp_path / "all.png"))[..., 0]
    assert np.array_equal(found, (values / 65535 * 255).round())


def test_numbers_with_a_point_are_scaled_by_the_greatest(tmp_path: Path) -> None:
    values = np.array([[0, 1, np.nan, 4, -1]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "real.tif")
    assert np.asarray(open_image(tmp_path / "real.tif"))[0, :, 0].tolist() == [0, 64, 0, 255, 0]


def test_a_jpeg_of_very_many_pixels_is_scaled_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "panorama.jpg"
    ramp = np.linspace(0, 255, 600).astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp, (400, 600))).convert("RGB").save(path, quality=95)
    plain = open_image(path)
    monkeypatch.setattr("tacit.data.open_image.SCALED_PIXELS", 600 * 400 - 1)
    scaled = open_image(path)
    assert (plain.size, scaled.size) == ((600, 400), (300, 200))
    small = [np.asarray(image.resize((30, 20)), dtype=int) for image in (plain, scaled)]
    assert np.abs(small[0] - small[1]).max() <= 3
    monkeypatch.setattr("tacit.data.open_image.MOST_PIXELS", 300 * 200 - 1)
    with pytest.raises(DataError, match="300 x 200 pixels.*save it as JPEG"):
        open_image(path)


@pytest.mark.skipif(not HAS_AVIF, reason="this Pillow was built without AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (32, 24), (200, 30, 40)).save(tmp_path / "a.avif")
    assert open_image(tmp_path / "a.avif").size == (32, 24)
    assert look_at([str(tmp_path / "a.avif")])[0].found == [("blank", {})]


@pytest.mark.skipif(not HAS_HEIC, reason="the extra heic is not installed")
def test_heic_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (32, 24), (200, 30, 40)).save(tmp_path / "a.heic", "HEIF")
    assert open_image(tmp_path / "a.heic").size == (32, 24)
    assert look_at([str(tmp_path / "a.heic")])[0].found == [("blank", {})]


@pytest.mark.parametrize("name", ["photo.heic", "photo.jpg"])
def test_heic_without_its_extra_says_what_to_install(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tacit.data.open_image.HAS_HEIC", False)
    monkeypatch.setattr("tacit.data.open_image.FORMATS", ["JPEG", "PNG"])
    (tmp_path / name).write_bytes(HEIC)
    with pytest.raises(DataError, match=rf"{name} is a HEIC image.*pip install 'tacit\[heic\]'"):
        open_image(tmp_path / name)
    assert is_image("photo.HEIC")
