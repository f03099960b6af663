"""Tables of measured scores, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vipriors.bench.records import group
from vipriors.bench.statistics import paired_difference


def score_table(records: Sequence[dict[str, Any]], metric: str = "top1") -> str:
    """Mean and standard deviation over subsets, in percent: a row a contender, a column a size."""
    sizes = sorted({record["images_per_class"] for record in records})
    rows = []
    for (contender,), own in group(records, "contender").items():
        by_size = group(own, "images_per_class")
        rows.append([contender, *(_mean(by_size.get((size,), []), metric) for size in sizes)])
    return markdown(["method", *(f"{size} a class" for size in sizes)], rows)


def difference_table(records: Sequence[dict[str, Any]], reference: str, metric: str = "top1") -> str:
    """How far each contender is above `reference` on the same subsets, in points with 95 % intervals."""
    sizes = sorted({record["images_per_class"] for record in records})
    scores = {(r["contender"], r["images_per_class"], r["seed"]): r["scores"][metric] for r in records}
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
    return markdown([f"against {reference}", *(f"{size} a class" for size in sizes)], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    lines = [
        "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    head = "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(header, widths, strict=True)) + " |"
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([head, rule, *lines])


def _mean(records: Sequence[dict[str, Any]], metric: str) -> str:
    if not records:
        return ""
    scores = np.array([record["scores"][metric] for record in records]) * 100
    spread = f" ± {scores.std(ddof=1):.1f}" if len(scores) > 1 else ""
    return f"{scores.mean():.1f}{spread} ({len(scores)})"
