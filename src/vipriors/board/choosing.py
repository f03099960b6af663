"""Which submission of a team stands on the leaderboard: its best, or the one that the team chose."""

from __future__ import annotations

from sqlalchemy import update

from vipriors.board.core import Board, NotFound
from vipriors.board.models import SCORED, Person, Submission, now
from vipriors.board.people import team_of
from vipriors.board.standings import is_running
from vipriors.problems import BadInput


def choose(board: Board, person_id: int, submission_id: str, chosen: bool = True) -> None:
    """Lets a submission of one's team stand in its phase; not chosen, the team's best does again.

    Raises:
        NotFound: there is none, or it is another team's.
        BadInput: it is not scored, does not rank, or its phase has ended: then the final scores are known.
    """
    with board.database.writing() as session, session.begin():
        submission, person = session.get(Submission, submission_id), session.get(Person, person_id)
        if submission is None or person is None:
            raise NotFound(f"submission {submission_id}")
        team = team_of(session, person, submission.phase.challenge)
        if team is None or team.id != submission.team_id:
            raise NotFound(f"submission {submission_id}")
        place = f"submission {submission_id}"
        if not is_running(submission.phase, now()):
            raise BadInput.single(place, "stands or not as when its phase ended")
        if chosen and submission.state != SCORED:
            raise BadInput.single(place, f"is {submission.state}; expected a scored one")
        if chosen and (submission.hidden or submission.disqualified is not None):
            raise BadInput.single(place, "was taken off the leaderboard; expected one that is on it")
        of_phase = (Submission.phase_id == submission.phase_id, Submission.team_id == submission.team_id)
        session.execute(update(Submission).where(*of_phase, Submission.chosen).values(chosen=False))
        submission.chosen = chosen
