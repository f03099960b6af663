"""Tables of measured scores, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vipriors.bench.records import group
from vipriors.bench.statistics import paired_difference


def score_table(records: Sequence[dict[str, Any]]) -> str:
    """Mean and standard deviation of the headline score over subsets, in percent.

    A row a contender, a column a size.
    """
    sizes = _sizes(records)
    rows = []
    for (contender,), own in group(records, "contender").items():
        by_size = group(own, "images_per_class")
        rows.append([contender, *(_mean(by_size.get((size,), [])) for size in sizes)])
    return markdown([f"{headline(records[0])}, %", *sizes.values()], rows)


def difference_table(records: Sequence[dict[str, Any]], reference: str) -> str:
    """How far each contender is above `reference` on the same subsets, in points with 95 % intervals."""
    sizes = _sizes(records)
    scores = {(r["contender"], r["images_per_class"], r["seed"]): score_of(r) for r in records}
    seeds = sorted({record["seed"] for record in records})
    rows = []
    for contender in sorted({record["contender"] for record in records} - {reference}):
        cells = []
        for size in sizes:
            both = [
                seed for seed in seeds if {(contender, size, seed), (reference, size, seed)} <= scores.keys()
            ]
            if len(both) < 2:
                cells.append("")
                continue
            found = paired_difference(
                [scores[contender, size, seed] for seed in both],
                [scores[reference, size, seed] for seed in both],
            )
            mark = "" if found.clear else " (not clear)"
            cells.append(f"{found.mean * 100:+.1f} [{found.low * 100:+.1f}, {found.high * 100:+.1f}]{mark}")
        rows.append([contender, *cells])
    return markdown([f"against {reference}", *sizes.values()], rows)


def headline(record: dict[str, Any]) -> str:
    """The score that a record's challenge ranks by; the first records had no other than top-1 accuracy."""
    return str(record.get("headline", "top1"))


def score_of(record: dict[str, Any]) -> float:
    """The headline score of a record."""
    return float(record["scores"][headline(record)])


def _sizes(records: Sequence[dict[str, Any]]) -> dict[int | None, str]:
    """The sizes there are, the smallest first, and what a column says of each."""
    by_class = records[0].get("task", "classification") in ("classification", "actions", "points")
    found = sorted({record["images_per_class"] for record in records}, key=lambda size: size or 0)
    unit = "a class" if by_class else "images"
    return {size: "all images" if size is None else f"{size} {unit}" for size in found}


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    lines = [
        "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    head = "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(header, widths, strict=True)) + " |"
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([head, rule, *lines])


def _mean(records: Sequence[dict[str, Any]]) -> str:
    if not records:
        return ""
    scores = np.array([score_of(record) for record in records]) * 100
    spread = f" ± {scores.std(ddof=1):.1f}" if len(scores) > 1 else ""
    return f"{scores.mean():.1f}{spread} ({len(scores)})"
