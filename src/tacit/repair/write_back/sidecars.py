"""Changing keywords in XMP sidecars; whatever else they say stays as it is, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.sax.saxutils import escape

from tacit.data.formats.shared.xml_files import make_parser, parse
from tacit.data.formats.xmp import (
    ABSENT,
    ITEM,
    RDF,
    STEPS,
    SUBJECT,
    SUFFIX,
    TAGS,
    TREE,
    find_sidecars,
    read_packet,
    read_sidecar,
    sidecars_of,
)
from tacit.data.listing import Listing
from tacit.errors import DataError
from tacit.repair.apply import Change, Difference
from tacit.repair.write_back.splice import Edit, splice

ORDER = (SUBJECT, TAGS, TREE, ABSENT)
PREFIXES = {SUBJECT: "dc", TAGS: "digiKam", TREE: "lr", ABSENT: "tacit"}
IMPLIED = "implied"  # by the keyword's place below others
KINDS = {TAGS: "Seq"}  # the others are bags
EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n'
    '  <rdf:Description rdf:about="">\n'
    "  </rdf:Description>\n"
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>\n'
)


@dataclass
class _Bag:
    """Where a list of keywords is: its element, and its items with their texts."""

    element: tuple[int, int] | None = None
    items: list[tuple[int, int, str]] = field(default_factory=list)


@dataclass
class _Packet:
    """Where the pieces of a packet are, in bytes."""

    bags: dict[str, _Bag] = field(default_factory=dict)
    description: tuple[int, int] | None = None  # the first one


def imply_above(difference: Difference, listing: Listing, path: Path) -> None:
    """Add what follows from a keyword's place: who is told of a dog is told of an animal."""
    paths = _learn_paths([find_sidecars(folder) for folder in dict.fromkeys((path, listing.root))])
    repaired = difference.apply_to(listing)
    row_of = {image: row for row, image in enumerate(listing.images)}
    implied: dict[tuple[str, str], Change] = {}
    for change in difference.changes:
        above = paths.get(change.label, [])[:-1] if change.new == 1 else []
        states = repaired.labels[row_of[change.image]]
        for name in above:
            if name in listing.classes and states[listing.classes.index(name)] == 0:
                implied[change.image, name] = replace(change, label=name, old=0, rule=IMPLIED)
    difference.changes.extend(implied.values())


def edit_sidecars(
    path: Path, out: Path, listing: Listing, changes: Sequence[Change], leaf: bool
) -> list[str]:
    """Write sidecars of the images that change, and no others, into a new folder.

    Args:
        path: The folder that was read.
        out: The folder to write.
        listing: What was read.
        changes: The changes.
        leaf: Whether the steps above the last one of a path were no classes.
    """
    by_image: dict[str, list[Change]] = {}
    for change in changes:
        by_image.setdefault(change.image, []).append(change)
    places = [find_sidecars(folder) for folder in dict.fromkeys((path, listing.root))]
    sources = {image: _find_source(image, listing.root, places) for image in by_image}
    paths = _learn_paths(places)
    for image, some in by_image.items():
        name, content = sources[image]
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise DataError(f"{path / name} belongs to several images, and one of them changes.")
        target.write_bytes(edit_packet(content, some, paths, leaf, Path(name)))
    return [
        f"{len(by_image):,} sidecars are written, of the images that change; copy them beside the "
        f"images, or read them with the images' folder named"
    ]


def _find_source(image: str, root: Path, places: list[dict[str, Path]]) -> tuple[str, bytes]:
    """Return what an image's sidecar is called, and what it, or the image itself, says now."""
    found = [file for sidecars in places for file in sidecars_of(image, sidecars)]
    said = [file for file in found if read_sidecar(file).items]
    if found:
        file = (said or found)[0]
        # Below its folder as the image is below the images.
        name = str(Path(image).parent / file.name)
        return name, file.read_bytes()
    packet = read_packet(root / image).strip(b"\0")
    return f"{image}{SUFFIX}", packet or EMPTY.encode()


def _learn_paths(places: list[dict[str, Path]]) -> dict[str, list[str]]:
    """Return the path of each class that has one, and one only, in the sidecars there are."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for sidecars in places:
        for file in sidecars.values():
            for steps in read_sidecar(file).paths():
                for last in range(1, len(steps) + 1):
                    found.setdefault(steps[last - 1], set()).add(tuple(steps[:last]))
    return {name: list(next(iter(paths))) for name, paths in found.items() if len(paths) == 1}


def edit_packet(
    content: bytes,
    changes: Sequence[Change],
    paths: Mapping[str, list[str]],
    leaf: bool,
    where: Path,
) -> bytes:
    """Return a packet with keywords added and taken out.

    Args:
        content: The packet, in UTF-8.
        changes: What changes, all of one image.
        paths: The path of each class that has one.
        leaf: Whether only the last steps of paths are classes.
        where: What it is called in messages.
    """
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8, in which sidecars are changed.") from error
    packet = _find_pieces(content, where)
    present = [change.label for change in changes if change.new == 1 and change.rule != IMPLIED]
    absent = [change.label for change in changes if change.new == -1]
    gone = {SUBJECT: set(absent), ABSENT: {change.label for change in changes if change.new == 1}}
    new = {SUBJECT: present, ABSENT: absent}
    for name, sign in STEPS.items():
        bag = packet.bags.get(name)
        items = [text for _, _, text in bag.items] if bag else []
        gone[name] = {text for text in items if _ends(text, sign, absent, leaf, where)}
        steps = [_place(label, paths, absent) for label in present]
        steps = [path for path in steps if not any(sign in step for step in path)]
        wanted = name in packet.bags or not packet.bags.keys() - {ABSENT}
        new[name] = [sign.join(path) for path in steps] if wanted else []
    said = {step for name, sign in STEPS.items() for path in new[name] for step in path.split(sign)}
    implied = [change.label for change in changes if change.rule == IMPLIED]
    new[SUBJECT] = [*present, *(label for label in implied if label not in said)]
    for label in [*present, *absent, *implied]:
        _check_text(label, where)
    edits: list[Edit] = []
    fresh = ""
    for name in ORDER:
        if name in packet.bags:
            edits += _edit_bag(content, packet.bags[name], gone[name], new[name], where)
        elif new[name]:
            fresh += _make_bag(name, list(dict.fromkeys(new[name])))
    if fresh and packet.description:
        edits.append(_add_inside(content, packet.description, fresh, "\n  "))
    # Expat counts bytes, and a splice of Latin-1 is one of bytes.
    return splice(content.decode("latin-1"), edits).encode("latin-1")


def _place(label: str, paths: Mapping[str, list[str]], absent: Sequence[str]) -> list[str]:
    """Return a class with what stands above it, unless some of that is said to be absent."""
    path = paths.get(label, [label])
    return [label] if set(path) & set(absent) else path


def _ends(text: str, sign: str, absent: Sequence[str], leaf: bool, where: Path) -> bool:
    """Whether a path goes because its last step does, or refuse to take more than was said."""
    steps = [step.strip() for step in text.split(sign)]
    above = [label for label in absent if label in steps[:-1] and steps[-1] not in absent]
    if above and not leaf:
        raise DataError(
            f"{where} has the keyword '{text}', which says that '{above[0]}' is there, and a "
            f"person said that it is absent and not that '{steps[-1]}' is. Read the images with "
            f"hierarchy = leaf, or correct one of the two."
        )
    return steps[-1] in absent


def _check_text(label: str, where: Path) -> None:
    odd = [
        sign for sign in label if ord(sign) < 32 and sign not in "\t\n" or sign in "\ufffe\uffff"
    ]
    if odd or label != label.strip():
        raise DataError(f"{where}: the class {label!r} cannot be a keyword in XML; rename it.")


def _find_pieces(content: bytes, where: Path) -> _Packet:
    packet = _Packet()
    begins: list[int] = []

    def start(names: tuple[str, ...], _: dict[str, str]) -> None:
        begins.append(parser.CurrentByteIndex)
        if names[-1] in ORDER:
            packet.bags.setdefault(names[-1], _Bag())

    def end(names: tuple[str, ...], text: str) -> None:
        first = begins.pop()
        last = _find_end(content, first, parser.CurrentByteIndex)
        if names[-1] == ITEM and len(names) > 2 and names[-3] in packet.bags:
            packet.bags[names[-3]].items.append((first, last, text))
        elif len(names) > 1 and names[-2] in packet.bags:
            packet.bags[names[-2]].element = first, last
        elif names[-1] == f"{RDF} Description" and len(names) < 4 and packet.description is None:
            packet.description = first, last

    parser = make_parser(where, start, end, namespaces=True)
    parse(parser, content, where)
    if packet.description is None:
        raise DataError(f"{where} has no rdf:Description to write keywords in.")
    return packet


def _edit_bag(
    content: bytes, bag: _Bag, gone: set[str], new: Sequence[str], where: Path
) -> list[Edit]:
    """Return the edits of one list of keywords that is there."""
    there = {text for _, _, text in bag.items}
    new = [text for text in dict.fromkeys(new) if text not in there]
    edits: list[Edit] = []
    for first, last, text in bag.items:
        if text in gone:
            edits.append((_before_blank(content, first), last, ""))
    if not new:
        return edits
    if bag.element is None:
        raise DataError(f"{where} lists keywords in a way that cannot be added to.")
    if not bag.items:
        items = "".join(f'<rdf:li xmlns:rdf="{RDF}">{_escape(text)}</rdf:li>' for text in new)
        return [*edits, _add_inside(content, bag.element, items, "")]
    first, last, _ = bag.items[-1]
    blank = content[_before_blank(content, first) : first].decode()
    tag = _name_tag(content, first)
    items = "".join(f"{blank}<{tag}>{_escape(text)}</{tag}>" for text in new)
    return [*edits, (last, last, _as_bytes(items))]


def _name_tag(content: bytes, at: int) -> str:
    found = re.match(rb"<([^\s/>]+)", content[at : at + 1000])
    assert found is not None
    return found[1].decode()


def _find_end(content: bytes, first: int, here: int) -> int:
    """Return where an element ends of which expat says where it begins, and where its end does.

    Of one without an end of its own, it says where it ends.
    """
    closing = f"</{_name_tag(content, first)}".encode()
    return content.index(b">", here) + 1 if content.startswith(closing, here) else here


def _add_inside(content: bytes, element: tuple[int, int], inside: str, blank: str) -> Edit:
    """Return the edit that adds something at the end of an element."""
    first, last = element
    closing = f"</{_name_tag(content, first)}"
    at = content.rindex(closing.encode(), first, last) if content[last - 2 : last] != b"/>" else 0
    if at:
        at = _before_blank(content, at)
        return at, at, _as_bytes(inside)
    return last - 2, last, _as_bytes(f">{inside}{blank}{closing}>")


def _as_bytes(text: str) -> str:
    """Return a text whose signs are the bytes of this one."""
    return text.encode().decode("latin-1")


def _make_bag(name: str, new: Sequence[str]) -> str:
    space, _, local = name.partition(" ")
    prefix, kind = PREFIXES[name], KINDS.get(name, "Bag")
    items = "".join(f"\n     <rdf:li>{_escape(text)}</rdf:li>" for text in new)
    return (
        f'\n   <{prefix}:{local} xmlns:{prefix}="{space}" xmlns:rdf="{RDF}">'
        f"\n    <rdf:{kind}>{items}\n    </rdf:{kind}>\n   </{prefix}:{local}>"
    )


def _escape(text: str) -> str:
    return escape(text, {"\r": "&#13;"})


def _before_blank(content: bytes, at: int) -> int:
    """Return where the blanks before a place begin."""
    return len(content[:at].rstrip(b" \t\r\n"))
