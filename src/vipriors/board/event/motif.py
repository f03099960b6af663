"""The drawing at the top of a site: short bars turned as the preferred orientations of visual cortex are.

There, cells that like neighbouring orientations lie beside one another, around points where all meet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from markupsafe import Markup

COLUMNS, ROWS, STEP, LENGTH = 30, 14, 20, 13
PINWHEELS = ((5.5, 3.5, 1), (12.5, 10.0, -1), (19.5, 4.0, 1), (26.0, 9.5, -1))
"""Column, row, and the way in which the orientations turn around."""
TONES = 3


def motif() -> Markup:
    """The drawing, as a decorative SVG that takes its colours from the page's style sheet."""
    paths: list[list[str]] = [[] for _ in range(TONES)]
    for x, y, angle in _bars():
        dx, dy = math.cos(angle) * LENGTH / 2, math.sin(angle) * LENGTH / 2
        tone = int(angle % math.pi / math.pi * TONES) % TONES
        paths[tone].append(f"M{x - dx:.1f} {y - dy:.1f}L{x + dx:.1f} {y + dy:.1f}")
    drawn = "".join(f'<path class="tone{tone}" d="{"".join(bars)}"/>' for tone, bars in enumerate(paths))
    width, height = COLUMNS * STEP, ROWS * STEP
    return Markup(
        f'<svg class="motif" viewBox="0 0 {width} {height}" preserveAspectRatio="xMidYMid slice" '
        f'aria-hidden="true" focusable="false">{drawn}</svg>'
    )


def _bars() -> Iterator[tuple[float, float, float]]:
    """Centre and angle of each bar."""
    for row in range(ROWS):
        for column in range(COLUMNS):
            x, y = column + 0.5, row + 0.5
            angle = sum(way * math.atan2(y - v, x - u) / 2 for u, v, way in PINWHEELS) + math.pi / 2
            yield x * STEP, y * STEP, angle
