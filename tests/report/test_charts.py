"""Charts: gaps, ticks, tones, hostile names, and drawings that stay inside their frame."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from tacit.report.axes import make_axis, spread, write_number
from tacit.report.charts import TONES, Chart, Line, assign_tones, draw_chart


def chart(*lines: Line, title: str = "Score") -> Chart:
    return Chart(title, "Higher is better.", "epoch", "mAP", lines)


def parse(figure: str) -> ElementTree.Element:
    """Read a figure as XML, which also proves that every element is closed."""
    return ElementTree.fromstring(figure)


def line_path(figure: str) -> str:
    """Return the path of the first curve; the swatches are not inside a curve."""
    path = parse(figure).find(".//g/path[@class='line']")
    assert path is not None
    return path.attrib["d"]


def test_a_plain_line_is_one_stroke_with_its_last_value_written() -> None:
    figure = draw_chart(chart(Line("a", [1, 2, 3], [10.0, 20.0, 31.25])), "c")
    assert re.sub(r"[\d. ]", "", line_path(figure)) == "MLL"
    values = [text.text for text in parse(figure).iter("text") if "value" in text.get("class", "")]
    assert values == ["31.2"]


@pytest.mark.parametrize("gap", [None, math.nan, math.inf, np.float32("nan")])
def test_a_gap_lifts_the_pen(gap: float | None) -> None:
    figure = draw_chart(chart(Line("a", [1, 2, 3, 4, 5], [1.0, 2.0, gap, 4.0, 5.0])), "c")
    assert re.sub(r"[\d. ]", "", line_path(figure)) == "MLML"
    assert "nan" not in figure and "inf" not in figure


def test_a_point_between_gaps_is_a_dot() -> None:
    figure = draw_chart(chart(Line("a", [1, 2, 3, 4], [None, 2.0, None, 4.0])), "c")
    assert len(parse(figure).findall(".//circle[@class='dot']")) == 2


def test_a_curve_that_begins_late_does_not_begin_at_the_left_edge() -> None:
    late = draw_chart(chart(Line("a", [1, 2, 3], [None, 2.0, 3.0])), "c")
    early = draw_chart(chart(Line("a", [1, 2, 3], [2.0, 2.0, 3.0])), "c")
    first_x = [float(line_path(figure)[1:].split(" ")[0]) for figure in (late, early)]
    assert first_x[0] > first_x[1] + 50


@pytest.mark.parametrize(
    "lines", [(), (Line("a", [], []),), (Line("a", [1, 2], [None, math.nan]),)]
)
def test_a_chart_without_data_says_so(lines: tuple[Line, ...]) -> None:
    figure = draw_chart(chart(*lines), "c")
    assert "no data" in figure and "<svg" not in figure and "Score" in figure


@pytest.mark.parametrize(
    "ys",
    [[0.0], [5.0, 5.0], [-1e9, 1e9], [1e-9, 2e-9], [0.1, 0.2, 0.30000000000000004], [-3.0, -7.0]],
)
def test_every_point_lies_inside_the_drawing(ys: list[float]) -> None:
    figure = draw_chart(chart(Line("a", list(range(len(ys))), ys)), "c")
    drawing = parse(figure).find(".//svg[@class='drawing']")
    assert drawing is not None
    _, _, width, height = (float(part) for part in drawing.attrib["viewBox"].split())
    spots = [
        (float(spot.attrib["cx"]), float(spot.attrib["cy"])) for spot in drawing.iter("circle")
    ]
    assert spots and all(0 <= x <= width and 0 <= y <= height for x, y in spots)


def test_a_line_needs_as_many_ys_as_xs() -> None:
    with pytest.raises(ValueError, match="'a' has 2 xs but 1 ys"):
        Line("a", [1, 2], [1.0])


def test_names_and_labels_are_escaped() -> None:
    hostile = '<script>alert("1")</script>'
    figure = draw_chart(
        Chart(hostile, hostile, hostile, hostile, (Line(hostile, [1, 2], [1.0, 2.0]),)), "c"
    )
    parse(figure)
    assert "<script" not in figure and "&lt;script&gt;" in figure


def test_the_drawing_has_a_title_and_a_description_with_the_numbers() -> None:
    root = parse(draw_chart(chart(Line("a", [1, 20], [12.5, 80.25])), "chart-1"))
    drawing = root.find(".//svg[@role='img']")
    assert drawing is not None
    named = {child.get("id"): child.text or "" for child in drawing}
    texts = [named[name] for name in drawing.attrib["aria-labelledby"].split()]
    assert texts[0] == "Score"
    assert "mAP by epoch" in texts[1] and "80.2 at 20" in texts[1]


def test_the_numbers_can_be_read_as_a_table() -> None:
    lines = (Line("a", [1, 2], [1.0, None]), Line("b", [2, 3], [40.0, 55.5]))
    table = parse(draw_chart(chart(*lines), "c")).find(".//table")
    assert table is not None
    rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert rows == [["epoch", "a", "b"], ["1", "1.0", ""], ["2", "", "40.0"], ["3", "", "55.5"]]


def test_tones_are_stable_and_the_first_belongs_to_the_emphasised_line() -> None:
    assert assign_tones(["a", "b", "c", "a"], "b") == {"b": 0, "a": 1, "c": 2}
    many = assign_tones([str(number) for number in range(20)], "7")
    assert [name for name, tone in many.items() if tone == 0] == ["7"]
    assert set(many.values()) == set(range(TONES))


def test_the_emphasised_line_is_drawn_last_and_thicker() -> None:
    figure = draw_chart(
        chart(Line("a", [1, 2], [1.0, 2.0]), Line("b", [1, 2], [1.0, 3.0])), "c", emphasised="a"
    )
    curves = [group.attrib["class"] for group in parse(figure).iter("g")]
    assert curves == ["curve tone-1", "curve tone-0 emphasised"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 100.0], [0, 50, 100]),  # 100 / 4 = 25, and the next round step is 50
        ([12.0, 78.0], [0, 20, 40, 60, 80]),  # 66 / 4 = 16.5, next 20
        ([0.0, 0.35], [0.0, 0.1, 0.2, 0.3, 0.4]),  # 0.35 / 4 = 0.0875, next 0.1
        ([5.0, 5.0], [4.5, 5.0, 5.5]),  # widened by a tenth of 5 on both sides; 1 / 4, next 0.5
    ],
)
def test_ticks_are_round_and_enclose_the_values(values: list[float], expected: list[float]) -> None:
    axis = make_axis(values, 0.0, 1.0, most=4, widen=True)
    assert axis.ticks == pytest.approx(expected)
    assert axis.place(axis.low) == 0.0 and axis.place(axis.high) == 1.0


def test_epochs_have_whole_ticks_only() -> None:
    axis = make_axis([1.0, 2.0, 3.0], 0.0, 1.0, most=6)
    assert axis.ticks == (1.0, 2.0, 3.0)
    assert [axis.write(tick) for tick in axis.ticks] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (1234.5, 1, "1,234.5"),
        (-0.04, 1, "0.0"),
        (-2.0, 0, "\N{MINUS SIGN}2"),
        (2.2e7, 0, "2.2e7"),
        (1.5e-9, 10, "1.5e\N{MINUS SIGN}9"),
    ],
)
def test_numbers_are_written_for_people(value: float, decimals: int, expected: str) -> None:
    assert write_number(value, decimals) == expected


def test_spread_keeps_the_gap_and_the_limit() -> None:
    assert spread([10.0, 50.0], 12.0, 100.0) == [10.0, 50.0]
    assert spread([10.0, 11.0, 12.0], 12.0, 100.0) == [10.0, 22.0, 34.0]
    assert spread([95.0, 96.0, 97.0], 12.0, 100.0) == [76.0, 88.0, 100.0]
    assert spread([], 12.0, 100.0) == []
