"""Charts of scores as SVG: intervals in rows of a leaderboard, scores over time and against parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from vipriors.board.ranking import Entry
from vipriors.drawing import Axis, nice_ticks, shorten, spread, svg, svg_line, svg_text

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 40, 20, 28, 34
BAR_WIDTH, BAR_HEIGHT = 90, 14


@dataclass(frozen=True)
class Dot:
    """An entry in a scatter of scores.

    Attributes:
        x: above 0.
        emphasis: whether it is drawn in colour.
    """

    name: str
    x: float
    value: float
    low: float | None
    high: float | None
    emphasis: bool = False


def span_of(entries: Sequence[Entry], *more: float | None) -> tuple[float, float] | None:
    """The least and the largest of all scores and limits of entries; None where there is none."""
    values = [*more, *(limit for entry in entries for limit in (entry.value, entry.low, entry.high))]
    known = [value for value in values if value is not None and not math.isnan(value)]
    return (min(known), max(known)) if known else None


def interval_bar(entry: Entry, span: tuple[float, float], emphasis: bool = False) -> Markup:
    """An entry's score and interval on the scale of all entries; the numbers stand beside it."""
    low, high = span
    width = (high - low) or 1.0

    def across(value: float) -> float:
        return 5 + (value - low) / width * (BAR_WIDTH - 10)

    assert entry.value is not None
    middle, kind = BAR_HEIGHT // 2, "main" if emphasis else "other"
    parts = f'<path class="scale" d="M0 {middle}H{BAR_WIDTH}"/>'
    if entry.low is not None and entry.high is not None:
        line = f"M{across(entry.low):.1f} {middle}H{across(entry.high):.1f}"
        parts += f'<path class="interval {kind}" d="{line}"/>'
    parts += f'<circle class="dot {kind}" cx="{across(entry.value):.1f}" cy="{middle}" r="3.5"/>'
    size = f'viewBox="0 0 {BAR_WIDTH} {BAR_HEIGHT}" width="{BAR_WIDTH}" height="{BAR_HEIGHT}"'
    # Numbers alone, so nothing to escape; there may be hundreds of these in a page.
    return Markup(f'<svg class="bar" {size} aria-hidden="true">{parts}</svg>')


def best_chart(
    name: str, title: str, best: Sequence[Entry], until: datetime, baseline: float | None = None
) -> Markup:
    """The best score at each moment, as a staircase.

    Args:
        name: makes the ids of the chart's parts unique in the page.
        title: what a screen reader says.
        best: at least one, in their order; each better than the one before.
        until: the moment at the right edge.
        baseline: drawn as a dashed line.
    """
    scores = [100 * (entry.value or 0.0) for entry in best]
    times = [entry.received for entry in best]
    frame = _Frame(times[0], until, [*scores, *([100 * baseline] if baseline is not None else [])])
    parts = frame.parts()
    if baseline is not None:
        parts += frame.baseline(100 * baseline)
    dots = [(frame.across(moment), frame.up(score)) for moment, score in zip(times, scores, strict=True)]
    corners = []
    for number, (x, y) in enumerate(dots):
        if number:
            corners.append((x, dots[number - 1][1]))
        corners.append((x, y))
    corners.append((frame.across(until), dots[-1][1]))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    parts.append(Markup('<polyline class="line s0" points="{}"/>').format(path))
    parts += [_circle("s0", x, y) for x, y in dots]
    said = "; ".join(f"{t:%Y-%m-%d} {s:.2f} %" for t, s in zip(times, scores, strict=True))
    return svg(name, title, f"{said}.", WIDTH, HEIGHT, parts)


def history_chart(name: str, title: str, entries: Sequence[Entry], until: datetime) -> Markup:
    """The scores of a team with their intervals, when they were sent.

    Args:
        name: makes the ids of the chart's parts unique in the page.
        title: what a screen reader says.
        entries: at least one, each with a score.
        until: the moment at the right edge.
    """
    ordered = sorted(entries, key=lambda entry: entry.received)
    span = span_of(ordered) or (0.0, 1.0)
    frame = _Frame(ordered[0].received, until, [100 * limit for limit in span])
    parts = frame.parts()
    for entry in ordered:
        x = frame.across(entry.received)
        if entry.low is not None and entry.high is not None:
            low, high = frame.up(100 * entry.low), frame.up(100 * entry.high)
            parts.append(svg_line(f"interval {'main' if entry.chosen else 'other'}", x, low, x, high))
    for entry in ordered:
        kind = "dot main" if entry.chosen else "dot other"
        parts.append(_circle(kind, frame.across(entry.received), frame.up(100 * (entry.value or 0.0)), 4))
    said = "; ".join(f"{entry.received:%Y-%m-%d %H:%M} {100 * (entry.value or 0):.2f} %" for entry in ordered)
    return svg(name, title, f"{said}.", WIDTH, HEIGHT, parts)


def scatter(name: str, title: str, unit: str, dots: Sequence[Dot]) -> Markup:
    """Scores with intervals against a number on a logarithmic scale.

    Args:
        name: makes the ids of the chart's parts unique in the page.
        title: what a screen reader says.
        unit: of the number.
        dots: at least one.
    """
    lowest = math.floor(math.log10(min(dot.x for dot in dots)))
    highest = max(math.ceil(math.log10(max(dot.x for dot in dots))), lowest + 1)
    powers = range(lowest, highest + 1, max(1, math.ceil((highest - lowest) / 6)))
    across = Axis((float(lowest), float(max(highest, powers[-1]))), LEFT + 10, WIDTH - RIGHT)
    limits = [100 * x for dot in dots for x in (dot.low, dot.value, dot.high) if x is not None]
    up = Axis(nice_ticks(min(limits), max(limits), 5), HEIGHT - BOTTOM, TOP)
    parts = _rows(up)
    for power in powers:
        x = across(power)
        parts.append(svg_line("tick", x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 4))
        parts.append(svg_text(x, HEIGHT - BOTTOM + 17, _power(power), "middle"))
    parts.append(svg_text(WIDTH, HEIGHT - 2, unit, "end", " unit"))
    for dot in dots:
        x, kind = across(math.log10(dot.x)), "main" if dot.emphasis else "other"
        if dot.low is not None and dot.high is not None:
            parts.append(svg_line(f"interval {kind}", x, up(100 * dot.low), x, up(100 * dot.high)))
    for dot in dots:
        x, y = across(math.log10(dot.x)), up(100 * dot.value)
        parts.append(_circle("dot main" if dot.emphasis else "dot other", x, y, 4))
    named = [dot for dot in dots if dot.emphasis]
    heights = spread([up(100 * dot.value) + 4 for dot in named], 14, TOP, HEIGHT - BOTTOM)
    for dot, y in zip(named, heights, strict=True):
        x = across(math.log10(dot.x))
        anchor, gap = ("end", -8) if x > WIDTH / 2 else ("start", 8)
        parts.append(svg_text(x + gap, y, shorten(dot.name, 22), anchor, " name"))
    said = "; ".join(f"{dot.name} {dot.x:.3g} {unit}, {100 * dot.value:.2f} %" for dot in dots)
    return svg(name, title, f"{said}.", WIDTH, HEIGHT, parts)


class _Frame:
    """Axes of a chart of scores in per cent over time."""

    def __init__(self, start: datetime, until: datetime, scores: Sequence[float]):
        self.start, self.until = start, max(until, start + timedelta(hours=1))
        self.up = Axis(nice_ticks(min(scores), max(scores), 5), HEIGHT - BOTTOM, TOP)

    def across(self, moment: datetime) -> float:
        """The pixel of a moment."""
        share = (moment - self.start) / (self.until - self.start)
        return LEFT + 8 + min(max(share, 0.0), 1.0) * (WIDTH - RIGHT - LEFT - 16)

    def parts(self) -> list[Markup]:
        """Grid, ticks and their labels."""
        parts = _rows(self.up)
        form = "%Y-%m-%d" if self.until - self.start > timedelta(days=2) else "%m-%d %H:%M"
        for moment, anchor in ((self.start, "start"), (self.until, "end")):
            label = moment.astimezone(UTC).strftime(form)
            parts.append(svg_text(self.across(moment), HEIGHT - BOTTOM + 17, label, anchor))
        return parts

    def baseline(self, score: float) -> list[Markup]:
        """A dashed line with its name."""
        y = self.up(score)
        name = svg_text(WIDTH - RIGHT, y - 5, "baseline", "end")
        return [svg_line("baseline", LEFT, y, WIDTH - RIGHT, y), name]


def _rows(up: Axis) -> list[Markup]:
    parts = [svg_text(0, 12, "score, %", extra=" unit")]
    for y, label in up.labels:
        parts.append(svg_line("grid", LEFT, y, WIDTH - RIGHT, y))
        parts.append(svg_text(LEFT - 6, y + 4, label, "end"))
    return parts


def _circle(kind: str, x: float, y: float, radius: float = 3) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(kind, x, y, radius)


def _power(power: int) -> str:
    if -3 <= power < 0:
        return f"{10.0**power:.{-power}f}"
    names = {0: "", 3: " k", 6: " M", 9: " G", 12: " T"}
    base = 3 * (power // 3)
    return f"{10 ** (power - base)}{names[base]}" if base in names else f"1e{power}"
