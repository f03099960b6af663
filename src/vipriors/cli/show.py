"""`list`: what there is."""

from __future__ import annotations

import argparse
from pathlib import Path

from vipriors.cli.output import Commands, add_command, answer

KINDS = ("tasks", "challenges", "methods", "worlds")
RUNS = "runs"


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    listing = add_command(commands, "list", list_, "list tasks, challenges, methods, worlds, or your runs")
    listing.add_argument("kind", nargs="?", choices=(*KINDS, RUNS), help="all but runs by default")
    listing.add_argument("folder", nargs="?", type=Path, default=Path("runs"), help="of runs (default: runs)")


def list_(arguments: argparse.Namespace) -> int:
    """`vipriors list`"""
    if arguments.kind == RUNS:
        from vipriors.runs.listing import finished_runs, table

        runs = finished_runs(arguments.folder)
        return answer(arguments, {"runs": [run.to_json() for run in runs]}, table(runs))
    from vipriors import challenges, methods, tasks, worlds

    found = {
        "tasks": [{"name": name, "about": about} for name, about in tasks.summaries()],
        "challenges": [
            {"name": n, "task": task, "about": title} for n, task, title in challenges.summaries()
        ],
        "methods": [{"name": m.name, "task": m.family, "about": m.summary} for m in methods.listings()],
        "worlds": [{"name": name, "about": about} for name, about in worlds.summaries()],
    }
    wanted = {kind: found[kind] for kind in ([arguments.kind] if arguments.kind else KINDS)}
    width = max(len(row["name"]) for rows in wanted.values() for row in rows)
    lines = []
    for kind, rows in wanted.items():
        lines += [kind, *(f"  {row['name']:{width}}  {row['about']}" for row in rows)]
    return answer(arguments, wanted, "\n".join(lines))
