"""Runs benchmarks, stores what they print, and writes it into README.md.

    python benchmarks/measure.py [NAME …] [--page-only]

A NAME is a script of this folder, or one of `SCRIPTS`; its JSON goes to `measured/NAME.json` with the command
and the machine. In the page, each `<!-- measured: NAME -->` … `<!-- end -->` holds the tables of one file.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from vipriors.bench.table import markdown
from vipriors.runs.environment import environment

HERE = Path(__file__).parent
PAGE = HERE / "README.md"
PLACE = re.compile(r"(<!-- measured: (\S+) -->\n).*?(<!-- end -->)", re.S)
SCRIPTS = {
    "training_one_thread": ["training", "--threads", "1", "--only", "32px", "224px", "--repeats", "3"],
    "scoring": ["scoring", "--classes", "10", "100", "1000"],
    "assigning": ["assigning", "--pairs", "8"],
}
"""Measurements that are not just the script of their name without options."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="scripts without .py; all that the page shows by default")
    parser.add_argument("--page-only", action="store_true", help="run nothing, write the page anew")
    args = parser.parse_args()
    names = args.names or [place[1] for place in PLACE.findall(PAGE.read_text())]
    for name in [] if args.page_only else names:
        print(f"measuring {name}", file=sys.stderr)
        store(name)
    PAGE.write_text(filled(PAGE.read_text()))


def store(name: str) -> None:
    """Runs one benchmark and keeps what it found."""
    script, *options = SCRIPTS.get(name, [name])
    words = [f"benchmarks/{script}.py", *options, "--json"]
    command = [sys.executable, *words]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    records = json.loads(found.stdout)
    content = {
        "command": " ".join(["python", *words]),
        "environment": environment(),
        "records": records if isinstance(records, list) else [records],
    }
    (HERE / "measured").mkdir(exist_ok=True)
    (HERE / "measured" / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def filled(page: str) -> str:
    """The page with every table made from its file."""
    return PLACE.sub(lambda place: place[1] + "\n" + tables(place[2]) + "\n\n" + place[3], page)


def tables(name: str) -> str:
    """The records of one file: a table for each run of records with the same fields."""
    content = json.loads((HERE / "measured" / f"{name}.json").read_text())
    machine = content["environment"]
    versions = ", ".join(f"{key} {machine[key]}" for key in ("python", "numpy", "torch") if key in machine)
    parts = [f"`{content['command']}` on {machine['processor']}; {versions}."]
    for keys, records in groupby(flat(content["records"]), key=tuple):
        rows = [[as_text(record[key]) for key in keys] for record in records]
        parts.append(markdown([key.replace("_", " ") for key in keys], rows))
    return "\n\n".join(parts)


def flat(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without those that only hold others."""
    return [inner for record in records for inner in record.get("records", [record])]


def as_text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main()
