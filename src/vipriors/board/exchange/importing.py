"""Makes a challenge of a bundle of another platform, scored by one of our tasks."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vipriors import tasks
from vipriors.board.adding import add_challenge
from vipriors.board.core import Board
from vipriors.board.editing import LONGEST_PAGE, LONGEST_TITLE
from vipriors.board.exchange import codabench, evalai
from vipriors.board.exchange.bundle import Bundle, Plan, open_bundle
from vipriors.board.models import Challenge
from vipriors.problems import BadInput, Problem

READERS = {
    **dict.fromkeys(codabench.FILES, codabench.read_codabench),
    **dict.fromkeys(evalai.FILES, evalai.read_evalai),
}
SIZE, FRAMES, POINTS, NODES = [224, 224], 16, 1024, 32


@dataclass(frozen=True)
class Imported:
    """A challenge that was made of a bundle, and what it was made of."""

    challenge: Challenge
    plan: Plan


def read_bundle(path: Path) -> Plan:
    """What a bundle, a zip or a folder, says.

    Raises:
        BadInput: it is none that is known here; lists everything that is wrong.
    """
    bundle = open_bundle(path)
    name = _config(bundle)
    plan = READERS[name](bundle, name)
    problems = []
    if not plan.title:
        problems.append(Problem(f"{bundle.place}, {name}, title", "is missing"))
    if not plan.phases:
        problems.append(Problem(f"{bundle.place}, {name}", "has no phases"))
    problems += [
        Problem(f"{bundle.place}, {page}", f"has {len(text):,} characters; expected at most {LONGEST_PAGE:,}")
        for page, text in plan.pages.items()
        if len(text) > LONGEST_PAGE
    ]
    if problems:
        raise BadInput(problems)
    return plan


def import_bundle(
    board: Board,
    path: Path,
    task: str,
    labels: Path,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    public_share: float = 1.0,
    by: int | None = None,
) -> Imported:
    """Makes a challenge of a bundle.

    What is not taken over is listed in the plan, and stays with the challenge (`outside`).

    Args:
        board: the board.
        path: of the bundle, a zip or a folder.
        task: name of the task that scores.
        labels: as the task takes them.
        name: of the challenge; by default made of the bundle's title.
        classes: names of the classes, where the labels do not have them.
        public_share: of the test; by default all, as the bundle has it.
        by: who does it, an administrator; None for the command line.

    Raises:
        Forbidden: the person is no administrator.
        BadInput: bundle or labels are wrong, or there is a challenge of this name.
    """
    tasks.load(task)
    plan = read_bundle(path)
    name = name or name_of(plan.title)
    plan.left.append(f"the size of images is not in it; the challenge says {SIZE[0]} x {SIZE[1]}")
    shown: dict[str, Any] = {"size": SIZE, "frames": FRAMES if task == "actions" else None}
    inputs = {"points": {"points": POINTS}, "planning": {"nodes": NODES}}
    content = {
        "name": name,
        "title": " ".join(plan.title.split())[:LONGEST_TITLE],
        "task": task,
        "source": {
            "kind": "points" if task == "points" else "folder",
            "classes": list(classes) if classes else None,
        },
        "input": inputs.get(task, shown),
    }
    with tempfile.TemporaryDirectory(prefix="vipriors-import-") as folder:
        file = Path(folder) / "challenge.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        challenge = add_challenge(
            board,
            file,
            labels,
            phases=plan.phases,
            public_share=public_share,
            hidden=plan.hidden,
            pages=plan.pages,
            outside={"format": plan.format, "columns": plan.columns, "not taken over": plan.left},
            by=by,
        )
    return Imported(challenge, plan)


def name_of(title: str) -> str:
    """A name such as challenges have, made of a title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-") or "challenge"


def _config(bundle: Bundle) -> str:
    found = [name for name in READERS if name in bundle.names]
    if len(found) == 1:
        return found[0]
    if found:
        message = f"has {' and '.join(found)}; expected one of them"
        raise BadInput.single(bundle.place, message)
    deeper = [name for name in sorted(bundle.names) if name.rpartition("/")[2] in READERS]
    others = [name for name in sorted(bundle.names) if name.lower().endswith((".yaml", ".yml"))]
    message = "has no competition.yaml or challenge_config.yaml"
    if deeper:
        message += f" at its top, only {', '.join(deeper[:3])}"
    elif others:
        message += f"; its YAML files: {', '.join(others[:3])}"
    raise BadInput.single(bundle.place, message)
