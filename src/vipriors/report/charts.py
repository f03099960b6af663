"""Charts as SVG text: lines, dots with intervals, a heat map.

Pure functions of numbers. Each chart is drawn small, at about the size it has on a phone, so that its words
can be read there. Colours come from the page's style sheet by class, which makes them fit light and dark.
Marks differ in dash and fill as well as in colour. Words are escaped by `Markup.format`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from vipriors.drawing import Axis, nice_ticks, shorten, spread, svg, svg_line, svg_text

WIDTH, HEIGHT = 300, 200
LEFT, RIGHT, TOP, BOTTOM = 38, 68, 26, 32
"""Margins of a line chart's plot area; its end labels stand in the right one."""

INTERVAL_WIDTH, ROW, INSET = 360, 44, 14
LEVELS = 8
"""Shades of a heat map."""


@dataclass(frozen=True)
class Series:
    """A line: its name, its points in the order of x, and its colour and dash."""

    name: str
    points: Sequence[tuple[float, float]]
    style: int = 0
    """0 is solid blue, 1 dashed orange, 2 dotted green."""


@dataclass(frozen=True)
class Interval:
    """A value with its interval; the one that matters is drawn in colour."""

    name: str
    value: float
    low: float
    high: float
    emphasis: bool = False


def line_chart(name: str, title: str, unit: str, series: Sequence[Series]) -> Markup:
    """Lines over training steps, from zero up, each labelled at its end.

    Args:
        name: Makes the ids of the chart's parts unique in the page.
        title: What a screen reader says.
        unit: Written at the top of the vertical axis.
        series: At least one, each with at least one finite point.
    """
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    across = Axis(nice_ticks(0, max(xs), 3), LEFT, WIDTH - RIGHT)
    up = Axis(nice_ticks(min(0.0, *ys), max(ys), 5), HEIGHT - BOTTOM, TOP)
    ends = spread([up(line.points[-1][1]) for line in series], 14, TOP, HEIGHT - BOTTOM)
    parts = [Markup('<text class="unit" x="0" y="11">{}</text>').format(unit)]
    for y, label in up.labels:
        parts.append(svg_line("grid", LEFT, y, WIDTH - RIGHT, y))
        parts.append(svg_text(LEFT - 6, y + 4, label, "end"))
    for x, label in across.labels:
        parts.append(svg_line("tick", x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 4))
        parts.append(svg_text(x, HEIGHT - BOTTOM + 17, label, "middle"))
    parts.append(svg_text(WIDTH, HEIGHT - BOTTOM + 17, "step", "end"))
    for line, end in zip(series, ends, strict=True):
        pixels = [(across(x), up(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
        x, y = pixels[-1]
        parts.append(Markup('<polyline class="line s{}" points="{}"/>').format(line.style, path))
        parts.append(Markup('<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(line.style, x, y))
        parts.append(svg_text(x + 7, end + 4, line.name, extra=" name"))
    last = "; ".join(f"{line.name} ends at {line.points[-1][1]:.4g}" for line in series)
    return svg(name, title, f"{unit} against step: {last}.", WIDTH, HEIGHT, parts)


def interval_chart(name: str, title: str, unit: str, rows: Sequence[Interval]) -> Markup:
    """Dots with intervals on one scale, each under its name and numbers.

    Args:
        name: Makes the ids of the chart's parts unique in the page.
        title: What a screen reader says.
        unit: Follows every number: ` %`.
        rows: At least one, from top to bottom.
    """
    shown = [value for row in rows for value in (row.low, row.value, row.high)]
    across = Axis(nice_ticks(min(shown), max(shown), 6), INSET, INTERVAL_WIDTH - INSET)
    bottom = ROW * len(rows) + 8
    parts = []
    for x, label in across.labels:
        parts.append(svg_line("grid", x, 4, x, bottom))
        parts.append(svg_text(x, bottom + 16, f"{label}{unit}", "middle"))
    for number, row in enumerate(rows):
        text, y = ROW * number + 17, ROW * number + 33
        numbers = f"{row.value:.1f}{unit}  ({row.low:.1f} – {row.high:.1f})"
        kind = "main" if row.emphasis else "other"
        parts.append(svg_text(0, text, shorten(row.name, 26), extra=f" name {kind}"))
        parts.append(svg_text(INTERVAL_WIDTH, text, numbers, "end", f" name {kind}"))
        parts.append(svg_line(f"interval {kind}", across(row.low), y, across(row.high), y))
        circle = Markup('<circle class="dot {}" cx="{:.1f}" cy="{}" r="5.5"/>')
        parts.append(circle.format(kind, across(row.value), y))
    said = "; ".join(f"{row.name} {row.value:.1f}{unit} ({row.low:.1f} to {row.high:.1f})" for row in rows)
    return svg(name, title, f"{said}.", INTERVAL_WIDTH, bottom + 22, parts)


def heat_map(name: str, title: str, counts: NDArray[np.int64]) -> Markup:
    """A square for every label and predicted class that occur together, shaded by its share of the label.

    Args:
        name: Makes the ids of the chart's parts unique in the page.
        title: What a screen reader says.
        counts: `(K, K)`, rows are labels.
    """
    classes = len(counts)
    side = max(2, 360 // classes)
    margin, extent = 34, side * classes
    levels = shade_levels(counts)
    frame = Markup('<rect class="frame" x="{0}" y="{0}" width="{1}" height="{1}"/>').format(margin, extent)
    parts = [frame, svg_text(margin, 11, "predicted class →"), svg_text(0, margin + extent + 14, "↑ label")]
    for tick in range(0, classes, 10 if classes <= 120 else 50):
        middle = margin + side * (tick + 0.5)
        parts.append(svg_text(middle, margin - 5, str(tick), "middle"))
        parts.append(svg_text(margin - 5, middle + 4, str(tick), "end"))
    right = np.eye(classes, dtype=bool)
    for kind, cells in (("right", right), ("wrong", ~right)):
        for level in range(1, LEVELS + 1):
            places = np.argwhere(cells & (levels == level)) * side + margin
            if len(places):
                squares = "".join(f"M{x},{y}h{side}v{side}h-{side}z" for y, x in places.tolist())
                form = '<path class="{}" fill-opacity="{:.2f}" d="{}"/>'
                parts.append(Markup(form).format(kind, level / LEVELS, squares))
    said = f"{classes} labels by {classes} predicted classes; the pairs confused most are listed beside it."
    return svg(name, title, said, margin + extent + 2, margin + extent + 20, parts)


def shade_levels(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shade of each cell, 0 (no image) to `LEVELS`: the square root of its share of the row.

    The root lets one mistake in a hundred be seen beside ninety-nine hits.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    levels: NDArray[np.int64] = np.ceil(np.sqrt(shares) * LEVELS - 1e-9).astype(np.int64)
    return levels
