"""The report page: self-contained, escaped, well formed, accessible, and written whole or not."""

from __future__ import annotations

import base64
import io
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tacit.report.charts import Chart, Line
from tacit.report.images import RAMP, colour_heat, embed, enlarge, overlay_heat
from tacit.report.page import Example, Page, Table, render_page, write_page

VOID = {"meta", "img", "br", "hr", "input", "link"}
HOSTILE = "<script>alert('1')</script>\" onerror=\"x"
RANDOM = np.random.default_rng(0)


def picture(height: int = 48, width: int = 48) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


def example(name: str = "boat") -> Example:
    heat = np.linspace(0, 1, 144).reshape(12, 12)
    return Example(
        picture(), picture(), heat, name, (name,), ("sun",), ("fish",), ("car",), "A caption."
    )


def page(name: str = "boat") -> Page:
    return Page(
        title=f"A report on {name}",
        lead="First words.\n\nSecond words with `tacit demo`.",
        facts=(("Pictures", "5,000"), ("Seeds", "3")),
        table=Table(
            ("Method", "mAP", "remark"),
            (("full labels", "91.2 ± 0.3", "ceiling"), (name, "85.04", name)),
            f"In percent, {name}.",
            1,
        ),
        examples=(example(name), replace(example(name), heat=None, masked=None)),
        charts=(
            Chart(name, name, "epoch", "mAP", (Line(name, [1, 2, 3], [20.0, None, 77.7]),)),
            Chart("Nothing", "", "epoch", "mAP", ()),
        ),
        notes=(f"A note on {name}.",),
    )


class Reader(HTMLParser):
    """Collects elements and text, and fails where an element is not closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"{tag} has an attribute twice"
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module", params=["boat", HOSTILE], ids=["plain", "hostile"])
def reader(request: pytest.FixtureRequest) -> Reader:
    return Reader(render_page(page(request.param)))


def test_nothing_is_loaded_or_run(reader: Reader) -> None:
    assert not reader.named("script") and not reader.named("link") and not reader.named("iframe")
    for tag, attributes in reader.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), f"{tag} has {key}"
            assert "url(" not in value and "javascript:" not in value
            if key in ("src", "href", "xlink:href", "srcset", "poster", "action"):
                assert value.startswith(("data:image/png;base64,", "#")), (
                    f"{tag} {key}={value[:60]}"
                )
    style = files("tacit.report").joinpath("page.css").read_text(encoding="utf-8")
    assert "url(" not in style and "@import" not in style and "</" not in style


def test_the_policy_forbids_loading_too(reader: Reader) -> None:
    policies = [meta for meta in reader.named("meta") if "http-equiv" in meta]
    assert policies[0]["content"].startswith("default-src 'none'")


def test_headings_language_and_identifiers(reader: Reader) -> None:
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert reader.named("html")[0]["lang"].startswith("en")
    identifiers = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for _, attributes in reader.elements:
        wanted = attributes.get("aria-labelledby", "").split()
        wanted += [attributes["href"][1:]] if attributes.get("href", "").startswith("#") else []
        assert set(wanted) <= set(identifiers)


def test_every_picture_has_an_alternative_and_a_size(reader: Reader) -> None:
    images = reader.named("img")
    assert len(images) == 4  # three for the first example, one for the second
    for image in images:
        assert image["alt"].strip() and int(image["width"]) > 0
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(data)) as embedded:
            assert embedded.format == "PNG" and embedded.size[0] == int(image["width"])


def test_tables_have_headers_with_a_scope(reader: Reader) -> None:
    headers = reader.named("th")
    assert headers and all(header["scope"] in ("col", "row") for header in headers)
    assert len(reader.named("caption")) == 1


def test_the_numbers_and_words_given_appear() -> None:
    text = Reader(render_page(page())).text
    for wanted in ("A report on boat", "5,000", "91.2 ± 0.3", "85.04", "77.7", "A caption.",
                   "Second words with", "tacit demo", "In percent, boat.", "A note on boat.",
                   "no data", "evidence for", "all else hidden"):  # fmt: skip
        assert wanted in text


def test_hostile_names_come_out_as_text() -> None:
    content = render_page(page(HOSTILE))
    assert "<script" not in content
    assert Reader(content).text.count(HOSTILE) >= 10


def test_names_that_are_no_valid_text_do_not_stop_the_report(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", page("caf\udce9"))
    Reader((tmp_path / "index.html").read_text(encoding="utf-8"))


def test_chips_say_in_words_what_their_colour_says() -> None:
    content = render_page(replace(page(), examples=(example(),)))
    chips = re.findall(r'<li class="chip (\w+)">(.*?)</li>', content)
    assert [kind for kind, _ in chips] == ["known", "found", "missed", "wrong"]
    for (kind, chip), word in zip(chips, ("given", "found", "not found", "wrong"), strict=True):
        assert f"#mark-{kind}" in chip and f">{word}: <" in chip


def test_numbers_are_right_aligned_and_words_are_not() -> None:
    cells = re.findall(r'<td role="cell"( class="number")?>(.*?)</td>', render_page(page()))
    assert [bool(number) for number, _ in cells] == [True, False, True, False]


def test_an_almost_empty_page_is_still_a_page() -> None:
    empty = Page("Title", "", (), Table(("Method", "mAP"), (), ""), (), (), ())
    reader = Reader(render_page(empty))
    assert "no data" in reader.text
    assert not reader.named("img") and not reader.named("article") and not reader.named("dl")


def test_an_example_without_labels_draws() -> None:
    bare = Example(picture(7, 300), None, None, "", (), (), (), (), "")
    Reader(render_page(replace(page(), examples=(bare,))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 4), np.uint8)}, "image must be uint8 of shape"),
        ({"image": np.zeros((4, 4, 3), np.float32)}, "image must be uint8 of shape"),
        ({"masked": np.zeros((0, 4, 3), np.uint8)}, "masked image must be uint8 of shape"),
        ({"heat": np.zeros((1, 4, 4))}, "heat must have shape"),
    ],
)
def test_arrays_of_another_kind_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(example(), **change)  # type: ignore[arg-type]


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        Table(("a", "b"), (("1",),), "")
    with pytest.raises(ValueError, match="no row 1"):
        Table(("a",), (("1",),), "", 1)
    with pytest.raises(ValueError, match="at least one column"):
        Table((), (), "")


def test_the_page_stays_light() -> None:
    many = replace(page(), examples=tuple(example() for _ in range(24)))
    assert len(render_page(many).encode()) < 1_500_000


def test_writing_makes_folders_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "demo" / "index.html"
    write_page(target, page())
    write_page(target, replace(page(), title="The second"))
    assert "The second" in target.read_text(encoding="utf-8")
    assert [path.name for path in target.parent.iterdir()] == ["index.html"]


def test_a_page_that_cannot_be_rendered_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "index.html"
    write_page(target, page())
    before = target.read_bytes()

    def fail(*arguments: object) -> str:
        raise RuntimeError("no drawing today")

    monkeypatch.setattr("tacit.report.page.draw_chart", fail)
    with pytest.raises(RuntimeError):
        write_page(target, page())
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_heat_brightens_evenly_and_covers_the_picture() -> None:
    grey = colour_heat(np.linspace(0, 1, 101)) @ (0.299, 0.587, 0.114)
    assert (np.diff(grey) > 0).all()
    assert colour_heat(np.zeros((2, 3))).shape == (2, 3, 3)
    assert (colour_heat(np.ones((1, 1)))[0, 0] == RAMP[-1]).all()
    image = picture(30, 50)
    heat = np.array([[0.0, 1.0], [np.nan, 7.0]])
    covered = overlay_heat(image, heat)
    assert covered.shape == image.shape and covered.dtype == np.uint8
    assert covered[:, -10:].mean() > covered[:, :10].mean() + 40


def test_pictures_come_to_a_good_size_and_keep_their_shape() -> None:
    assert enlarge(picture(48, 48)).shape == (192, 192, 3)
    assert enlarge(picture(600, 300)).shape == (224, 112, 3)
    assert enlarge(picture(200, 100)).shape == (200, 100, 3)
    assert enlarge(picture(1, 1)).shape == (168, 168, 3)
    with Image.open(io.BytesIO(base64.b64decode(embed(picture()).split(",")[1]))) as image:
        assert image.mode == "RGB"


def luminance(colour: str) -> float:
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    """Return the WCAG contrast ratio of two colours."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_keep_enough_contrast(scheme: str) -> None:
    style = files("tacit.report").joinpath("page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours: dict[str, str] = {}
    for block in blocks[: 1 if scheme == "light" else 2]:
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6}|transparent)", block))
    paper = colours["paper"]
    for name in ("ink", "soft", "accent", *(f"tone-{tone}-text" for tone in range(6))):
        assert contrast(colours[name], paper) >= 4.5, name
    assert contrast(colours["ink"], colours["tint"]) >= 4.5
    for tone in range(6):
        assert contrast(colours[f"tone-{tone}"], paper) >= 3, tone
    for kind in ("known", "found", "missed", "wrong"):
        fill = colours[f"{kind}-fill"]
        assert contrast(colours[kind], paper if fill == "transparent" else fill) >= 4.5, kind
