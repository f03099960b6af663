"""What charts are drawn with: axes with round ticks, and lines and texts as SVG.

Colours come from the page's style sheet by class, which makes them fit light and dark. Words are escaped by
`Markup.format`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to pixels, with ticks at round values that enclose the data."""

    ticks: tuple[float, ...]
    start: float
    """Pixel of the first tick."""
    end: float
    """Pixel of the last tick."""

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high = self.ticks[0], self.ticks[-1]
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    @property
    def labels(self) -> list[tuple[float, str]]:
        """Pixel and text of each tick, all with as many decimals as the ticks' distance needs."""
        power = _exponent(self.ticks[1] - self.ticks[0])
        if -3 <= power <= 4:
            texts = [f"{tick:,.{max(0, -power)}f}".replace(",", "\u202f") for tick in self.ticks]
        else:
            texts = [f"{tick / 10.0**power:.0f}e{power}" if tick else "0" for tick in self.ticks]
        return [(self(tick), text) for tick, text in zip(self.ticks, texts, strict=True)]


def nice_ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """At most `most` + 1 multiples of 1, 2 or 5 times a power of ten, from below `low` to above `high`.

    Equal limits are widened to zero, or to one if they are zero.
    """
    if low == high:
        low, high = min(low, 0.0), max(high, 0.0) or float(low == 0)
    exponent = _exponent((high - low) / most)
    for factor, power in [(f, exponent + p) for p in (0, 1, 2) for f in (1, 2, 5)]:
        step = factor * 10.0**power
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            break
    return tuple(round(tick * step, 12 - power) for tick in range(first, last + 1))


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves places apart to at least `gap`, keeping their order and, where there is room, [low, high]."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for before, after in itertools.pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    limit = high
    for index in reversed(order):
        moved[index] = max(low, min(moved[index], limit))
        limit = moved[index] - gap
    return moved


def shorten(text: str, most: int) -> str:
    """The text, or its beginning and an ellipsis if it has more than `most` characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def svg_line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A line of a kind that the style sheet knows."""
    form = '<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
    return Markup(form).format(kind, x1, y1, x2, y2)


def svg_text(x: float, y: float, words: str, anchor: str = "start", extra: str = "") -> Markup:
    """A text that starts, ends or has its middle at a place; `extra` are further classes, after a space."""
    form = '<text class="{}{}" x="{:.1f}" y="{:.1f}">{}</text>'
    return Markup(form).format(anchor, extra, x, y, words)


def svg(
    name: str, title: str, description: str, width: float, height: float, parts: Sequence[Markup]
) -> Markup:
    """A picture of its parts.

    Args:
        name: Makes the ids of the picture's parts unique in the page.
        title: What a screen reader says first.
        description: What it says then: the numbers.
        width: In units that the parts are placed in.
        height: In the same.
        parts: From back to front.
    """
    form = (
        '<svg class="chart" role="img" viewBox="0 0 {w} {h}" aria-labelledby="{n}-title {n}-desc">\n'
        '<title id="{n}-title">{t}</title>\n<desc id="{n}-desc">{d}</desc>\n{p}\n</svg>'
    )
    body = Markup("\n").join(parts)
    return Markup(form).format(w=width, h=height, n=name, t=title, d=description, p=body)


def _exponent(value: float) -> int:
    """The power of ten of a positive number's first digit."""
    return math.floor(math.log10(value) + 1e-9)
