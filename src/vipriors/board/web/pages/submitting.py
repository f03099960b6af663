"""Sending predictions."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select

from vipriors.board import viewing
from vipriors.board.models import Submission
from vipriors.board.submitting import Receipt, check_may_submit, submit
from vipriors.board.web.challenges import scene
from vipriors.board.web.forms import Form
from vipriors.board.web.pages.uploading import with_upload
from vipriors.board.web.uploads import Upload
from vipriors.board.web.visiting import SignedIn, Visitor
from vipriors.problems import Problem

router = APIRouter(include_in_schema=False)

DECLARED = ("kind", "data", "parameters", "gpu_hours", "flops", "cost", "card")
NUMBERS = ("parameters", "gpu_hours", "flops")


@router.get("/c/{name}/submit")
def submit_form(visit: SignedIn, name: str) -> Response:
    """The form for predictions."""
    return _form(visit, name, last=_last_declaration(visit, name))


@router.post("/c/{name}/submit")
async def submit_(visit: SignedIn, name: str) -> Response:
    """Takes predictions: as they arrive to the disk, then checked, then acknowledged."""

    def take(upload: Upload) -> str:
        receipt = _take(visit, name, upload)
        path = f"/s/{receipt.submission.id}"
        return f"{path}?again=1" if receipt.again else path

    def again(problems: list[Problem], form: Form) -> Response:
        return _form(visit, name, problems, form.kept())

    first = partial(check_may_submit, visit.board, visit.signed_in.id, name)
    return await with_upload(visit, first, take, again)


def _take(visit: Visitor, name: str, upload: Upload) -> Receipt:
    sent = upload.sent()
    given: dict[str, Any] = {key: upload.form[key] for key in DECLARED if upload.form[key].strip()}
    for key in given.keys() & set(NUMBERS):
        given[key] = given[key].strip().replace(" ", "").replace(",", "").replace("_", "")
    return submit(
        visit.board,
        visit.signed_in.id,
        name,
        sent,
        upload.name,
        phase_name=upload.form["phase"] or None,
        declaration=given,
    )


def _form(
    visit: Visitor,
    name: str,
    problems: list[Problem] | None = None,
    kept: dict[str, str] | None = None,
    last: dict[str, Any] | None = None,
) -> Response:
    problems = problems or []
    declared = [problem for problem in problems if problem.place.startswith("declaration, ")]
    of_fields: dict[str, list[str]] = {}
    for problem in declared:
        of_fields.setdefault(problem.place.removeprefix("declaration, "), []).append(problem.message)
    with visit.reading() as session:
        found = scene(session, visit, name)
        return visit.page(
            "submit.html.jinja",
            400 if problems else 200,
            scene=found,
            tab="submit",
            problems=problems,
            of_fields=of_fields,
            kept=kept if kept is not None else {key: _typed(value) for key, value in (last or {}).items()},
            most=visit.board.settings.upload_bytes,
        )


def _typed(value: Any) -> str:
    """A value as a person would type it."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _last_declaration(visit: Visitor, name: str) -> dict[str, Any]:
    """What the team said of its last entry, as most of it will be the same of the next."""
    with visit.reading() as session:
        challenge = viewing.challenge(session, visit.viewer, name)
        team = viewing.team(session, visit.viewer, challenge)
        if team is None:
            return {}
        newest = select(Submission).where(Submission.team_id == team.id).order_by(Submission.id.desc())
        last = session.scalars(newest.limit(1)).first()
        said = last.declaration if last else {}
        return {key: value for key, value in said.items() if value is not None}
