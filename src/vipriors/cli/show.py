"""`list`: what there is."""

from __future__ import annotations

import argparse

from vipriors.cli.output import Commands, add_command, answer

KINDS = ("tasks", "challenges", "methods", "worlds")


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    listing = add_command(commands, "list", list_, "list tasks, challenges, methods and worlds")
    listing.add_argument("kind", nargs="?", choices=KINDS, help="all of them by default")


def list_(arguments: argparse.Namespace) -> int:
    """`vipriors list`"""
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
