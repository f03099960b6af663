"""`claim`: a system's claims, measured."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vipriors.card import Bound, Claim
from vipriors.cli.measure import add_workers, run_shown
from vipriors.cli.output import Commands, add_command, answer


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    claim = add_command(commands, "claim", claim_, "measure a system's claims; without one, list all")
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
    hints = {claim.text: _hint(claim, arguments.source) for claim in system.card.claims}
    for claim in system.card.claims:
        if isinstance(claim, Claim) and not hints[claim.text]:
            grid = claims.grid_of(system, claim, arguments.seeds, store, arguments.work, arguments.source)
            run_shown(arguments, grid)
    found = claims.outcomes(system, store)
    lines = [f"{system.card.system} {system.card.name} ({system.name})"]
    for one in found:
        lines += [f"  {one.claim.text}", f"  {one.said()}"]
        if hint := hints[one.claim.text]:
            lines.append(f"  not run: {hint}")
    return answer(arguments, _json(system, found), "\n".join(lines))


def _hint(claim: Claim | Bound, source: Path | None) -> str:
    """What keeps a claim from being run here; empty if nothing does."""
    from vipriors.bench import claims

    if isinstance(claim, Bound):
        return f"`python benchmarks/measure.py {claim.benchmark}` in a checkout measures it"
    at_hand = claims.at_hand(claim, source)
    return "" if at_hand else f"give your copy of the images of {claim.challenge} with --source"


def _list(arguments: argparse.Namespace, store: Path) -> int:
    from vipriors.bench import claims

    rows, lines = [], []
    for system in claims.systems():
        found = claims.outcomes(system, store)
        rows.append(_json(system, found))
        lines += [
            f"{system.card.system:4} {system.card.name}: {one.claim.text}: {one.said()}" for one in found
        ]
    return answer(arguments, {"systems": rows}, "\n".join(lines) or "no system has a card yet")


def _json(system: Any, outcomes: list[Any]) -> dict[str, Any]:
    return {
        "system": system.card.system,
        "name": system.card.name,
        "source": system.card.source,
        "method": system.name,
        "task": system.task,
        "claims": [one.to_json() for one in outcomes],
    }
