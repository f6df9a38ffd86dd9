"""Names of classes that probably mean one and the same class."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tacit.check.findings import Findings

# A slip of the pen is rare beside the right name, and in names long enough to be told by the rest.
SHORTEST = 5
RARE, AT_MOST = 0.05, 2
_APART = re.compile(r"[\s_\-]+")


def find_spellings(names: Sequence[str], counts: Sequence[int], findings: Findings) -> None:
    """Report names that differ in case and spaces, and rare names a letter beside common ones.

    Args:
        names: The classes.
        counts: How many images show each.
        findings: Where to report.
    """
    folded: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        folded[_strip_name(name)].append(number)
    commonest: dict[str, int] = {}
    for plain, numbers in folded.items():
        first, *others = sorted(numbers, key=lambda number: (-counts[number], number))
        commonest[plain] = first
        for other in others:
            _tell("class_variant", other, first, names, counts, findings)
    for one, two in sorted(set(_pairs(list(commonest)))):
        first, other = sorted((commonest[one], commonest[two]), key=lambda number: -counts[number])
        if counts[other] <= max(AT_MOST, RARE * counts[first]) and counts[first] > AT_MOST:
            _tell("class_typo", other, first, names, counts, findings)


def _tell(
    kind: str,
    number: int,
    meant: int,
    names: Sequence[str],
    counts: Sequence[int],
    findings: Findings,
) -> None:
    said = {"class": names[number], "other": names[meant]}
    findings.add(kind, {**said, "count": counts[number], "others": counts[meant]})


def is_same_or_slip(one: str, two: str) -> bool:
    """Whether two names mean one class as far as one can tell from their letters."""
    plain = _strip_name(one), _strip_name(two)
    return plain[0] == plain[1] or min(map(len, plain)) >= SHORTEST - 1 and is_slip(*plain)


def _strip_name(name: str) -> str:
    """Return what is left of a name without case, spaces, hyphens and underscores."""
    text = unicodedata.normalize("NFKC", name)
    return _APART.sub(" ", "".join(sign for sign in text if _shows(sign))).strip().casefold()


def _shows(sign: str) -> bool:
    return sign.isprintable() or sign.isspace()


def _pairs(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield names that are a slip apart, found by what is left when letters are taken out."""
    left: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if len(name) >= SHORTEST:
            for rest in {name, *(name[:at] + name[at + 1 :] for at in range(len(name)))}:
                left[rest].append(name)
    for together in left.values():
        for place, one in enumerate(together):
            for two in together[:place]:
                if is_slip(one, two):
                    yield (one, two) if one < two else (two, one)


def is_slip(one: str, two: str) -> bool:
    """Whether one letter was left out, put in, mistaken, or swapped with its neighbour.

    First letters are seldom mistaken, and other digits are meant.
    """
    if one[:1] != two[:1] or re.sub(r"\D", "", one) != re.sub(r"\D", "", two):
        return False
    short, long = sorted((one, two), key=len)
    start = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
    if start is None:
        return len(long) - len(short) == 1
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = short[start + 1 : start + 2] + short[start] + short[start + 2 :]
    return long[start:] == swapped or long[start + 1 :] == short[start + 1 :]
