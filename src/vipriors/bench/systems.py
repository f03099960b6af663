"""The index of systems as a Markdown page: what has a card, what it claims, and what was measured of it.

What stands between `<!-- systems -->`, or `<!-- claims -->`, and `<!-- end -->` is written by
`python -m vipriors.bench.systems PAGE` in the root of a checkout, and never by hand.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from vipriors.bench.bounds import Kept
from vipriors.bench.claims import MEASURED, STORE, Outcome, System, outcomes, standing, systems
from vipriors.bench.measured import size_name
from vipriors.bench.table import markdown

PLACE = re.compile(r"(<!-- (systems|claims) -->\n).*?(<!-- end -->)", re.S)

Found = list[tuple[System, list[Outcome | Kept]]]


def filled(page: Path, root: Path = Path()) -> str:
    """The page's text with both tables made anew from the cards and the records of a checkout, `root`."""
    found = [(one, outcomes(one, root / STORE, root / MEASURED)) for one in systems()]
    tables = {"systems": systems_table(found, page.parent), "claims": claims_table(found)}
    text = page.read_text(encoding="utf-8")
    return PLACE.sub(lambda place: f"{place[1]}\n{tables[place[2]]}\n\n{place[3]}", text)


def systems_table(found: Found, folder: Path) -> str:
    """A row a system; `folder` is that of the page, for the links to the files."""
    rows = []
    for system, own in found:
        file = Path(os.path.relpath(system.file, folder)).as_posix()
        card, link = system.card, f"[`{system.name}`]({file})"
        rows.append([card.system, card.name, system.task, link, card.source, standing(own)])
    return markdown(["id", "name", "task", "file", "source", "claims"], rows)


def claims_table(found: Found) -> str:
    """A row a claim."""
    rows = [
        [system.card.system, one.claim.text, *measured(one, system.task), one.verdict]
        for system, own in found
        for one in own
    ]
    return markdown(["id", "claim", "measured by", "result", "verdict"], rows)


def measured(one: Outcome | Kept, task: str) -> tuple[str, str]:
    """How a claim is measured, and what was found: empty where nothing was."""
    if isinstance(one, Kept):
        return f"`benchmarks/{one.claim.benchmark}.py`", one.numbers() if one.found else ""
    claim = one.claim
    where = f"{claim.metric} on `{claim.challenge}` against `{claim.baseline}`"
    if claim.method:
        where = f"`{claim.method}`: {where}"
    if claim.images_per_class is not None:
        where += f", {size_name(task, claim.images_per_class)}"
    if one.scores is None or one.difference is None:
        return where, ""
    d = one.difference
    found = f"{one.scores[0]:.4f} − {one.scores[1]:.4f} = {d.mean:+.4f} [{d.low:+.4f}, {d.high:+.4f}]"
    return where, "; ".join([f"{found}, {one.seeds} seeds", *one.unequal])


def main() -> None:
    """Writes the tables of the pages named on the command line."""
    for name in sys.argv[1:]:
        Path(name).write_text(filled(Path(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
