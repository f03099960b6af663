"""Tables of what was measured on a challenge, as Markdown: a row a contender, a column a size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vipriors.bench.measured import Measured, Place
from vipriors.bench.saving import Saving

MARKS = {"above": " ▲", "below": " ▼", "": ""}
"""Behind a difference that stands after correction for all comparisons of the challenge."""


def score_table(measured: Measured) -> str:
    """Mean and standard deviation of the headline score over subsets, in percent, and how many there are."""

    def cell(place: Place) -> str:
        spread = "" if place.deviation is None else f" ± {100 * place.deviation:.1f}"
        return f"{100 * place.mean:.1f}{spread} ({len(place.scores)})"

    return _by_size(measured, f"{measured.headline}, %", measured.contenders, cell)


def difference_table(measured: Measured) -> str:
    """How far each contender is above the reference on the same subsets, in points with 95 % intervals."""

    def cell(place: Place) -> str:
        found = place.difference
        if found is None:
            return ""
        mark = MARKS[place.mark] if found.clear else " (not clear)"
        return f"{found.mean * 100:+.1f} [{found.low * 100:+.1f}, {found.high * 100:+.1f}]{mark}"

    return _by_size(measured, f"against {measured.reference}", measured.contenders[1:], cell)


def saving_table(measured: Measured) -> str | None:
    """How many times as many images the reference needs; None where that cannot be told of any contender."""
    if not any(place.saving for place in measured.places.values()):
        return None

    def cell(place: Place) -> str:
        return "" if place.saving is None else shown_saving(place.saving)

    return _by_size(measured, "data-saving factor", measured.contenders[1:], cell)


def shown_saving(saving: Saving) -> str:
    """A factor with its interval; `not clear` where the interval holds one."""
    mark = "" if saving.clear else " (not clear)"
    return f"{saving.factor} [{saving.low}, {saving.high}]{mark}"


def cost_table(measured: Measured) -> str:
    """What a run cost: parameters, forward operations an image, steps, median seconds, where."""
    rows = []
    for contender in measured.contenders:
        own = [record for record in measured.records if record["contender"] == contender]
        cost = own[0].get("cost", {})
        if "steps" not in cost:
            continue
        seconds = sorted(record["cost"]["seconds"] for record in own)[len(own) // 2]
        rows.append(
            [
                contender,
                f"{cost['parameters']:,}",
                f"{cost['flops_per_image'] / 1e6:.1f} M",
                f"{cost['steps']:,}",
                f"{seconds:.0f}",
                own[0]["environment"]["device"],
            ]
        )
    header = ["network", "parameters", "operations an image", "steps", "seconds a run", "device"]
    return markdown(header, rows)


def _by_size(measured: Measured, corner: str, contenders: Sequence[str], cell: Callable[[Place], str]) -> str:
    rows = [
        [name, *(cell(at) if (at := measured.places.get((name, size))) else "" for size in measured.sizes)]
        for name in contenders
    ]
    return markdown([corner, *map(measured.size_name, measured.sizes)], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    lines = [
        "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    head = "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(header, widths, strict=True)) + " |"
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([head, rule, *lines])
