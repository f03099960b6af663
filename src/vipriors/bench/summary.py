"""Tables in a Markdown page, made from the records beside it.

A page marks each place with `<!-- records: FOLDER reference: METHOD -->` and `<!-- end -->`; what stands
between them is written by `python -m vipriors.bench.summary PAGE` and never by hand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from vipriors.bench.measured import Measured, read_measured
from vipriors.bench.table import cost_table, difference_table, saving_table, score_table

PLACE = re.compile(r"(<!-- records: (\S+) reference: (\S+) -->\n).*?(<!-- end -->)", re.S)


def filled(page: Path) -> str:
    """The page's text with every table made anew.

    Raises:
        BadInput: A folder that the page names has no records, or they do not belong together.
    """

    def fill(place: re.Match[str]) -> str:
        (measured,) = read_measured(page.parent / place[2], place[3])
        several = len({record["seed"] for record in measured.records}) > 1
        compared = [difference_table(measured), saving_table(measured)] if several else []
        parts = [score_table(measured), *compared, cost_table(measured), spent(measured)]
        return place[1] + "\n" + "\n\n".join(filter(None, parts)) + "\n\n" + place[4]

    return PLACE.sub(fill, page.read_text(encoding="utf-8"))


def spent(measured: Measured) -> str:
    """What the table cost: the time of all trainings, one after another."""
    costs = [record.get("cost", {}) for record in measured.records]
    seconds = [cost["seconds"] for cost in costs if "seconds" in cost]
    count = f"{len(seconds)} trainings" if len(seconds) > 1 else "one training"
    return f"The table took {count}: {sum(seconds) / 60:.0f} minutes, one after another."


def main() -> None:
    """Writes the tables of the pages named on the command line."""
    for name in sys.argv[1:]:
        Path(name).write_text(filled(Path(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
