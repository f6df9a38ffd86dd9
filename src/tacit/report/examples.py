"""Examples on a page: an image, where the method looked, and what became of each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape

from tacit.report import set_section, set_text
from tacit.report.images import (
    Heat,
    RGBImage,
    check_image,
    embed,
    enlarge,
    overlay_heat,
    write_ramp_gradient,
)


@dataclass(frozen=True)
class Example:
    """One image, where the method looked, and what became of its labels."""

    image: RGBImage
    masked: RGBImage | None
    heat: Heat | None
    heat_class: str
    known: tuple[str, ...]  # the labels that were given
    found: tuple[str, ...]  # missing labels that the method found
    missed: tuple[str, ...]  # missing labels that it did not find
    wrong: tuple[str, ...]  # labels that it suspected and that are not there
    caption: str

    def __post_init__(self) -> None:
        check_image(self.image, "image")
        if self.masked is not None:
            check_image(self.masked, "masked image")
        if self.heat is not None and (self.heat.ndim != 2 or not self.heat.size):
            raise ValueError(f"The heat must have shape (h, w), not {self.heat.shape}.")


@dataclass(frozen=True)
class _Mark:
    """A kind of chip: its style, the word for it, what it means, its symbol."""

    kind: str
    word: str
    meaning: str
    strokes: str


_MARKS = (
    _Mark("known", "given", "came with the image", "M3.5 8.5l3 3l6-7"),
    _Mark("found", "found", "missing, found by the method", "M8 3.5v9M3.5 8h9"),
    _Mark("missed", "not found", "missing, and still hidden", "M8 4a4 4 0 1 0 .01 0"),
    _Mark("wrong", "wrong", "suspected, but not there", "M4 4l8 8M12 4l-8 8"),
)


@dataclass(frozen=True)
class Gallery:
    """Examples under a heading; words say what the four kinds of labels mean there, if not the
    usual: for each of known, found, missed and wrong the word and its meaning."""

    heading: str
    examples: tuple[Example, ...]
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def draw_gallery(gallery: Gallery, name: str = "examples") -> str:
    """Draw the section of some examples with its key; without examples there is no section."""
    examples = gallery.examples
    if not examples:
        return ""
    marks = [
        replace(mark, word=escape(said[0]), meaning=escape(said[1]))
        if (said := gallery.words.get(mark.kind))
        else mark
        for mark in _MARKS
    ]
    symbols = "".join(
        f'<symbol id="mark-{mark.kind}" viewBox="0 0 16 16"><path d="{mark.strokes}"/></symbol>'
        for mark in marks
    )
    key = "".join(
        f'<li><span class="chip {mark.kind}">{_symbol(mark)}{mark.word}</span>{mark.meaning}</li>'
        for mark in marks
    )
    heat = (
        f'<li><span class="ramp" style="background: {write_ramp_gradient()}"></span>'
        "evidence, from little to much</li>"
        if any(example.heat is not None for example in examples)
        else ""
    )
    articles = "".join(_example(example, marks) for example in examples)
    return set_section(
        name,
        escape(gallery.heading),
        f'<ul class="key">{key}{heat}</ul>\n<div class="gallery">\n{articles}</div>\n'
        f'<svg class="symbols" width="0" height="0" aria-hidden="true">{symbols}</svg>\n',
    )


def _symbol(mark: _Mark) -> str:
    return f'<svg viewBox="0 0 16 16" aria-hidden="true"><use href="#mark-{mark.kind}"/></svg>'


def _example(example: Example, marks: Sequence[_Mark]) -> str:
    there = ", ".join((*example.known, *example.found, *example.missed)) or "no known class"
    name = example.heat_class
    figures = [_figure(example.image, f"An image that shows {there}.", "the image")]
    if example.heat is not None:
        figures.append(
            _figure(
                overlay_heat(example.image, example.heat),
                f"The same image; bright parts speak for {name}.",
                f"evidence for <bdi>{escape(name)}</bdi>",
            )
        )
    if example.masked is not None:
        figures.append(
            _figure(
                example.masked,
                f"The same image with all but the evidence for {name} hidden.",
                "all else hidden",
            )
        )
    chips = "".join(
        f'<li class="chip {mark.kind}">{_symbol(mark)}<span class="unseen">'
        f"{mark.word}: </span><bdi>{escape(label)}</bdi></li>"
        for mark in marks
        for label in getattr(example, mark.kind)
    )
    chips = f'<ul class="chips">{chips}</ul>' if chips else ""
    caption = f"<p>{set_text(example.caption)}</p>" if example.caption else ""
    return (
        f'<article>\n<div class="images">{"".join(figures)}</div>\n{chips}\n{caption}</article>\n'
    )


def _figure(image: RGBImage, alternative: str, caption: str) -> str:
    """Show one image; ``caption`` is HTML, ``alternative`` is text."""
    large = enlarge(image)
    return (
        f'<figure><img src="{embed(large)}" width="{large.shape[1]}" height="{large.shape[0]}" '
        f'alt="{escape(alternative)}"><figcaption>{caption}</figcaption></figure>'
    )
