"""A board's first start: the challenges that come with the package, so that there is something to see."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from vipriors.board.adding import add_challenge
from vipriors.board.core import Board
from vipriors.board.models import Challenge
from vipriors.challenges import find

EMBEDDED = (
    "digits",
    "digits-segmentation",
    "digits-detection",
    "digits-instances",
    "digits-actions",
    "digits-reid",
)
"""Challenges whose images and labels are made by the package; the last one is listed first."""

BASELINES = {"digits": ("residual", 0.9617), "digits-reid": ("embedding", 0.4184)}
"""Their baselines, where `results/` has them: means over the seeds."""


def add_embedded(board: Board, tell: Callable[[str], None] = lambda name: None) -> list[str]:
    """Adds the embedded challenges to a board that has no challenge yet; the names of those it added.

    Args:
        board: the board.
        tell: called with the name of each before it is added.
    """
    with board.database.reading() as session:
        if session.scalars(select(Challenge.id)).first() is not None:
            return []
    for name in reversed(EMBEDDED):
        tell(name)
        add_challenge(board, find(name), baseline=BASELINES.get(name))
    return list(EMBEDDED)
