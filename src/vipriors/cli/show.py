"""`list`: what there is."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    from vipriors import challenges, tasks, worlds

    found: dict[str, list[dict[str, Any]]] = {
        "tasks": [{"name": name, "about": about} for name, about in tasks.summaries()],
        "challenges": [
            {"name": n, "task": task, "about": title} for n, task, title in challenges.summaries()
        ],
        "methods": _methods(with_verdicts=arguments.kind == "methods"),
        "worlds": [{"name": name, "about": about} for name, about in worlds.summaries()],
    }
    wanted = {kind: found[kind] for kind in ([arguments.kind] if arguments.kind else KINDS)}
    width = max(len(row["name"]) for rows in wanted.values() for row in rows)
    lines = []
    for kind, rows in wanted.items():
        lines += [kind, *(f"  {row['name']:{width}}  {row['about']}{_system(row)}" for row in rows)]
    return answer(arguments, wanted, "\n".join(lines))


def _methods(with_verdicts: bool) -> list[dict[str, Any]]:
    """A row for every method; verdicts take some time and are in the records of a checkout only."""
    from vipriors import methods

    rows: list[dict[str, Any]] = []
    for one in methods.listings():
        card = methods.card_of(one)
        number = card.system if card else None
        rows.append({"name": one.name, "task": one.family, "about": one.summary, "system": number})
    if with_verdicts:
        from vipriors.bench import claims

        known = {system.card.system: system for system in claims.systems()} if claims.STORE.is_dir() else {}
        for row in rows:
            system = known.get(row["system"])
            row["verdict"] = claims.standing(claims.outcomes(system)) if system else None
    return rows


def _system(row: Mapping[str, Any]) -> str:
    """Behind a method that is a system: which one, and what was found of its claims."""
    words = ": ".join(filter(None, (row.get("system"), row.get("verdict"))))
    return f" [{words}]" if words else ""
