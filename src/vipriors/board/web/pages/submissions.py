"""What a team has sent: the list, and each submission."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from markupsafe import Markup

from vipriors.board import pictured, viewing
from vipriors.board.choosing import choose
from vipriors.board.models import PENDING, SCORED, Phase, Score, Submission, now
from vipriors.board.ranking import Entry
from vipriors.board.standings import is_running, place_in_queue, standing_ids
from vipriors.board.submitting import cancel
from vipriors.board.viewing import Details
from vipriors.board.web import charts
from vipriors.board.web.challenges import scene
from vipriors.board.web.downloads import download
from vipriors.board.web.visiting import Filled, SignedIn
from vipriors.diagnose.charts import kind_bars, sum_bars

router = APIRouter(include_in_schema=False)


@router.get("/c/{name}/submissions")
def submissions_page(visit: SignedIn, name: str) -> Response:
    """What the visitor's team has sent."""
    with visit.reading() as session:
        found = scene(session, visit, name)
        sent = viewing.own_submissions(session, visit.viewer, found.challenge)
        shown = {
            one.id: main_score(viewing.scores(session, visit.viewer, one, found.at), one.phase)
            for one in sent
        }
        pairs = {(one.phase_id, one.team_id): one.phase for one in sent}
        stands = set[str]()
        for (_, team_id), phase in pairs.items():
            stands |= standing_ids(session, phase, team_id)
        charted = {
            phase.name: chart
            for phase in found.challenge.phases
            if (chart := _history(phase, sent, shown, stands)) is not None
        }
        return visit.page(
            "submissions.html.jinja",
            scene=found,
            tab="submissions",
            sent=sent,
            shown=shown,
            stands=stands,
            charts=charted,
        )


@router.get("/s/{id}")
def submission_page(visit: SignedIn, id: str, again: str = "") -> Response:
    """A submission."""
    with visit.reading() as session:
        submission = viewing.submission(session, visit.viewer, id)
        challenge = submission.phase.challenge
        found = scene(session, visit, challenge.name)
        scores = viewing.scores(session, visit.viewer, submission, found.at)
        own = found.team is not None and found.team.id == submission.team_id
        return visit.page(
            "submission.html.jinja",
            scene=found,
            tab="submissions" if own else "",
            submission=submission,
            again=bool(again),
            own=own,
            place=place_in_queue(session, submission),
            pending=submission.state in PENDING,
            main=main_score(scores, submission.phase),
            parts_seen=[(score, viewing.details(score.record, score.part)) for score in scores],
            old=viewing.old_scores(session, visit.viewer, submission),
            anew=submission.state == SCORED and submission.due is not None,
            running=is_running(submission.phase, found.at),
            lost_bars=_lost_bars,
            pictures=pictured.captions(visit.board, submission.pictures_key),
        )


@router.get("/s/{id}/pictures/{number}")
def picture(visit: SignedIn, id: str, number: int) -> Response:
    """Predictions of a submission, drawn on an image of the test."""
    with visit.reading() as session:
        key = viewing.submission(session, visit.viewer, id).pictures_key
    content = pictured.picture(visit.board, key, number)
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})


@router.get("/s/{id}/status")
def status(visit: SignedIn, id: str) -> Response:
    """Where a submission is, for the page's script."""
    with visit.reading() as session:
        submission = viewing.submission(session, visit.viewer, id)
        place = place_in_queue(session, submission)
    answer = {"state": submission.state, "place": place}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


@router.get("/s/{id}/file")
def download_(visit: SignedIn, id: str) -> Response:
    """The file as it was sent. Never shown by the browser, whatever is in it."""
    with visit.reading() as session:
        submission = viewing.submission(session, visit.viewer, id)
    return download(visit.board, submission.file_key, submission.file_name, submission.size)


@router.post("/s/{id}/cancel")
def cancel_(visit: SignedIn, id: str, form: Filled) -> Response:
    """Cancels a submission that is not scored yet."""
    cancel(visit.board, visit.signed_in.id, id)
    return visit.go(f"/s/{id}")


@router.post("/s/{id}/choose")
def choose_(visit: SignedIn, id: str, form: Filled) -> Response:
    """Lets a submission stand on the leaderboard, or the team's best again."""
    choose(visit.board, visit.signed_in.id, id, form["chosen"] == "yes")
    return visit.go(f"/s/{id}")


def main_score(scores: list[Score], phase: Phase) -> Score | None:
    """Of the scores that are shown, the one that ranks: the final one, else that of the running phase."""
    by_part = {score.part: score for score in scores}
    over = not is_running(phase, now())
    order = (phase.final_part, phase.shows) if over else (phase.shows, phase.final_part)
    return next((by_part[part] for part in order if part in by_part), None)


def _lost_bars(details: Details) -> tuple[Markup, Markup] | None:
    """Two charts of where average precision is lost; None where that is not known."""
    lost = details.lost
    if lost is None:
        return None
    kinds = kind_bars(lost.delta_ap, lost.special, f"lost-{details.part}")
    return kinds, sum_bars(lost.delta_ap, lost.special, f"lost-all-{details.part}")


def _entries(phase: Phase, sent: list[Submission], shown: dict[str, Score | None]) -> list[Entry]:
    return [
        Entry(one.id, one.team_id, score.value, score.low, score.high, one.received, one.chosen)
        for one in sent
        if one.phase_id == phase.id and one.state == SCORED and one.disqualified is None and not one.hidden
        if (score := shown[one.id]) is not None and score.value is not None
    ]


def _history(phase: Phase, sent: list[Submission], shown: dict[str, Score | None], stands: set[str]) -> Any:
    entries = _entries(phase, sent, shown)
    if len(entries) < 2:
        return None
    marked = [
        Entry(e.submission, e.team, e.value, e.low, e.high, e.received, e.submission in stands)
        for e in entries
    ]
    until = max(entry.received for entry in entries)
    return charts.history_chart(f"history-{phase.id}", f"Scores in the phase {phase.name}", marked, until)
