"""What organizers change of a challenge that runs: its pages, baseline and phases. Each change is logged.

Phases may overlap: an upload that names none goes to the first of those that are open. One phase hands over
to the next by time alone, so nothing has to run at that moment.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from vipriors.board.acting import challenge_to_run, note, phase_to_run
from vipriors.board.core import Board
from vipriors.board.models import Challenge, Phase, Submission
from vipriors.board.planning import PhasePlan, check_baseline, in_utc, read_plan, refuse_same_names
from vipriors.problems import BadInput, Problem
from vipriors.tasks.findings import shown

PAGES = ("description", "rules", "data")
LONGEST_PAGE = 200_000
LONGEST_TITLE = 200


def edit_pages(
    board: Board, challenge_name: str, *, reason: str = "", by: int | None = None, **texts: str
) -> None:
    """Changes the title, or any of the Markdown texts description, rules and data.

    Raises:
        NotFound: there is no such challenge, as far as the person may know.
        Forbidden: the person does not run it.
        BadInput: a text is too long or not a page, or the title is empty; lists all.
    """
    problems = []
    for name, text in texts.items():
        longest = LONGEST_TITLE if name == "title" else LONGEST_PAGE
        if name != "title" and name not in PAGES:
            problems.append(Problem(name, f"is no page; expected one of title, {', '.join(PAGES)}"))
        elif name == "title" and not (text.strip() and text.isprintable()):
            problems.append(Problem(name, f"is {shown(text)}; expected one printable line"))
        elif len(text) > longest:
            problems.append(Problem(name, f"has {len(text):,} characters; expected at most {longest:,}"))
    if problems:
        raise BadInput(problems)
    _change(board, challenge_name, "edit pages", by, reason, **texts)


def set_baseline(
    board: Board,
    challenge_name: str,
    baseline: tuple[str, float] | None,
    *,
    reason: str = "",
    by: int | None = None,
) -> None:
    """Sets the line that is shown beside the entries, its name and score; None for no line.

    Raises:
        NotFound, Forbidden: as `edit_pages`.
        BadInput: the score is no number, or the name is empty or too long.
    """
    name, score = baseline or (None, None)
    check_baseline(name, score)
    after = {"baseline_name": name, "baseline_score": score}
    _change(board, challenge_name, "set baseline", by, reason, **after)


def hide_challenge(
    board: Board, challenge_name: str, hidden: bool = True, *, reason: str = "", by: int | None = None
) -> None:
    """Hides a challenge from everybody but its organizers, or shows it; raises as `set_baseline`."""
    action = "hide challenge" if hidden else "show challenge"
    _change(board, challenge_name, action, by, reason, hidden=hidden)


def add_phase(
    board: Board, challenge_name: str, plan: PhasePlan, *, reason: str = "", by: int | None = None
) -> Phase:
    """Adds a phase after those there are.

    Raises:
        NotFound, Forbidden: as `edit_pages`.
        BadInput: the challenge has a phase of this name.
    """
    with board.database.writing() as session, session.begin():
        challenge = challenge_to_run(session, by, challenge_name)
        session.refresh(challenge, with_for_update={"key_share": True})
        phases = session.scalars(select(Phase).where(Phase.challenge_id == challenge.id)).all()
        refuse_same_names([*(phase.name for phase in phases), plan.name])
        position = max((phase.position for phase in phases), default=-1) + 1
        phase = Phase(challenge_id=challenge.id, position=position, **in_utc(plan))
        session.add(phase)
        note(session, by, challenge, "add phase", plan.name, after=in_utc(plan), reason=reason)
    return phase


def change_phase(
    board: Board, phase_id: int, *, reason: str = "", by: int | None = None, **changes: Any
) -> Phase:
    """Changes fields of a phase, such as its end to extend a deadline.

    What came after the old end and not after the new one is late no more. What was in time stays so.

    Args:
        board: the board.
        phase_id: id of the phase.
        reason: for the log.
        by: who does it; None for the command line.
        changes: fields of `PhasePlan`.

    Raises:
        NotFound, Forbidden: as `edit_pages`.
        BadInput: a value does not fit; lists all.
    """
    with board.database.writing() as session, session.begin():
        phase = phase_to_run(session, by, phase_id)
        old = {name: getattr(phase, name) for name in PhasePlan.model_fields}
        new = in_utc(read_plan({**old, **changes}, f"phase {phase.name}"))
        others = select(Phase.name).where(Phase.challenge_id == phase.challenge_id, Phase.id != phase.id)
        refuse_same_names([*session.scalars(others), str(new["name"])])
        for name, value in new.items():
            setattr(phase, name, value)
        late = select(Submission).where(Submission.phase_id == phase.id, Submission.late)
        in_time = [each for each in session.scalars(late) if phase.end is None or each.received <= phase.end]
        for submission in in_time:
            submission.late = False
        changed = [name for name in new if new[name] != old[name]]
        note(
            session,
            by,
            phase.challenge,
            "change phase",
            str(old["name"]),
            before={name: old[name] for name in changed},
            after={name: new[name] for name in changed},
            reason=reason,
            in_time_now=[submission.id for submission in in_time] or None,
        )
    return phase


def _change(
    board: Board, challenge_name: str, action: str, by: int | None, reason: str, **after: Any
) -> Challenge:
    with board.database.writing() as session, session.begin():
        challenge = challenge_to_run(session, by, challenge_name)
        before = {name: getattr(challenge, name) for name in after}
        for name, value in after.items():
            setattr(challenge, name, value)
        changed = [name for name in after if after[name] != before[name]]
        note(
            session,
            by,
            challenge,
            action,
            challenge.name,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
            reason=reason,
        )
    return challenge
