"""The two pictures of a diagnosis: bars of what each type of error costs, and a ring of their shares."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from vipriors.diagnose.errors import KINDS
from vipriors.diagnose.tide import SPECIAL, Diagnosis
from vipriors.drawing import svg, svg_text

WORDS = {
    "Cls": "wrong class",
    "Loc": "badly placed",
    "Both": "wrong class, badly placed",
    "Dupe": "found twice",
    "Bkg": "nothing there",
    "Miss": "not found",
    "FalsePos": "all that was wrongly found",
    "FalseNeg": "all that was not found",
}
"""What each type of error is, for a reader."""

WIDTH, ROW, BAR, INSET = 360, 36, 10, 74
SIDE, OUTER, INNER = 220, 78, 44
LEAST_SHARE = 0.04
"""Of a part of the ring that has room for its name."""


def bars(diagnosis: Diagnosis, name: str = "lost") -> Markup:
    """A bar for the ΔAP of each of the six types of error, the costliest first, with its count.

    Args:
        diagnosis: what to draw.
        name: makes the ids of the chart's parts unique in the page.
    """
    return kind_bars(diagnosis.delta_ap, diagnosis.special, name, diagnosis.counts)


def special_bars(diagnosis: Diagnosis, name: str = "lost-special") -> Markup:
    """A bar for the ΔAP of all that was wrongly found and of all that was not found, on the same scale."""
    return sum_bars(diagnosis.delta_ap, diagnosis.special, name)


def kind_bars(
    delta_ap: Mapping[str, float],
    special: Mapping[str, float],
    name: str,
    counts: Mapping[str, int] | None = None,
) -> Markup:
    """`bars` from the numbers alone; without counts none are told."""
    order = sorted(KINDS, key=lambda kind: -delta_ap[kind])
    values = {kind: delta_ap[kind] for kind in order}
    return _bars(name, "AP lost to each type of error", values, counts or {}, _largest(delta_ap, special))


def sum_bars(delta_ap: Mapping[str, float], special: Mapping[str, float], name: str) -> Markup:
    """`special_bars` from the numbers alone."""
    title = "AP lost to all that is wrong and to all that is missing"
    values = {kind: special[kind] for kind in SPECIAL}
    return _bars(name, title, values, {}, _largest(delta_ap, special))


def ring(diagnosis: Diagnosis, name: str = "shares") -> Markup:
    """The shares of the six ΔAP in their sum, clockwise from the top; empty if nothing is lost."""
    total = sum(diagnosis.delta_ap.values())
    shares = {kind: value / total for kind, value in diagnosis.delta_ap.items()} if total else {}
    middle = SIDE / 2
    parts = []
    start = 0.0
    for kind, share in shares.items():
        if share > 0:
            parts.append(_arc(kind, start, start + share, middle))
        if share >= LEAST_SHARE:
            turn = 2 * math.pi * (start + share / 2)
            x, y = middle + (OUTER + 18) * math.sin(turn), middle - (OUTER + 14) * math.cos(turn)
            parts.append(svg_text(x, y + 4, kind, "middle", " name"))
        start += share
    parts.append(svg_text(middle, middle - 2, f"{diagnosis.ap:.1f}", "middle", " name main"))
    parts.append(svg_text(middle, middle + 14, f"AP at {diagnosis.settings.foreground:g}", "middle"))
    said = "; ".join(f"{kind} {share:.0%}" for kind, share in shares.items()) or "nothing is lost"
    return svg(name, "Shares of the types of error in the AP lost", f"{said}.", SIDE, SIDE, parts)


def _largest(delta_ap: Mapping[str, float], special: Mapping[str, float]) -> float:
    return max(1.0, *delta_ap.values(), *special.values())


def _bars(
    name: str, title: str, values: Mapping[str, float], counts: Mapping[str, int], largest: float
) -> Markup:
    parts = []
    for number, (kind, value) in enumerate(values.items()):
        top = ROW * number
        parts.append(svg_text(0, top + 13, kind, extra=" name main"))
        count = f": {counts[kind]:,}".replace(",", "\u202f") if kind in counts else ""
        parts.append(svg_text(INSET, top + 13, f"{WORDS[kind]}{count}"))
        parts.append(svg_text(WIDTH, top + 13, f"{value:.1f}", "end", " name"))
        for width, part in ((WIDTH, "empty"), (max(value, 0) / largest * WIDTH, kind)):
            bar = Markup('<rect class="bar {}" x="0" y="{}" width="{:.1f}" height="{}"/>')
            parts.append(bar.format(part, top + 19, width, BAR))
    said = "; ".join(
        f"{kind} {value:.1f}" + (f" by {counts[kind]} errors" if kind in counts else "")
        for kind, value in values.items()
    )
    return svg(name, title, f"{said}.", WIDTH, ROW * len(values), parts)


def _arc(kind: str, start: float, end: float, middle: float) -> Markup:
    """A part of the ring from one share of the turn to another; a whole turn is drawn as two halves."""
    if end - start > 0.999:
        halves = [_arc(kind, start, start + 0.5, middle), _arc(kind, start + 0.5, start + 0.9999, middle)]
        return Markup("\n").join(halves)
    corners = [
        (middle + radius * math.sin(2 * math.pi * turn), middle - radius * math.cos(2 * math.pi * turn))
        for radius, turn in ((OUTER, start), (OUTER, end), (INNER, end), (INNER, start))
    ]
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
    long = int(end - start > 0.5)
    path = (
        f"M{ax:.2f},{ay:.2f}A{OUTER},{OUTER} 0 {long} 1 {bx:.2f},{by:.2f}"
        f"L{cx:.2f},{cy:.2f}A{INNER},{INNER} 0 {long} 0 {dx:.2f},{dy:.2f}Z"
    )
    return Markup('<path class="slice {}" d="{}"/>').format(kind, path)
