"""Tables in a Markdown page, made from the records beside it.

A page marks each place with `<!-- records: FOLDER reference: METHOD -->` and `<!-- end -->`; what stands
between them is written by `python -m vipriors.bench.summary PAGE` and never by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vipriors.bench.records import group, read_records
from vipriors.bench.table import difference_table, markdown, score_table
from vipriors.problems import BadInput

PLACE = re.compile(r"(<!-- records: (\S+) reference: (\S+) -->\n).*?(<!-- end -->)", re.S)


def filled(page: Path) -> str:
    """The page's text with every table made anew.

    Raises:
        BadInput: A folder that the page names has no records.
    """

    def fill(place: re.Match[str]) -> str:
        records = read_records(page.parent / place[2])
        if not records:
            raise BadInput.single(page.parent / place[2], "has no records")
        several = len({record["seed"] for record in records}) > 1
        parts = [score_table(records), cost_table(records)]
        parts[1:1] = [difference_table(records, place[3])] if several else []
        return place[1] + "\n" + "\n\n".join(parts) + "\n\n" + place[4]

    return PLACE.sub(fill, page.read_text(encoding="utf-8"))


def cost_table(records: Sequence[dict[str, Any]]) -> str:
    """What a run cost: parameters, forward operations an image, steps, median seconds, where."""
    rows = []
    for (contender,), own in group(records, "contender").items():
        cost = own[0]["cost"]
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


def main() -> None:
    """Writes the tables of the pages named on the command line."""
    for name in sys.argv[1:]:
        Path(name).write_text(filled(Path(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
