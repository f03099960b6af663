"""What people do on a board, as plain functions: pages, the HTTP interface and commands call these.

They raise `BadInput` with every problem of what was given, `Forbidden`, `NotFound` or `TooMany`.
"""

from vipriors.board.adding import PhasePlan, add_challenge, make_organizer, rescore
from vipriors.board.core import Board, Forbidden, NotFound, TooMany, open_board
from vipriors.board.people import (
    alone,
    create_team,
    is_organizer,
    join,
    leave,
    membership_of,
    sign_up,
    team_of,
)
from vipriors.board.standings import Leaderboard, leaderboard, part_shown, place_in_queue
from vipriors.board.submitting import (
    Declaration,
    Quota,
    Receipt,
    cancel,
    open_phase,
    quota_left,
    submit,
)

__all__ = [
    "Board",
    "Declaration",
    "Forbidden",
    "Leaderboard",
    "NotFound",
    "PhasePlan",
    "Quota",
    "Receipt",
    "TooMany",
    "add_challenge",
    "alone",
    "cancel",
    "create_team",
    "is_organizer",
    "join",
    "leaderboard",
    "leave",
    "make_organizer",
    "membership_of",
    "open_board",
    "open_phase",
    "part_shown",
    "place_in_queue",
    "quota_left",
    "rescore",
    "sign_up",
    "submit",
    "team_of",
]
