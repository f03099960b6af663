"""A challenge: what it is about, when, by which rules, with which data, and how entries are scored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from fastapi import APIRouter, Response

from vipriors import challenges
from vipriors.board import viewing
from vipriors.board.core import NotFound
from vipriors.board.models import Challenge
from vipriors.board.web.challenges import scene, state_of
from vipriors.board.web.downloads import saved_as
from vipriors.board.web.visiting import Visit

router = APIRouter(include_in_schema=False)

FORMATS = ("tasks/formats", "../../docs/formats")
"""Where the pages about predictions files are: in an installed package, and in a checkout."""


@dataclass(frozen=True)
class Preparing:
    """How participants come to the images.

    Attributes:
        command: that cuts the subset.
        file: whether they need the challenge's file, which is not in the package.
        world: whether the images are embedded.
    """

    command: str
    file: bool
    world: bool


@router.get("/c/{name}")
def challenge_page(visit: Visit, name: str) -> Response:
    """A challenge."""
    with visit.reading() as session:
        found = scene(session, visit, name)
        return visit.page(
            "challenge.html.jinja",
            scene=found,
            tab="overview",
            states={phase.id: state_of(phase, found.at) for phase in found.challenge.phases},
            preparing=preparing(found.challenge),
            format=format_of(found.challenge.task),
        )


@router.get("/c/{name}/challenge.yaml")
def challenge_file(visit: Visit, name: str) -> Response:
    """The file that `vipriors data prepare` and `vipriors run` take."""
    with visit.reading() as session:
        challenge = viewing.challenge(session, visit.viewer, name)
    content = _content(challenge)
    content.get("source", {}).pop("path", None)  # where the organizer's copy is, is nobody's business
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    headers = {"Content-Disposition": saved_as(f"{challenge.name}.yaml")}
    return Response(text, media_type="text/plain", headers=headers)


def preparing(challenge: Challenge) -> Preparing:
    """How participants come to a challenge's images."""
    known = challenges.embedded().get(challenge.name)
    file = known is None or known.read_text(encoding="utf-8") != challenge.yaml
    world = bool(_content(challenge).get("source", {}).get("world"))
    command = f"vipriors data prepare {challenge.name}{'.yaml' if file else ''}"
    return Preparing(command if world else f"{command} --source DIR", file, world)


@cache
def format_of(task: str) -> str:
    """The page about a task's predictions file, in Markdown without its title."""
    for folder in FORMATS:
        file = Path(challenges.__file__).parents[1] / folder / f"{task}.md"
        if file.is_file():
            return file.read_text(encoding="utf-8").partition("\n")[2]
    raise NotFound(f"format of {task}")


def _content(challenge: Challenge) -> dict[str, Any]:
    content = yaml.safe_load(challenge.yaml)
    source = content.get("source") if isinstance(content, dict) else None
    return content if isinstance(source, dict) else {}
