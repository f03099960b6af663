"""Templates: how they are found, and how they write moments, scores and numbers."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from vipriors.board.markup import html
from vipriors.pages import templates
from vipriors.tasks.score_names import AMOUNTS, metric_name

STATIC = Path(__file__).with_name("static")
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

TASKS = {
    "segmentation": "Semantic segmentation",
    "detection": "Object detection",
    "instances": "Instance segmentation",
    "actions": "Action recognition",
    "reid": "Re-identification",
    "points": "Classification of point clouds",
    "planning": "Planning on uncertain maps",
    "generation": "Image generation",
}


def render(template: str, **context: Any) -> str:
    """A page's text."""
    return environment().get_template(template).render(**context)


@cache
def environment() -> Environment:
    """What all templates share."""
    found = templates("vipriors.board.web", "templates")
    found.filters |= {
        "markdown": html,
        "moment": moment,
        "day": day,
        "percent": percent,
        "points": points,
        "share": share,
        "metric": metric_name,
        "score": score,
        "limits": limits,
        "task": task,
        "amount": amount,
        "size": size,
        "path": path_part,
    }
    found.globals["static"] = static_path
    return found


def moment(value: datetime | None) -> Markup:
    """A moment in UTC; a script adds the reader's own time."""
    if value is None:
        return Markup("–")
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M} UTC"
    )


def day(value: datetime) -> Markup:
    """The day of a moment in UTC, of which no more is said."""
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}" data-day>{}</time>').format(
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d}"
    )


def percent(value: float | None) -> str:
    """A score as it is ranked: in per cent with two digits."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def points(value: float | None) -> str:
    """A limit of an interval, in per cent with one digit."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def score(value: float | None, name: str) -> str:
    """Any score, with the sign of per cent where it is a share."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.4f}" if name in AMOUNTS else f"{percent(value)} %"


def limits(low: float | None, high: float | None, name: str) -> str:
    """The interval of any score."""
    ends = (score(end, name) if name in AMOUNTS else points(end) for end in (low, high))
    return " – ".join(ends)


def share(value: float | None) -> Markup:
    """A score from 0 to 1 as a bar; its number stands beside it."""
    if value is None or math.isnan(value):
        return Markup()
    width = 100 * min(max(value, 0.0), 1.0)
    bars = f'<rect class="whole" width="100" height="8"/><rect class="part" width="{width:.1f}" height="8"/>'
    head = '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
    return Markup(f"{head}{bars}</svg>")


def task(name: str) -> str:
    """What people call a task, at the start of a line."""
    return TASKS.get(name, name.capitalize())


def amount(value: float | None) -> str:
    """A number in three digits: `1.23 M`, `0.5`; a whole one below a thousand as it is."""
    if value is None:
        return "–"
    if not isinstance(value, int) and value < 1000:
        return f"{value:.3g}"
    if value >= 10**15:
        return f"{value:.3g}"
    for unit, name in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return str(value)


def size(value: int) -> str:
    """Bytes in a unit that fits."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value} bytes"


def path_part(value: str) -> str:
    """A text as a part of an address."""
    return quote(value, safe="")


@cache
def static_files() -> dict[str, tuple[bytes, str, str]]:
    """Content, type and version of each file that pages refer to, by its name."""
    found = {}
    for file in sorted(STATIC.iterdir()):
        if file.suffix in TYPES:
            content = file.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:12]
            found[file.name] = (content, TYPES[file.suffix], version)
    return found


def static_path(name: str) -> str:
    """Where a page finds a file; changes with its content."""
    return f"/static/{name}?v={static_files()[name][2]}"
