"""Keywords in sidecars change, and nothing else in them, nor any image."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.formats.examples import xmp, xmp_packet
from data.formats.test_round_trip import NAMES, folder, listings, with_files
from data.formats.test_xmp import embed, keywords, write
from tacit.data.formats import read_listing
from tacit.data.formats.xmp import SUBJECT, TAGS, TREE, read_keywords
from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError
from tacit.repair.apply import Change, compare
from tacit.repair.verdicts import Answer, Verdict
from tacit.repair.write_back.sidecars import EMPTY, edit_packet
from tacit.repair.write_back.write import (
    Written,
    complete_difference,
    read_changes,
    read_labels,
    write_repaired,
)

SETTINGS = settings(max_examples=80, derandomize=True, deadline=None, database=None)
PLACES = {"Dog": ["Animals", "Dog"], "Cat": ["Animals", "Cat"]}


def edit(packet: str, *cells: tuple[str, int], leaf: bool = False) -> str:
    changes = [Change("a.jpg", name, -new if new < 0 else 0, new, "person") for name, new in cells]
    return edit_packet(packet.encode(), changes, PLACES, leaf, Path("a.xmp")).decode()


def say(image: str, label: str, answer: Answer) -> Verdict:
    return Verdict(f"{image}{label}", image, label, answer, "ann", "2026-01-01T00:00:00Z")


def repair(path: Path, out: Path, *verdicts: Verdict, **options: object) -> Written:
    labels = read_labels(path)
    difference = compare(labels.listing, verdicts)
    complete_difference(labels, difference)
    return write_repaired(labels, difference, out, **options)  # type: ignore[arg-type]


def test_one_keyword_more_is_one_line_more() -> None:
    before = xmp_packet(["cat"], rest="\n   <!-- kept --><xmp:Label>Red</xmp:Label>")
    line = "     <rdf:li>cat</rdf:li>\n"
    assert edit(before, ("dog", 1)) == before.replace(line, line + line.replace("cat", "dog"))
    assert edit(edit(before, ("dog", 1)), ("cat", -1), leaf=True).count("<rdf:li>dog</rdf:li>") == 1


def test_a_keyword_that_is_there_already_or_not_there_changes_nothing() -> None:
    before = xmp_packet(["cat"])
    assert edit(before, ("cat", 1)) == before


def test_paths_go_where_paths_are_and_their_last_step_where_none_are() -> None:
    both = xmp_packet(["Dog"], ["Animals|Dog"])
    found = read_keywords(edit(both, ("Cat", 1), ("Dog", -1)).encode(), Path()).items
    assert found[SUBJECT] == ["Cat"] and found[TREE] == ["Animals|Cat"] and TAGS not in found
    found = read_keywords(edit(xmp_packet(["x"]), ("Cat", 1)).encode(), Path()).items
    assert found == {SUBJECT: ["x", "Cat"]}
    found = read_keywords(edit(xmp_packet(), ("Cat", 1)).encode(), Path()).items
    assert found == {SUBJECT: ["Cat"], TAGS: ["Animals/Cat"], TREE: ["Animals|Cat"]}


@pytest.mark.parametrize(
    "packet",
    [
        xmp_packet(["a"]),
        "\ufeff" + xmp_packet(["a"]),
        xmp_packet(["a", "a &amp; b"], ["x|a"]),
        xmp_packet(),
        # No end of its own, signs in attributes, other prefixes, no blanks.
        '<m xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:RDF><r:Description a="/>"/>'
        "</r:RDF></m>",
        '<m xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:d="http://purl.org/dc/elements/1.1/"><r:RDF><r:Description><d:subject><r:Bag/>'
        "</d:subject></r:Description><r:Description/></r:RDF></m>",
        '<m xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:d="http://purl.org/dc/elements/1.1/"><r:RDF><r:Description><d:subject><r:Bag>'
        '<r:li xml:lang="x">é</r:li><r:li/></r:Bag></d:subject></r:Description></r:RDF></m>',
    ],
)
@SETTINGS
@given(names=st.lists(NAMES.filter(str.strip), min_size=1, max_size=3, unique=True))
def test_whatever_name_is_added_is_read_again_and_taken_out_again(
    packet: str, names: list[str]
) -> None:
    before = read_keywords(packet.encode(), Path()).present()
    try:
        after = edit(packet, *((name, 1) for name in names))
    except DataError as error:
        assert "cannot be a keyword" in str(error)
        return
    found = read_keywords(after.encode(), Path()).present()
    assert set(found) == {*before, *names}
    gone = edit(after, *((name, -1) for name in names), leaf=True)
    left = read_keywords(gone.encode(), Path())
    assert set(left.present()) >= {*before} - {*names}
    assert not set(left.present("leaf")) & {*names}


def test_sidecars_of_changed_images_are_written_and_read_over_the_old_ones(tmp_path: Path) -> None:
    path = xmp(tmp_path / "images")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    written = repair(
        path, tmp_path / "new", say("2.jpg", "cat", "present"), say("3.jpg", "dog", "absent")
    )
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    names = sorted(file.name for file in (tmp_path / "new").iterdir())
    assert names == ["2.xmp", "3.jpg.xmp", "changes.jsonl"]
    assert written.images == path
    listing = read_listing(tmp_path / "new", images=path)
    assert keywords(listing) == {
        "1.jpg": ["cat", "dog"],
        "2.jpg": ["cat", "dog"],
        "3.jpg": ["bird"],
    }
    assert keywords(listing, -1)["3.jpg"] == ["dog"]


def test_beside_the_images_sidecars_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    path = xmp(tmp_path / "images")
    embed(path / "4.jpg", xmp_packet(["dog"], rest="<xmp:Label>Red</xmp:Label>"))
    images = {file.name: file.read_bytes() for file in path.glob("*.jpg")}
    verdicts = [say("2.jpg", "cat", "present"), say("4.jpg", "bird", "present")]
    repair(path, Path(), *verdicts, beside=True)
    assert {file.name: file.read_bytes() for file in path.glob("*.jpg")} == images
    found = keywords(read_listing(path))
    assert found["2.jpg"] == ["cat", "dog"] and found["4.jpg"] == ["bird", "dog"]
    assert "<xmp:Label>Red" in (path / "4.jpg.xmp").read_text()  # as the image says it itself
    assert [said["image"] for said in read_changes(path)] == ["2.jpg", "4.jpg"]
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UsageError, match="sidecars of images with keywords alone"):
        labels = read_labels(path)
        write_repaired(labels, compare(labels.listing, []), Path(), to="cvat", beside=True)


def test_who_is_told_of_a_dog_is_told_of_an_animal(tmp_path: Path) -> None:
    tree = xmp_packet(["Dog"], ["Animals|Dog"])
    write(tmp_path, {"a.xmp": tree, "b.xmp": xmp_packet(["beach"], ["beach"])}, "a.jpg", "b.jpg")
    repair(tmp_path, tmp_path / "new", say("b.jpg", "Dog", "present"))
    rules = {said["class"]: said["rule"] for said in read_changes(tmp_path / "new")}
    assert rules == {"Dog": "person", "Animals": "implied"}
    text = (tmp_path / "new" / "b.xmp").read_text()
    assert re.findall("<rdf:li>(.*)</rdf:li>", text) == ["beach", "Dog", "beach", "Animals|Dog"]


def test_an_animal_that_is_absent_and_a_dog_that_is_there_are_not_guessed_about(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"a.xmp": xmp_packet(["Dog"], ["Animals|Dog"])}, "a.jpg")
    with pytest.raises(DataError, match="'Animals.Dog', which says that 'Animals' is there"):
        repair(tmp_path, tmp_path / "new", say("a.jpg", "Animals", "absent"))
    assert not (tmp_path / "new").exists()


def test_a_sidecar_of_two_images_is_not_changed_for_one(tmp_path: Path) -> None:
    write(tmp_path, {"a.xmp": xmp_packet(["dog", "cat"])}, "a.jpg", "a.png")
    with pytest.raises(DataError, match="belongs to several images|cannot say"):
        repair(tmp_path, tmp_path / "new", say("a.jpg", "cat", "absent"))


def test_a_packet_that_cannot_be_changed_is_refused() -> None:
    with pytest.raises(DataError, match="not UTF-8"):
        edit_packet(xmp_packet(["a"]).encode("utf-16"), [], {}, False, Path("a.xmp"))
    with pytest.raises(DataError, match="no rdf:Description"):
        edit("<a/>", ("cat", 1))
    bare = xmp_packet(["a"]).replace("<rdf:Bag>", "").replace("</rdf:Bag>", "")
    with pytest.raises(DataError, match="in a way that cannot be added to"):
        edit(re.sub("<rdf:li>a</rdf:li>", "a", bare), ("cat", 1))


def test_an_odd_name_that_paths_are_written_with_is_a_flat_keyword() -> None:
    with folder():
        found = read_keywords(edit(xmp_packet(), ("a/b|c", 1)).encode(), Path())
    assert found.items == {SUBJECT: ["a/b|c"]}


@SETTINGS
@given(listing=listings(), data=st.data())
def test_any_keywords_are_repaired_and_read_again(listing: Listing, data: st.DataObject) -> None:
    with folder() as here:
        plain = replace(listing, images=[Path(name).name for name in listing.images], splits=())
        if len({name.lower() for name in plain.images}) < len(plain) or not with_files(plain, here):
            return  # a sidecar is found whatever the case of its name
        try:
            for row, image in enumerate(plain.images):
                states = zip(plain.classes, plain.labels[row].tolist(), strict=True)
                cells = [Change(image, name, 0, state, "person") for name, state in states if state]
                written = edit_packet(EMPTY.encode(), cells, {}, False, Path(image))
                (here / f"{image}.xmp").write_bytes(written)
            labels = read_labels(here, format="xmp")
        except DataError as error:
            assert re.search("cannot be a keyword|none of them has|no images whose", str(error))
            return
        before = labels.listing
        cells = st.tuples(st.sampled_from(before.images), st.sampled_from(before.classes))
        answers: st.SearchStrategy[Answer] = st.sampled_from(["present", "absent"])
        chosen = data.draw(st.dictionaries(cells, answers, max_size=5))
        difference = compare(before, [say(*cell, answer) for cell, answer in chosen.items()])
        goal = here / "new"
        write_repaired(labels, difference, goal)
        again = read_listing(goal, format="xmp", images=here)
        wanted = difference.apply_to(before)
        assert again.labels.equals(wanted.labels) and again.classes == wanted.classes
        for (image, name), answer in chosen.items():
            assert name in keywords(again, 1 if answer == "present" else -1)[image]
