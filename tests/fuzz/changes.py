"""Changes of files: of bytes, of words and lines, and of what a JSON document is built of."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

LARGEST = 1 << 20

WORDS = (
    *(b"", b"\0", b"\n", b"\r", b"\r\n", b"\t", b",", b";", b"|", b'"', b"'", b"\\"),
    *(b"[", b"]", b"{", b"}", b"<", b">", b"[]", b"{}", b": ", b"- ", b"# ", b"~", b" "),
    *(b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b".inf", b"1e999", b"0x10", b"1_000"),
    *(b"-1", b"0", b"1", b"2", b"9" * 25, b"1" * 5000, "²".encode(), "١".encode()),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\x1b[2J"),
    *("é".encode(), "e\u0301".encode(), "\u2028".encode(), "\x85".encode(), b"\x0b", b"\x0c"),
    *(b"../../x", b"/etc/hostname", b"C:\\x", b"<script>", b"=1+1", b"A" * 70_000),
    *(b"[" * 5000, b'{"a":' * 3000, b"a = [" * 400, b"&amp;", b"&x;", b"<!DOCTYPE a>"),
    *(b"<?xml version='1.0' encoding='utf-7'?>", b"&a [*a]", b"*a", b"<<: ", b"---\n"),
)
LENGTHS = (0, -1, 1, 255, 65536, 2**31 - 1, -(2**31))
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", " ", "\u2028", "\ud800"),
    *("../x", "\0", [], {}, [[]], [None], {"a": 1}, "x" * 1000, [1, "a", None], [1, 2, 3, 4]),
    *("1", "\n", "\r", ["cat", "cat"], "cat;cat", [["a", 1]], [-1], [2**40], {"": {}}),
)


def change_bytes(random: Random, content: bytes) -> bytes:
    """Change a file in one place or in a few."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        random.choice(STEPS)(random, data)
    return bytes(data[:LARGEST])


def _turn_a_bit(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _cut(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data) + 1) :]


def _insert(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data) + 1)
    data[at : at + random.choice((0, 1, 4, 12))] = random.choice(WORDS)


def _remove(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data) + 1)
    del data[at : at + random.randrange(1, 40)]


def _repeat(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.randrange(1, 60))
    data[end:end] = data[at:end] * random.choice((1, 1, 2, 30))


def _set_length(random: Random, data: bytearray) -> None:
    if len(data) > 8:
        at = random.randrange(len(data) - 4)
        data[at : at + 4] = struct.pack("<i", random.choice(LENGTHS))


def _swap_words(random: Random, data: bytearray) -> None:
    words = list(re.finditer(rb"[A-Za-z0-9_.]+", bytes(data)))
    if words:
        word, other = random.choice(words), random.choice(words).group()
        choices = (other, random.choice(WORDS), word.group() * 2, word.group().upper())
        data[word.start() : word.end()] = random.choice(choices)


def _swap_lines(random: Random, data: bytearray) -> None:
    lines = bytes(data).split(b"\n")
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    data[:] = b"\n".join(lines[: random.randrange(len(lines)) + 1] + lines[two:])


def _replace(random: Random, data: bytearray) -> None:
    old = random.choice((b"cat", b"dog", b"bird", b".jpg", b"1", b"0", b'"', b",", b":", b"="))
    data[:] = bytes(data).replace(old, random.choice(WORDS), random.choice((1, 3)))[:LARGEST]


STEPS = (
    *(_turn_a_bit, _turn_a_bit, _cut, _insert, _insert, _remove, _repeat),
    *(_set_length, _swap_words, _swap_words, _swap_lines, _replace),
)


def change_document(random: Random, content: bytes) -> bytes:
    """Change what a JSON document holds, or one of the documents on lines; else its bytes."""
    try:
        text = content.decode()
        lines = [text] if text.count("\n") < 2 or text[0] in "[{" > text[1] else text.splitlines()
        documents = [json.loads(line) for line in lines if line.strip()]
        for _ in range(random.choice((1, 1, 2, 3))):
            which = random.randrange(len(documents))
            documents[which] = _changed(random, documents[which])
        ascii_only = random.random() < 0.5
        lines = [json.dumps(document, ensure_ascii=ascii_only) for document in documents]
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    except (ValueError, IndexError):
        return change_bytes(random, content)


def _changed(random: Random, document: Any) -> Any:
    *way, last = random.choice([["", *path] for path in _paths(document)])
    if not way:
        return deepcopy(random.choice(VALUES)) if random.random() < 0.3 else document
    parent = document
    for key in way[1:]:
        parent = parent[key]
    action = random.randrange(5)
    if action <= 2:
        parent[last] = deepcopy(random.choice(VALUES))
    elif action == 3:
        del parent[last]
    elif isinstance(parent, list):
        parent.append(deepcopy(random.choice((random.choice(VALUES), parent[last]))))
    else:
        parent[random.choice(("id", "", "name", "data", "\ud800", "A", "image"))] = parent.pop(last)
    return document


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inside = value.items() if isinstance(value, dict) else ()
    for key, each in enumerate(value) if isinstance(value, list) else inside:
        yield from _paths(each, (*path, key))
