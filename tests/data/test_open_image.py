"""Opening picture files of all kinds."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tacit.data.open_image import open_picture
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


@pytest.mark.parametrize(("side", "said"), [(10_000, "10000 x 10000"), (60_000, "more than")])
def test_a_picture_that_claims_too_much_is_not_decoded(
    side: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"claims {said}.* pixels.*scale it down"):
        open_picture(claiming(tmp_path / "bomb.png", side))


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    levels = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    assert np.array(open_picture(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 100, 255]


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 1), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert open_picture(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_lies_as_its_camera_was_held(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 2))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert open_picture(tmp_path / "turned.jpg").size == (2, 4)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_cut_file_is_called_damaged(kept: float, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    random = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(random).save(whole)
    cut.write_bytes(whole.read_bytes()[: int(kept * whole.stat().st_size)])
    with pytest.raises(DataError, match=r"cut\.jpg (is damaged|is no picture)"):
        open_picture(cut)


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no picture at"):
        open_picture(tmp_path / "none.jpg")


@pytest.mark.parametrize("error", [RuntimeError, struct.error, KeyError, TypeError, MemoryError])
def test_whatever_a_decoder_raises_is_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(b"x")

    def fail(*arguments: object) -> None:
        raise error("no frame")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(DataError, match=r"a\.avif is damaged: .*no frame"):
        open_picture(path)
