"""`claim`: a system's claim, measured against its baseline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vipriors.cli.measure import add_workers, run_shown
from vipriors.cli.output import Commands, add_command, answer


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    claim = add_command(
        commands, "claim", claim_, "measure a system's claim against its baseline; without one, list all"
    )
    claim.add_argument("system", nargs="?", help="its number, such as R3")
    claim.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N-1 (default: 5)")
    claim.add_argument("--source", type=Path, metavar="DIR", help="your copy of images not embedded here")
    claim.add_argument("--store", type=Path, metavar="DIR", help="of records (default: results/claims)")
    claim.add_argument("--work", type=Path, default=Path("data"), metavar="DIR", help="prepared images")
    claim.add_argument("--retry-failed", action="store_true", help="run cells again that failed before")
    add_workers(claim)


def claim_(arguments: argparse.Namespace) -> int:
    """`vipriors claim`"""
    from vipriors.bench import claims

    store = arguments.store or claims.STORE
    if arguments.system is None:
        return _list(arguments, store)
    system = claims.find_system(arguments.system)
    ready = [claim for claim in system.card.claims if claims.at_hand(claim, arguments.source)]
    for claim in ready:
        grid = claims.grid_of(system, claim, arguments.seeds, store, arguments.work, arguments.source)
        run_shown(arguments, grid)
    found = [claims.outcome(system, claim, store) for claim in system.card.claims]
    lines = [f"{system.card.system} {system.card.name} ({system.method.name})"]
    for one in found:
        lines += [f"  {one.claim.text}", f"  {one.said()}"]
        if one.claim not in ready:
            lines.append(f"  not run: give your copy of the images of {one.claim.challenge} with --source")
    return answer(arguments, _json(system, found), "\n".join(lines))


def _list(arguments: argparse.Namespace, store: Path) -> int:
    from vipriors.bench import claims

    rows, lines = [], []
    for system in claims.systems():
        found = [claims.outcome(system, claim, store) for claim in system.card.claims]
        rows.append(_json(system, found))
        lines += [
            f"{system.card.system:4} {system.card.name}: {one.claim.text}: {one.said()}" for one in found
        ]
    return answer(arguments, {"systems": rows}, "\n".join(lines) or "no method has a card yet")


def _json(system: Any, outcomes: list[Any]) -> dict[str, Any]:
    return {
        "system": system.card.system,
        "name": system.card.name,
        "method": system.method.name,
        "task": system.method.family,
        "claims": [one.to_json() for one in outcomes],
    }
