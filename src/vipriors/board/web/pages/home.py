"""The first page: the challenges of the board."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Response

from vipriors.board import viewing
from vipriors.board.models import Challenge, Phase, now
from vipriors.board.standings import HIDDEN, Leaderboard, leaderboard
from vipriors.board.web.challenges import phase_at, state_of
from vipriors.board.web.visiting import Visit

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Listing:
    """A challenge in the list.

    Attributes:
        state: of its phase.
        leaderboard: of its phase; None where nothing is shown.
    """

    challenge: Challenge
    phase: Phase | None
    state: str
    leaderboard: Leaderboard | None


@router.get("/")
def home(visit: Visit) -> Response:
    """All challenges."""
    at = now()

    def make() -> Response:
        with visit.reading() as session:
            listings = []
            for challenge in viewing.challenges(session, visit.viewer):
                phase = phase_at(challenge, at)
                board = leaderboard(session, phase, at) if phase and phase.start <= at else None
                shown = board if board and board.part != HIDDEN else None
                listings.append(Listing(challenge, phase, state_of(phase, at) if phase else "", shown))
            return visit.page("home.html.jinja", listings=listings)

    return visit.public(make)
