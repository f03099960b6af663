"""Charts of a grid of runs, as SVG text: curves of score against images, score against cost.

Drawn as in `charts.py`, on logarithmic scales from left to right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from vipriors.drawing import Axis, nice_ticks, svg, svg_line, svg_text

WIDTH, HEIGHT = 300, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 12, 22, 34
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Curve:
    """Mean scores over numbers of images, with intervals."""

    name: str
    points: Sequence[tuple[float, float, float, float]]
    """Images, mean, low, high, in the order of images."""


@dataclass(frozen=True)
class Dot:
    """What a score cost."""

    label: str
    """Short: it stands beside the dot."""
    cost: float
    score: float
    emphasis: bool = False


class LogAxis:
    """A logarithmic scale from values to pixels.

    Args:
        low: Smallest value, above zero.
        high: Largest value; an empty range is widened.
        start: Pixel of the smallest value.
        end: Pixel of the largest value.
    """

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        if low == high:
            low, high = low / 2, high * 2
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the range: powers of ten, with 2 and 5 times them where there is room."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            found = [f * 10.0**p for p in powers for f in factors]
            found = [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]
            if len(found) <= 5:
                return found
        return found[:: math.ceil(len(found) / 5)]


def curve_chart(
    name: str, title: str, unit: str, curves: Sequence[Curve], limits: tuple[float, float]
) -> Markup:
    """Mean scores with bands against numbers of images; the last curve in colour, those before it in grey.

    Args:
        name: Makes the ids of the chart's parts unique in the page.
        title: What a screen reader says.
        unit: Written at the top of the vertical axis.
        curves: One or two, each with at least one point.
        limits: Lowest and highest score on the vertical axis, so that charts beside each other compare.
    """
    sizes = sorted({point[0] for curve in curves for point in curve.points})
    across = LogAxis(sizes[0], sizes[-1], LEFT + 8, WIDTH - RIGHT - 8)
    up = Axis(nice_ticks(*limits, 5), HEIGHT - BOTTOM, TOP)
    parts = _frame(unit, up)
    last = -math.inf
    for size in sizes:
        x = across(size)
        parts.append(svg_line("tick", x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 4))
        if x - last > 26:
            parts.append(svg_text(x, HEIGHT - BOTTOM + 16, f"{size:,.0f}", "middle"))
            last = x
    for number, curve in enumerate(curves):
        kind = "main" if number == len(curves) - 1 else "other"
        edge = [(x, high) for x, _, _, high in curve.points]
        edge += [(x, low) for x, _, low, _ in reversed(curve.points)]
        parts.append(Markup('<polygon class="band {}" points="{}"/>').format(kind, _path(edge, across, up)))
        mean = [(x, value) for x, value, _, _ in curve.points]
        parts.append(Markup('<polyline class="curve {}" points="{}"/>').format(kind, _path(mean, across, up)))
        form = Markup('<circle class="point {}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>')
        parts += [form.format(kind, across(x), up(value)) for x, value in mean]
    said = ". ".join(
        f"{curve.name}: " + ", ".join(f"{value:.1f} at {x:,.0f}" for x, value, _, _ in curve.points)
        for curve in curves
    )
    return svg(name, title, f"{unit} by images. {said}.", WIDTH, HEIGHT, parts)


def cost_chart(name: str, title: str, unit: str, cost: str, dots: Sequence[Dot]) -> Markup:
    """Scores against what they cost, each dot with its label where there is room for it.

    Args:
        name: Makes the ids of the chart's parts unique in the page.
        title: What a screen reader says.
        unit: Written at the top of the vertical axis.
        cost: Written under the horizontal axis.
        dots: At least one.
    """
    across = LogAxis(min(d.cost for d in dots), max(d.cost for d in dots), LEFT + 8, WIDTH - RIGHT - 30)
    up = Axis(nice_ticks(min(d.score for d in dots), max(d.score for d in dots), 5), HEIGHT - BOTTOM, TOP)
    parts = _frame(unit, up)
    for value in across.ticks():
        x = across(value)
        parts.append(svg_line("tick", x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 4))
        parts.append(svg_text(x, HEIGHT - BOTTOM + 16, short(value), "middle"))
    parts.append(svg_text(WIDTH - RIGHT, HEIGHT - 3, cost, "end"))
    places = [(across(dot.cost), up(dot.score)) for dot in dots]
    for (x, y), label, dot in zip(places, _labels(dots, places), dots, strict=True):
        kind = "main" if dot.emphasis else "other"
        form = Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>')
        parts.append(form.format(kind, x, y))
        if label:
            parts.append(svg_text(*label, dot.label, "middle", f" name {kind}"))
    said = "; ".join(f"{dot.label}: {dot.score:.1f} for {short(dot.cost)}" for dot in dots)
    return svg(name, title, f"{unit} against {cost}. {said}.", WIDTH, HEIGHT, parts)


def short(value: float) -> str:
    """A number in few characters: `1.5k`, `20M`, `3T`, `2000T`."""
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10.0**power:
            return f"{value / 10.0**power:.3g}{letter}"
    return f"{value:.3g}"


def _frame(unit: str, up: Axis) -> list[Markup]:
    parts = [Markup('<text class="unit" x="0" y="10">{}</text>').format(unit)]
    for y, label in up.labels:
        parts.append(svg_line("grid", LEFT, y, WIDTH - RIGHT, y))
        parts.append(svg_text(LEFT - 6, y + 4, label, "end"))
    return parts


def _path(points: Sequence[tuple[float, float]], across: LogAxis, up: Axis) -> str:
    return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)


def _labels(dots: Sequence[Dot], places: Sequence[tuple[float, float]]) -> list[tuple[float, float] | None]:
    """The middle of each label's foot: right, left, above or below its dot; None where no room is left."""
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in places]
    found: list[tuple[float, float] | None] = []
    for dot, (x, y) in zip(dots, places, strict=True):
        half = 3.7 * len(dot.label)
        for middle, foot in ((x + half + 6, y + 4), (x - half - 6, y + 4), (x, y - 7), (x, y + 16)):
            box = (middle - half, foot - 9, middle + half, foot)
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                found.append((middle, foot))
                break
        else:
            found.append(None)
    return found


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
