"""Times how soon the command line answers: `vipriors --help` and `vipriors list`, whole processes.

    python benchmarks/startup.py [--runs 10] [--json]

Byte code is written and used, as in any installation, even where PYTHONDONTWRITEBYTECODE is set. An
interpreter that does nothing takes its turn between them and is listed too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("vipriors"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "vipriors --help": [PROGRAM, "--help"],
    "vipriors list": [PROGRAM, "list"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="medians are taken over these")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    timings: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(args.runs + 1):
        for name, command in COMMANDS.items():
            timings[name].append(seconds(command))
    # The first of each writes the byte code.
    records = [
        {"command": name, "median_s": round(statistics.median(found[1:]), 3), "least_s": round(min(found), 3)}
        for name, found in timings.items()
    ]
    if args.json:
        print(json.dumps(records, indent=1))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def seconds(command: list[str]) -> float:
    """Wall time of one process from start to end."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
