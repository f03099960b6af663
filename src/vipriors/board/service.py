"""What people do on a board, as plain functions: pages, the HTTP interface and commands call these.

They raise `BadInput` with every problem of what was given, `Forbidden`, `NotFound` or `TooMany`.
"""

from vipriors.board.acting import log
from vipriors.board.adding import add_challenge, rescore, set_images
from vipriors.board.appointing import (
    disable,
    enable,
    make_admin,
    make_organizer,
    remove_admin,
    remove_organizer,
)
from vipriors.board.attaching import attach_report, attach_run, attachments, audit_passed, record_audit
from vipriors.board.core import Board, Forbidden, NotFound, TooMany, open_board
from vipriors.board.editing import add_phase, change_phase, edit_pages, hide_challenge, set_baseline
from vipriors.board.organizing import (
    Qualification,
    disqualify,
    former_names,
    hide,
    merge_teams,
    qualify,
    reinstate,
    show,
    unqualify,
)
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
from vipriors.board.planning import PhasePlan
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
    "Qualification",
    "Quota",
    "Receipt",
    "TooMany",
    "add_challenge",
    "add_phase",
    "alone",
    "attach_report",
    "attach_run",
    "attachments",
    "audit_passed",
    "cancel",
    "change_phase",
    "create_team",
    "disable",
    "disqualify",
    "edit_pages",
    "enable",
    "former_names",
    "hide",
    "hide_challenge",
    "is_organizer",
    "join",
    "leaderboard",
    "leave",
    "log",
    "make_admin",
    "make_organizer",
    "membership_of",
    "merge_teams",
    "open_board",
    "open_phase",
    "part_shown",
    "place_in_queue",
    "qualify",
    "quota_left",
    "record_audit",
    "reinstate",
    "remove_admin",
    "remove_organizer",
    "rescore",
    "set_baseline",
    "set_images",
    "show",
    "sign_up",
    "submit",
    "team_of",
    "unqualify",
]
