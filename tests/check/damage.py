"""Damage of every kind: what is done to a healthy data set, and exactly what has to be found."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from check.planted import ASIDE, CLASSES, TRAINED, Photos, draw_image

# kind and the image or class that the finding names; none where it names none
Expected = set[tuple[str, str | None]]
Damage = Callable[[Photos], Expected]
NAME = "003.png"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"  # as such a file begins


def conflict(photos: Photos) -> Expected:
    columns = {
        name: ["1" if name in row["labels"] else "" for row in photos.rows] for name in CLASSES
    }
    shown = photos.rows[3]["labels"].split(";")[0]
    columns[shown][3] = "0"
    photos.write(columns)
    return {("unreadable", None), ("conflict", NAME)}


def unlisted_class(photos: Photos) -> Expected:
    (photos.folder / "classes.txt").write_text("boat\nhouse\ntree\nwaterfall\n")
    photos.rows[3]["labels"] += ";watrefall"
    photos.write()
    slip = ("class_typo", "watrefall")
    return {("unreadable", None), ("unlisted_class", "watrefall"), slip}


def blank_name(photos: Photos) -> Expected:
    photos.add("")
    photos.write()
    return {("unreadable", None), ("blank_name", None)}


def two_splits(photos: Photos) -> Expected:
    photos.add(NAME, split="test")
    photos.write()
    return {("unreadable", None), ("two_splits", NAME), ("listed_twice", NAME)}


def odd_splits(photos: Photos) -> Expected:
    for row in photos.rows:
        row["split"] = {"train": "one", "test": "two"}[row["split"]]
    photos.write()
    return {("odd_splits", None)}


def listed_twice(photos: Photos) -> Expected:
    photos.rows.append(dict(photos.rows[3]))
    photos.write()
    return {("listed_twice", NAME)}


def outside(photos: Photos) -> Expected:
    photos.add("../labels.csv")
    photos.write()
    return {("outside", "../labels.csv")}


def long_name(photos: Photos) -> Expected:
    photos.add(f"{'é' * 130}.png")
    photos.write()
    return {("long_name", f"{'é' * 130}.png")}


def missing(photos: Photos) -> Expected:
    photos.path(3).unlink()
    return {("missing", NAME)}


def no_images(photos: Photos) -> Expected:
    photos.images.rename(photos.folder / "elsewhere")
    return {("no_images", None)}


def case_clash(photos: Photos) -> Expected:
    draw_image(100).save(photos.add("003.PNG"))
    photos.write()
    return {("case_clash", "003.PNG")}


def unicode_clash(photos: Photos) -> Expected:
    for seed, name in ((100, "caf\u00e9.png"), (101, "cafe\u0301.png")):
        draw_image(seed).save(photos.add(name))
    photos.write()
    return {("unicode_clash", "cafe\u0301.png")}


def link_outside(photos: Photos) -> Expected:
    photos.path(3).rename(photos.folder / "elsewhere.png")
    photos.path(3).symlink_to(photos.folder / "elsewhere.png")
    return {("link_outside", NAME)}


def unlisted(photos: Photos) -> Expected:
    (photos.images / "more").mkdir()
    draw_image(100).save(photos.images / "more" / "new.png")
    return {("unlisted", "more/new.png")}


def no_file(photos: Photos) -> Expected:
    photos.path(3).unlink()
    os.mkfifo(photos.path(3))
    return {("no_file", NAME)}


def empty_file(photos: Photos) -> Expected:
    photos.path(3).write_bytes(b"")
    return {("empty_file", NAME)}


def not_an_image(photos: Photos) -> Expected:
    photos.path(3).write_text("<html>404</html>")
    return {("not_an_image", NAME)}


def corrupt(photos: Photos) -> Expected:
    """Half of a JPEG: its head is fine, and `verify()` finds nothing wrong with it."""
    path = photos.add("half.jpg")
    draw_image(100, (200, 160)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Image.open(path) as image:
        image.verify()
    photos.write()
    return {("corrupt", "half.jpg")}


def _chunk(name: bytes, body: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + check


def bomb(photos: Photos) -> Expected:
    for name, side in (("big.png", 12_000), ("huge.png", 60_000)):
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        data = _chunk(b"IDAT", zlib.compress(b"\0" * 100)) + _chunk(b"IEND", b"")
        photos.add(name).write_bytes(b"\x89PNG\r\n\x1a\n" + head + data)
    photos.write()
    return {("bomb", "big.png"), ("bomb", "huge.png")}


def unknown_format(photos: Photos) -> Expected:
    photos.add("photo.heic").write_bytes(HEIC)
    photos.write()
    return {("unknown_format", "photo.heic")}


def wrong_suffix(photos: Photos) -> Expected:
    draw_image(100).save(photos.add("photo.jpg"), "PNG")
    photos.write()
    return {("wrong_suffix", "photo.jpg")}


def animated(photos: Photos) -> Expected:
    frames = [draw_image(100 + number).quantize() for number in range(3)]
    path = photos.add("moving.gif")
    frames[0].save(path, save_all=True, append_images=frames[1:])
    photos.write()
    return {("animated", "moving.gif"), ("palette", "moving.gif")}


def tiny(photos: Photos) -> Expected:
    draw_image(100, (9, 30)).save(photos.path(3))
    return {("tiny", NAME)}


def stretched(photos: Photos) -> Expected:
    draw_image(100, (400, 20)).save(photos.path(3))
    return {("stretched", NAME)}


def blank(photos: Photos) -> Expected:
    for number, colour in ((3, "navy"), (5, "navy"), (6, "white")):
        Image.new("RGB", (48, 40 + number), colour).save(photos.path(number))
    return {("blank", NAME), ("blank", "005.png"), ("blank", "006.png")}


def sixteen_bit(photos: Photos) -> Expected:
    deep = np.asarray(draw_image(100).convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(photos.path(3))
    with Image.open(photos.path(3)) as image:
        assert image.mode.startswith("I")
    # Pillow opens deep colour as if it were of 8 bits.
    rows = b"".join(b"\0" + bytes(row) for row in np.asarray(draw_image(101)).repeat(2, 2))
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", 48, 40, 16, 2, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    photos.path(5).write_bytes(b"\x89PNG\r\n\x1a\n" + head + data)
    return {("sixteen_bit", NAME), ("sixteen_bit", "005.png")}


def cmyk(photos: Photos) -> Expected:
    draw_image(100).convert("CMYK").save(photos.add("print.jpg"))
    photos.write()
    return {("cmyk", "print.jpg")}


def palette(photos: Photos) -> Expected:
    draw_image(100).quantize(64).save(photos.path(3))
    return {("palette", NAME)}


def transparent(photos: Photos) -> Expected:
    shown = draw_image(100)
    shown.putalpha(shown.getchannel(0))
    shown.save(photos.path(3))
    return {("transparent", NAME)}


def rotated(photos: Photos) -> Expected:
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_image(100).save(photos.add("turned.jpg"), exif=exif)
    photos.write()
    return {("rotated", "turned.jpg")}


def leak(photos: Photos) -> Expected:
    photos.path(3).write_bytes(photos.path(TRAINED).read_bytes())
    return {("leak", NAME)}


def near_leak(photos: Photos) -> Expected:
    draw_image(200, (300, 200)).save(photos.path(TRAINED))
    draw_image(200, (300, 200)).resize((150, 100)).save(photos.add("small.jpg"), quality=80)
    photos.write()
    return {("near_leak", "small.jpg")}


def duplicate(photos: Photos) -> Expected:
    for number in (5, 6):
        photos.path(number).write_bytes(photos.path(3).read_bytes())
    return {("duplicate", "005.png"), ("duplicate", "006.png")}


def near_duplicate(photos: Photos) -> Expected:
    shown = draw_image(200, (300, 200))
    shown.save(photos.path(3))
    shown.point(lambda level: min(255, level + 20)).save(photos.add("again.jpg"), quality=40)
    photos.write()
    return {("near_duplicate", "again.jpg")}


def duplicates_disagree(photos: Photos) -> Expected:
    photos.path(6).write_bytes(photos.path(3).read_bytes())
    photos.rows[3]["labels"], photos.rows[6]["labels"] = "waterfall;tree", "waterfall"
    photos.write({"negatives": ["tree" if n == 6 else "" for n in range(len(photos.rows))]})
    return {("duplicate", "006.png"), ("duplicates_disagree", "006.png")}


def set_apart(photos: Photos) -> Expected:
    photos.path(ASIDE).write_bytes(photos.path(3).read_bytes())
    name = photos.rows[ASIDE]["file"]
    return {("duplicate", name), ("set_apart", name)}


def unread_names(photos: Photos) -> Expected:
    shown = [row["labels"] for row in photos.rows]
    photos.write({"not": ["" if "tree" in labels else "tree" for labels in shown]})
    return {("unread_names", None)}


def unread_column(photos: Photos) -> Expected:
    shops = [f"shop {n % 3}" for n in range(len(photos.rows))]
    photos.write({"shop": shops, "till no": range(len(photos.rows))})
    return {("unread_column", None)}


def against_rules(photos: Photos) -> Expected:
    rules = photos.folder / "tree.txt"
    rules.write_text("exclusive: boat, house, tree\n")
    for row in photos.rows:
        row["labels"] = row["labels"].partition(";")[0]
    photos.rows[3]["labels"] = "boat;house"
    photos.options["taxonomy"] = str(rules)
    photos.write()
    return {("against_rules", NAME)}


def too_many(photos: Photos) -> Expected:
    photos.rows[3]["labels"] = "boat;house;tree"
    photos.options["at_most"] = 2
    photos.write()
    return {("too_many", NAME)}


def divided_group(photos: Photos) -> Expected:
    photos.write({"product": [n if n < 30 else n - 27 for n in range(len(photos.rows))]})
    photos.options["groups"] = "product"
    return {("divided_group", NAME), ("divided_group", "004.png")}


def few_classes(photos: Photos) -> Expected:
    for row in photos.rows:
        row["labels"] = "boat"
    photos.write()
    return {("few_classes", None), ("always_present", "boat")}


def class_variant(photos: Photos) -> Expected:
    for number in (3, 7):  # both show waterfalls
        photos.rows[number]["labels"] = "Waterfall;tree"
    photos.write()
    return {("class_variant", "Waterfall")}


def class_typo(photos: Photos) -> Expected:
    photos.rows[3]["labels"] = photos.rows[3]["labels"].replace("waterfall", "watrefall")
    photos.write()
    return {("class_typo", "watrefall")}


def unlabelled(photos: Photos) -> Expected:
    photos.rows[3]["labels"] = ""
    photos.write()
    return {("unlabelled", NAME)}


def empty_class(photos: Photos) -> Expected:
    (photos.folder / "classes.txt").write_text("boat\nhouse\ntree\nwaterfall\nzebra\n")
    return {("empty_class", "zebra")}


def untrained_class(photos: Photos) -> Expected:
    for row in photos.rows[TRAINED:]:
        row["labels"] += ";zebra"
    photos.write()
    return {("untrained_class", "zebra")}


def always_present(photos: Photos) -> Expected:
    for row in photos.rows:
        row["labels"] += ";outdoors"
    photos.write()
    return {("always_present", "outdoors")}


def identical_classes(photos: Photos) -> Expected:
    for row in photos.rows:
        if "house" in row["labels"]:
            row["labels"] += ";roof"
    photos.write()
    return {("identical_classes", "roof")}


def rare_class(photos: Photos) -> Expected:
    photos.rows[3]["labels"] += ";zebra"
    photos.write()
    return {("rare_class", "zebra")}


DAMAGES: tuple[Damage, ...] = (
    *(conflict, unlisted_class, blank_name, two_splits, odd_splits, listed_twice),
    *(outside, long_name, missing, no_images, case_clash, unicode_clash, link_outside),
    *(unlisted, no_file, empty_file, not_an_image, unknown_format, corrupt, bomb),
    *(wrong_suffix, animated),
    *(tiny, stretched, blank, sixteen_bit, cmyk, palette, transparent, rotated),
    *(unread_names, unread_column, against_rules, too_many, divided_group),
    *(leak, near_leak, duplicate, near_duplicate, set_apart, duplicates_disagree),
    *(few_classes, class_variant, class_typo, unlabelled, empty_class, untrained_class),
    *(always_present, identical_classes, rare_class),
)
