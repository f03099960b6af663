"""A submission's report and runs, and what organizers decide about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Response

from vipriors.board import attaching, organizing, viewing
from vipriors.board.core import NotFound
from vipriors.board.models import Attachment
from vipriors.board.web.challenges import scene
from vipriors.board.web.downloads import download
from vipriors.board.web.forms import Form
from vipriors.board.web.pages.uploading import with_upload
from vipriors.board.web.uploads import Upload
from vipriors.board.web.visiting import Filled, SignedIn, Visitor
from vipriors.problems import BadInput, Problem

router = APIRouter(include_in_schema=False)

ACTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "disqualify": ("Disqualify it", organizing.disqualify),
    "reinstate": ("Take the disqualification back", organizing.reinstate),
    "hide": ("Take it off the leaderboard", organizing.hide),
    "show": ("Put it back on the leaderboard", organizing.show),
    "qualify": ("Qualify it", organizing.qualify),
    "unqualify": ("Take the qualification back", organizing.unqualify),
}
KINDS = {"report": attaching.attach_report, "run": attaching.attach_run}


@router.get("/s/{id}/attachments")
def attachments_page(visit: SignedIn, id: str) -> Response:
    """What goes with a submission, and a form to add to it."""
    return _attachments(visit, id)


@router.post("/s/{id}/attachments")
async def attach(visit: SignedIn, id: str) -> Response:
    """Takes a report or a run."""

    def take(upload: Upload) -> str:
        _take(visit, id, upload)
        return f"/s/{id}/attachments"

    first, again = partial(_refuse_strangers, visit, id), partial(_attachments, visit, id)
    return await with_upload(visit, first, take, again)


@router.get("/s/{id}/attachments/{number}")
def download_(visit: SignedIn, id: str, number: int) -> Response:
    """A report or run as it was sent. Never shown by the browser, whatever is in it."""
    with visit.reading() as session:
        viewing.submission(session, visit.viewer, id)
        found = session.get(Attachment, number) if number < 2**31 else None
    if found is None or found.submission_id != id:
        raise NotFound("attachment")
    return download(visit.board, found.file_key, found.file_name, found.size)


@router.post("/s/{id}/audit")
def record_audit(visit: SignedIn, id: str, form: Filled) -> Response:
    """Records what `vipriors audit` said of a run."""
    visit.take_change()
    _refuse_others(visit, id)
    try:
        with visit.reading() as session:
            submission = viewing.submission(session, visit.viewer, id)
            runs = [str(each.id) for each in attaching.attachments(session, submission) if each.kind == "run"]
        if form["run"] not in runs:
            raise NotFound("run")
        try:
            outcome = json.loads(form["outcome"])
        except (ValueError, RecursionError):
            expected = "expected what `vipriors audit RUN --json` printed"
            raise BadInput.single("outcome of the audit", f"is not JSON; {expected}") from None
        attaching.record_audit(visit.board, int(form["run"]), outcome, by=visit.signed_in.id)
    except BadInput as error:
        return _attachments(visit, id, error.problems, form)
    return visit.go(f"/s/{id}/attachments")


@router.get("/s/{id}/judge")
def judge_page(visit: SignedIn, id: str, act: str = "") -> Response:
    """Asks whether to do something about a submission, and why."""
    return _judge(visit, id, act)


@router.post("/s/{id}/judge")
def judge(visit: SignedIn, id: str, form: Filled) -> Response:
    """Does it."""
    visit.take_change()
    _refuse_others(visit, id)
    if form["act"] not in ACTS:
        raise NotFound(form["act"])
    try:
        ACTS[form["act"]][1](visit.board, id, reason=form["reason"], by=visit.signed_in.id)
    except BadInput as error:
        return _judge(visit, id, form["act"], error.problems, form.kept())
    return visit.go(f"/s/{id}")


def _judge(
    visit: Visitor,
    id_: str,
    act: str,
    problems: list[Problem] | None = None,
    kept: dict[str, str] | None = None,
) -> Response:
    _refuse_others(visit, id_)
    if act not in ACTS:
        raise NotFound(act)
    with visit.reading() as session:
        submission = viewing.submission(session, visit.viewer, id_)
        return visit.page(
            "admin/judge.html.jinja",
            400 if problems else 200,
            scene=scene(session, visit, submission.phase.challenge.name),
            tab="run",
            at="",
            submission=submission,
            attached=attaching.attachments(session, submission),
            act=act,
            title=ACTS[act][0],
            problems=problems or [],
            kept=kept or {},
        )


def _attachments(
    visit: Visitor, id_: str, problems: list[Problem] | None = None, form: Form | None = None
) -> Response:
    with visit.reading() as session:
        submission = viewing.submission(session, visit.viewer, id_)
        found = scene(session, visit, submission.phase.challenge.name)
        return visit.page(
            "admin/attachments.html.jinja",
            400 if problems else 200,
            scene=found,
            tab="run" if found.runs else "submissions",
            submission=submission,
            attached=attaching.attachments(session, submission),
            fewest=organizing.FEWEST_PAGES,
            most=attaching.MOST_REPORT,
            problems=problems or [],
            kept=form.kept() if form else {},
        )


def _take(visit: Visitor, id_: str, upload: Upload) -> None:
    sent = upload.sent()
    if upload.form["kind"] not in KINDS:
        raise BadInput.single("kind", "expected report or run")
    KINDS[upload.form["kind"]](visit.board, visit.signed_in.id, id_, sent, upload.name)


def _refuse_strangers(visit: Visitor, id_: str) -> None:
    with visit.reading() as session:
        viewing.submission(session, visit.viewer, id_)


def _refuse_others(visit: Visitor, id_: str) -> None:
    """Lets organizers pass: a team may know of its submission, but not judge it."""
    with visit.reading() as session:
        submission = viewing.submission(session, visit.viewer, id_)
        if not viewing.runs(session, visit.viewer, submission.phase.challenge):
            raise NotFound(f"submission {id_}")
