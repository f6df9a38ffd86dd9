"""Keywords of images: in sidecars or in the images, flat or as paths."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from benchmark_copies import touch_image
from data.formats.examples import folders, xmp, xmp_packet
from tacit.data.formats import read_listing, recognise
from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError

TREE = xmp_packet(["Dog", "beach"], ["Animals|Pets|Dog", "beach"])


def keywords(listing: Listing, state: int = 1) -> dict[str, list[str]]:
    return {
        image: [
            name
            for name, cell in zip(listing.classes, listing.labels[row], strict=True)
            if cell == state
        ]
        for row, image in enumerate(listing.images)
    }


def write(folder: Path, sidecars: dict[str, str], *images: str) -> Path:
    for image in images:
        touch_image(folder / image)
    for name, text in sidecars.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def embed(path: Path, packet: str) -> None:
    """Write an image with a packet in it, as its format keeps them."""
    image, content = Image.new("RGB", (8, 6), "red"), packet.encode()
    if path.suffix == ".png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        image.save(path, pnginfo=info)
    elif path.suffix == ".tif":
        tags = ImageFileDirectory_v2()
        tags[700], tags.tagtype[700] = content, 1
        image.save(path, tiffinfo=tags)
    else:
        image.save(path, xmp=content)


def test_every_step_of_a_path_is_a_class_or_the_last_one_alone(tmp_path: Path) -> None:
    write(tmp_path, {"a.jpg.xmp": TREE}, "a.jpg", "b.jpg")
    found = keywords(read_listing(tmp_path))
    assert found == {"a.jpg": ["Animals", "Dog", "Pets", "beach"], "b.jpg": []}
    found = keywords(read_listing(tmp_path, hierarchy="leaf"))
    assert found["a.jpg"] == ["Dog", "beach"]
    with pytest.raises(UsageError, match="ancestors or leaf, not all"):
        read_listing(tmp_path, hierarchy="all")


def test_ancestors_that_are_flat_keywords_too_are_none_where_leaves_are_asked_for(
    tmp_path: Path,
) -> None:
    packet = xmp_packet(["Animals", "Pets", "Dog", "beach"], ["Animals|Pets|Dog"])
    write(tmp_path, {"a.jpg.xmp": packet}, "a.jpg")
    assert keywords(read_listing(tmp_path, hierarchy="leaf"))["a.jpg"] == ["Dog", "beach"]


def test_what_digikam_and_what_any_prefix_says_is_read(tmp_path: Path) -> None:
    packet = (
        "<?xml version='1.0'?><x:m xmlns:x='adobe:ns:meta/' xmlns:k='http://www.digikam.org/ns/1.0/'"
        " xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:RDF><r:Description><k:TagsList>"
        "<r:Seq><r:li>Places/Été</r:li><r:li>_Digikam_Internal_Tags_/x</r:li></r:Seq></k:TagsList>"
        "</r:Description></r:RDF></x:m>"
    )
    write(tmp_path, {"a.XMP": packet}, "a.JPG")
    assert keywords(read_listing(tmp_path))["a.JPG"] == ["Places", "Été"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_keywords_in_the_images_are_read(suffix: str, tmp_path: Path) -> None:
    embed(tmp_path / f"a.{suffix}", TREE)
    touch_image(tmp_path / "b.jpg")
    assert recognise(tmp_path) == "xmp"
    listing = read_listing(tmp_path)
    assert keywords(listing)[f"a.{suffix}"] == ["Animals", "Dog", "Pets", "beach"]
    assert (
        "of 0 images are those of sidecars, of 1 those in the images; 1 have no" in listing.notes[1]
    )


def test_the_first_that_has_a_place_for_keywords_counts(tmp_path: Path) -> None:
    embed(tmp_path / "a.jpg", xmp_packet(["inside"]))
    embed(tmp_path / "b.jpg", xmp_packet(["inside"]))
    embed(tmp_path / "c.jpg", xmp_packet(["inside"]))
    sidecars = {"a.xmp": xmp_packet(["stem"]), "b.xmp": xmp_packet(["stem"])}
    sidecars |= {"b.jpg.xmp": xmp_packet(["whole"]), "c.xmp": xmp_packet()}
    write(tmp_path, sidecars)
    found = keywords(read_listing(tmp_path))
    assert found == {"a.jpg": ["stem"], "b.jpg": ["whole"], "c.jpg": ["inside"]}


def test_sidecars_in_another_folder_come_before_those_beside_the_images(tmp_path: Path) -> None:
    images = xmp(tmp_path / "images")
    (tmp_path / "new").mkdir()
    write(tmp_path / "new", {"1.jpg.xmp": xmp_packet(["bird"])})
    found = keywords(read_listing(tmp_path / "new", images=images))
    assert found == {"1.jpg": ["bird"], "2.jpg": ["dog"], "3.jpg": ["bird"]}


def test_what_is_known_to_be_absent_is_unless_somebody_added_it(tmp_path: Path) -> None:
    absent = (
        '<t:absent xmlns:t="urn:tacit:labels#"><rdf:Bag><rdf:li>cat</rdf:li><rdf:li>dog</rdf:li>'
        "</rdf:Bag></t:absent>"
    )
    write(tmp_path, {"a.xmp": xmp_packet(["dog"], rest=absent)}, "a.jpg")
    listing = read_listing(tmp_path)
    assert keywords(listing) == {"a.jpg": ["dog"]} and keywords(listing, -1) == {"a.jpg": ["cat"]}


def test_folders_of_classes_stay_folders_of_classes(tmp_path: Path) -> None:
    path = folders(tmp_path / "classes")
    embed(path / "cat" / "1.jpg", TREE)
    assert recognise(path) == "folders"
    # Somebody who writes sidecars means them, and years are no classes.
    write(path / "cat", {"1.jpg.xmp": TREE})
    assert recognise(path) == "xmp"
    for year in ("2024", "2025-01 Rome"):
        (tmp_path / "years" / year).mkdir(parents=True)
        embed(tmp_path / "years" / year / "a.jpg", TREE)
    assert recognise(tmp_path / "years") == "xmp"


def test_sidecars_without_keywords_and_tables_beside_images_are_something_else(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"a.xmp": xmp_packet()}, "a.jpg")
    with pytest.raises(DataError, match="no known format"):
        recognise(tmp_path)
    embed(tmp_path / "a.jpg", TREE)
    (tmp_path / "labels.csv").write_text("file,labels\n")
    with pytest.raises(DataError, match="no known format"):
        recognise(tmp_path)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images whose keywords"):
        read_listing(tmp_path, format="xmp")
    write(tmp_path, {}, "a.jpg")
    with pytest.raises(DataError, match="has 1 images and none of them has a keyword"):
        read_listing(tmp_path, format="xmp")
    write(tmp_path, {"a.xmp": "<x:a"}, "a.jpg")
    with pytest.raises(DataError, match=r"a\.xmp is not readable as XML"):
        read_listing(tmp_path, format="xmp")
    write(tmp_path, {"a.xmp": "<!DOCTYPE a>" + xmp_packet(["dog"])[58:]}, "a.jpg")
    with pytest.raises(DataError, match="DOCTYPE"):
        read_listing(tmp_path, format="xmp")


def test_a_sidecar_that_cannot_be_read_is_passed_over_in_a_glance_only(tmp_path: Path) -> None:
    write(tmp_path, {"b.jpg.xmp": xmp_packet(["dog"])}, "a.jpg", "b.jpg")
    (tmp_path / "a.xmp").symlink_to(tmp_path / "gone")
    assert recognise(tmp_path) == "xmp"
    with pytest.raises(DataError, match="cannot be read as xmp"):
        read_listing(tmp_path)
    (tmp_path / "a.xmp").unlink()
    with (tmp_path / "a.xmp").open("wb") as file:
        file.truncate(1 << 27)  # a hole, which takes no room
    with pytest.raises(DataError, match="too large for a sidecar"):
        read_listing(tmp_path)


def test_a_damaged_packet_in_an_image_is_none(tmp_path: Path) -> None:
    embed(tmp_path / "a.jpg", "<x:a")
    write(tmp_path, {"b.xmp": xmp_packet(["dog"])}, "b.jpg")
    (tmp_path / "c.jpg").write_bytes(b"no image")
    found = keywords(read_listing(tmp_path))
    assert found == {"a.jpg": [], "b.jpg": ["dog"], "c.jpg": []}
    shutil.rmtree(tmp_path)
