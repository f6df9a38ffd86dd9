"""Line charts as inline SVG: few ticks, one colour, dash and marker per line, no scripts.

A chart is a figure with a heading, a drawing, a legend and, folded away, its numbers as a table.
The colours live in ``page.css`` as tones, so that one drawing works in light and in dark. A tone is
never the only difference between two lines: dashes and end markers differ as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tacit.report import set_text
from tacit.report.axes import Axis, make_axis, spread

TONES = 6  # as many as page.css defines; tone 0 is kept for the emphasised line

_WIDTH, _HEIGHT = 360.0, 214.0
_TOP, _BOTTOM = 28.0, 36.0
_CHARACTER = 7.0  # room for one digit at the largest size that page.css uses
_VALUE_GAP = 12.0  # the least distance between two values written beside the line ends
_HOVER_LIMIT = 400  # with more points the tooltips overlap and make the file heavy

DASHES = ("", "6 3.5", "", "1.5 3.5", "9 3 2 3", "")
_MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-3.4 -3.4h6.8v6.8h-6.8z",
    "M0 -4.8l4.8 4.8l-4.8 4.8l-4.8 -4.8z",
    "M0 -4.6l4.5 7.8h-9z",
    "M0 4.6l4.5 -7.8h-9z",
    "M-4.4 -1.5h2.9v-2.9h3v2.9h2.9v3h-2.9v2.9h-3v-2.9h-2.9z",
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One named curve; a y that is None or not finite is a gap.

    The band, where there is one, is the least and the largest of what a y is the mean of.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    band: Sequence[tuple[float, float] | None] = ()

    def __post_init__(self) -> None:
        if len(self.xs) != len(self.ys):
            raise ValueError(
                f"Line '{self.name}' has {len(self.xs)} xs but {len(self.ys)} ys; give one y per x."
            )

    def points(self) -> list[Point | None]:
        """Return one entry per x: the point, or None where there is nothing to draw."""
        pairs = zip(self.xs, self.ys, strict=True)
        return [None if y is None or not math.isfinite(x + y) else (x, y) for x, y in pairs]

    def drawn(self) -> list[Point]:
        """Return only the points that can be drawn."""
        return [point for point in self.points() if point is not None]


@dataclass(frozen=True)
class Chart:
    """Some curves over the same two axes, with the words that a reader needs."""

    title: str
    caption: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    names: tuple[str, ...] = ()
    """What x = 1, 2, ... stand for, where they are no numbers; then points are not joined."""

    def name_x(self, x: float) -> str:
        """Write an x in full: unlike a tick it must not be rounded to its neighbour."""
        return self.names[int(x) - 1] if self.names else f"{x:,.10g}"


@dataclass(frozen=True)
class _Frame:
    """What every part of one drawing needs to know."""

    chart: Chart
    lines: tuple[Line, ...]  # those with at least one point
    tones: Mapping[str, int]
    emphasised: str | None
    x_axis: Axis
    y_axis: Axis

    def place(self, point: Point) -> Point:
        return self.x_axis.place(point[0]), self.y_axis.place(point[1])


def assign_tones(names: Iterable[str], emphasised: str | None = None) -> dict[str, int]:
    """Give every name the tone it keeps on the whole page; the emphasised one gets tone 0."""
    first = 0 if emphasised is None else 1
    tones = {} if emphasised is None else {emphasised: 0}
    others = (name for name in dict.fromkeys(names) if name != emphasised)
    for index, name in enumerate(others):
        tones[name] = first + index % (TONES - first)
    return tones


def draw_swatch(tone: int) -> str:
    """Draw the short piece of line that stands for a name in a legend or a table."""
    return (
        f'<svg class="swatch tone-{tone}" viewBox="0 0 28 12" aria-hidden="true">'
        f'<path class="line" d="M1 6H27"{_dash(tone)}/>'
        f'<path class="marker" d="{_MARKERS[tone]}" transform="translate(14 6)"/></svg>'
    )


def draw_chart(
    chart: Chart,
    identifier: str,
    tones: Mapping[str, int] | None = None,
    emphasised: str | None = None,
) -> str:
    """Draw a chart as an HTML figure.

    Args:
        chart: What to draw.
        identifier: A prefix for element ids, unique on the page.
        tones: The tone of each line name; by default they are given out in order.
        emphasised: The name of the line to draw thicker and on top.
    """
    tones = assign_tones((line.name for line in chart.lines), emphasised) | dict(tones or {})
    lines = tuple(line for line in chart.lines if line.drawn())
    body = '<p class="empty">no data</p>'
    if lines:
        frame = _frame(chart, lines, tones, emphasised)
        body = _drawing(frame, identifier) + _legend(frame) + _numbers(frame)
    return (
        f'<figure class="chart"><figcaption><h3>{escape(chart.title)}</h3>'
        f"<p>{set_text(chart.caption)}</p></figcaption><div>{body}</div></figure>"
    )


def _frame(
    chart: Chart, lines: tuple[Line, ...], tones: Mapping[str, int], emphasised: str | None
) -> _Frame:
    """Lay out the axes so that the longest tick and the longest end value have room."""
    ys = [y for line in lines for _, y in line.drawn()]
    ys += [y for line in lines for pair in line.band if pair for y in pair]
    # A gap keeps its place on the x axis: a curve that begins late is seen to begin late.
    xs = [float(x) for line in lines for x in line.xs if math.isfinite(x)]
    y_axis = make_axis(ys, _HEIGHT - _BOTTOM, _TOP, most=4, widen=True)
    left = 8 + _CHARACTER * max(len(y_axis.write(tick)) for tick in y_axis.ticks)
    right = _WIDTH - 10 - _CHARACTER * max(len(_end_value(y_axis, line)) for line in lines)
    x_axis = make_axis(xs, left, right, most=6)
    return _Frame(chart, lines, tones, emphasised, x_axis, y_axis)


def _drawing(frame: _Frame, identifier: str) -> str:
    ordered = sorted(frame.lines, key=lambda line: line.name == frame.emphasised)  # on top
    title, description = f"{identifier}-title", f"{identifier}-description"
    return (
        f'<svg class="drawing" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-labelledby="{title} {description}">'
        f'<title id="{title}">{escape(frame.chart.title)}</title>'
        f'<desc id="{description}">{escape(_description(frame))}</desc>'
        f"{_grid(frame)}{''.join(_curve(frame, line) for line in ordered)}"
        f"{_end_values(frame)}{_hover(frame)}</svg>"
    )


def _description(frame: _Frame) -> str:
    """Say the start and the end of every line, for those who cannot see the drawing."""
    write = frame.y_axis.write
    parts = []
    for line in frame.lines:
        (first_x, first_y), (last_x, last_y) = line.drawn()[0], line.drawn()[-1]
        parts.append(
            f"{line.name}: {write(first_y, 1)} at {frame.chart.name_x(first_x)}, "
            f"{write(last_y, 1)} at {frame.chart.name_x(last_x)}"
        )
    return f"{frame.chart.y_label} by {frame.chart.x_label}. {'; '.join(parts)}."


def _grid(frame: _Frame) -> str:
    x_axis, y_axis = frame.x_axis, frame.y_axis
    parts = []
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        parts.append(
            f'<path class="grid" d="M{x_axis.start:.1f} {y:.1f}H{x_axis.end:.1f}"/>'
            f'<text x="{x_axis.start - 6:.1f}" y="{y:.1f}" dy=".35em" text-anchor="end">'
            f"{y_axis.write(tick)}</text>"
        )
    bottom = _HEIGHT - _BOTTOM
    for tick in x_axis.ticks:
        parts.append(
            f'<text x="{x_axis.place(tick):.1f}" y="{bottom + 15:.1f}" text-anchor="middle">'
            f"{x_axis.write(tick)}</text>"
        )
    middle = (x_axis.start + x_axis.end) / 2
    parts.append(
        f'<text x="0" y="11">{escape(frame.chart.y_label)}</text>'
        f'<text x="{middle:.1f}" y="{_HEIGHT - 4:.1f}" text-anchor="middle">'
        f"{escape(frame.chart.x_label)}</text>"
    )
    return "".join(parts)


def _curve(frame: _Frame, line: Line) -> str:
    """Draw one line: a path that is lifted at gaps, dots for lonely points, a marker at the end."""
    points = [None, *line.points(), None]
    path: list[str] = []
    dots: list[str] = []
    for before, point, after in zip(points, points[1:], points[2:], strict=False):
        if point is None:
            continue
        x, y = frame.place(point)
        if frame.chart.names:  # shapes, so that nothing hangs on colour
            dots.append(_marker(frame.tones[line.name], x, y))
            continue
        path.append(f"{'L' if before else 'M'}{x:.1f} {y:.1f}")
        if before is None and after is None:
            dots.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2"/>')
    tone = frame.tones[line.name]
    x, y = frame.place(line.drawn()[-1])
    emphasis = " emphasised" if line.name == frame.emphasised else ""
    return (
        f'<g class="curve tone-{tone}{emphasis}">{_band(frame, line)}'
        f'<path class="line" d="{"".join(path)}"{_dash(tone)}/>{"".join(dots)}'
        f"{_marker(tone, x, y)}</g>"
    )


def _marker(tone: int, x: float, y: float) -> str:
    return f'<path class="marker" d="{_MARKERS[tone]}" transform="translate({x:.1f} {y:.1f})"/>'


def _band(frame: _Frame, line: Line) -> str:
    """Shade what lies between the least and the largest of what a line is the mean of."""
    pairs = [(x, pair) for x, pair in zip(line.xs, line.band, strict=False) if pair]
    if len(pairs) < 2:
        return ""
    lower = [frame.place((x, pair[0])) for x, pair in pairs]
    upper = [frame.place((x, pair[1])) for x, pair in reversed(pairs)]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (*lower, *upper))
    return f'<path class="band" d="M{path}z"/>'


def _end_value(y_axis: Axis, line: Line) -> str:
    return y_axis.write(line.drawn()[-1][1], extra=1)


def _end_values(frame: _Frame) -> str:
    """Write the last value beside each line end, moved apart where two would overlap."""
    ends = [(*frame.place(line.drawn()[-1]), line) for line in frame.lines]
    ends.sort(key=lambda end: end[1])
    heights = spread([y for _, y, _ in ends], _VALUE_GAP, lowest=_HEIGHT - _BOTTOM)
    return "".join(
        f'<text class="value tone-{frame.tones[line.name]}" x="{x + 8:.1f}" y="{height:.1f}" '
        f'dy=".35em">{_end_value(frame.y_axis, line)}</text>'
        for (x, _, line), height in zip(ends, heights, strict=True)
    )


def _hover(frame: _Frame) -> str:
    """Lay an invisible spot with a tooltip over each point: its numbers, without scripts."""
    points = [(line, point) for line in frame.lines for point in line.drawn()]
    if len(points) > _HOVER_LIMIT:
        return ""
    spots = []
    for line, point in points:
        x, y = frame.place(point)
        where = f"{frame.chart.x_label} {frame.chart.name_x(point[0])}"
        text = f"{line.name}, {where}: {frame.y_axis.write(point[1], extra=1)}"
        spots.append(
            f'<circle class="spot tone-{frame.tones[line.name]}" cx="{x:.1f}" cy="{y:.1f}" r="6">'
            f"<title>{escape(text)}</title></circle>"
        )
    return "".join(spots)


def _legend(frame: _Frame) -> str:
    items = "".join(
        f"<li>{draw_swatch(frame.tones[line.name])}<bdi>{escape(line.name)}</bdi></li>"
        for line in frame.lines
    )
    return f'<ul class="legend">{items}</ul>'


def _numbers(frame: _Frame) -> str:
    """Fold the numbers away in a table, for copying and for those who cannot see the drawing."""
    by_x = [dict(line.drawn()) for line in frame.lines]
    heads = "".join(f'<th scope="col">{escape(line.name)}</th>' for line in frame.lines)
    rows = []
    for x in sorted({x for values in by_x for x in values}):
        cells = "".join(
            f"<td>{frame.y_axis.write(values[x], 1) if x in values else ''}</td>" for values in by_x
        )
        rows.append(f'<tr><th scope="row">{escape(frame.chart.name_x(x))}</th>{cells}</tr>')
    return (
        "<details><summary>The numbers</summary>"
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(frame.chart.title)}">'
        f'<table class="numbers"><thead><tr><th scope="col">{escape(frame.chart.x_label)}</th>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _dash(tone: int) -> str:
    return f' stroke-dasharray="{DASHES[tone]}"' if DASHES[tone] else ""
