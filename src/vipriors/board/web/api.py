"""The HTTP interface for programs, under `/api/v1`. Programs sign in with a token; there are no cookies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, BinaryIO, cast
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from vipriors.board import choosing, models, service, tokens, viewing
from vipriors.board.core import Board, NotFound
from vipriors.board.models import PENDING, Organizer, Person, Worker, now
from vipriors.board.standings import is_running
from vipriors.board.store import CHUNK, too_large
from vipriors.board.submitting import Receipt
from vipriors.board.table import csv_of
from vipriors.board.viewing import Viewer, viewer_of
from vipriors.board.web import api_models as answers
from vipriors.board.web.api_errors import NoToken, OtherType, Route, errors
from vipriors.board.web.caching import PageCache, address_of
from vipriors.board.web.receiving import MOST_IN_FIELDS, Body, Form
from vipriors.problems import BadInput, Problem

UPLOADS_AT_ONCE = 64
"""Uploads that are read at a time, each by a thread of its own; others wait."""

FRESH_SECONDS = 10
"""How long others may show a leaderboard again without asking."""

HEARD_WITHIN = timedelta(seconds=30)
"""As workers take each other for dead; their module is not loaded here, as it brings all of DBOS along."""

RAW_TYPES = (
    *("", "application/octet-stream", "application/zip", "application/x-zip-compressed"),
    *("text/csv", "text/plain", "application/json", "application/csv", "application/vnd.ms-excel"),
    "application/x-www-form-urlencoded",  # what curl says of every body, unless told otherwise
)
FORM_TYPE = "multipart/form-data"

ONE = "api submission"
"""Name of the route that `Location` leads to."""

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, Path(max_length=60, pattern=_PRINTABLE, description="Of the challenge.")]
Id = Annotated[str, Path(max_length=60, pattern=_PRINTABLE, description="Of the submission.")]
PhaseName = Annotated[
    str | None,
    Query(description="By default the phase that began last."),
]
_bearer = HTTPBearer(auto_error=False, description="A token that the account's page made.")


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    board: Board
    person: Person | None

    @property
    def viewer(self) -> Viewer:
        """What decides on what the caller may see."""
        return viewer_of(self.person)

    @property
    def signed_in(self) -> Person:
        """The person.

        Raises:
            NoToken: there is none.
        """
        if self.person is None:
            raise NoToken
        return self.person

    def reading(self) -> Session:
        """A session of the database that changes nothing."""
        return self.board.database.reading()


def caller_of(request: Request) -> Caller:
    """Whoever's token came with a request; nobody if none did.

    Raises:
        NoToken: the token is not valid.
    """
    board: Board = request.state.board
    given = request.headers.get("authorization")
    if given is None:
        return Caller(board, None)
    kind, _, token = given.partition(" ")
    person = tokens.person_of(board, token.strip()) if kind.lower() == "bearer" else None
    if person is None:
        raise NoToken
    return Caller(board, person)


def member_of(call: Annotated[Caller, Depends(caller_of)], _: Annotated[object, Depends(_bearer)]) -> Caller:
    """A caller with a token.

    Raises:
        NoToken: there is none, or it is not valid.
    """
    if call.person is None:
        raise NoToken
    return call


Anybody = Annotated[Caller, Depends(caller_of)]
Member = Annotated[Caller, Depends(member_of)]

routes = APIRouter(route_class=Route)


def router(board: Board) -> APIRouter:
    """The interface to a board, to be included under `/api/v1`."""
    uploads = CapacityLimiter(UPLOADS_AT_ONCE)

    def give(request: Request) -> None:
        request.state.board, request.state.uploads = board, uploads

    made = APIRouter(route_class=Route)
    made.include_router(routes, dependencies=[Depends(give)])
    return made


# Challenges


@routes.get("/challenges", tags=["challenges"], responses=errors(401))
def list_challenges(call: Anybody, response: Response) -> list[answers.ChallengeSummary]:
    """The challenges, the newest first."""
    response.headers.update(_public(call))
    with call.reading() as session:
        found = viewing.challenges(session, call.viewer)
        return [answers.ChallengeSummary.model_validate(each) for each in found]


@routes.get("/challenges/{name}", tags=["challenges"], responses=errors(401, 404, 422))
def get_challenge(call: Anybody, response: Response, name: Name) -> answers.Challenge:
    """A challenge: its description, rules, data and phases."""
    response.headers.update(_public(call))
    with call.reading() as session:
        return answers.Challenge.seen(viewing.challenge(session, call.viewer, name), now())


@routes.get("/challenges/{name}/phases", tags=["challenges"], responses=errors(401, 404, 422))
def list_phases(call: Anybody, response: Response, name: Name) -> list[answers.Phase]:
    """The phases of a challenge, in their order."""
    response.headers.update(_public(call))
    with call.reading() as session:
        phases = viewing.challenge(session, call.viewer, name).phases
        return [answers.Phase.of(phase, now()) for phase in phases]


@routes.get(
    "/challenges/{name}/leaderboard",
    tags=["challenges"],
    response_model=answers.Leaderboard,
    responses={304: {"description": "The same as with that ETag."}, **errors(401, 404, 422)},
)
def get_leaderboard(
    request: Request,
    call: Anybody,
    name: Name,
    phase: PhaseName = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The leaderboard of a phase, for everybody to embed: of each team the submission that stands."""

    def make() -> Response:
        with call.reading() as session:
            found = _phase(session, call.viewer, name, phase)
            text = answers.Leaderboard.of(found, service.leaderboard(session, found)).model_dump_json()
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        return Response(text, headers={**_public(call), "ETag": tag}, media_type="application/json")

    pages: PageCache = request.app.state.pages
    answer = make() if call.person else pages.get(address_of(request.scope), make)
    if answer.headers["etag"] in (if_none_match or "").replace("W/", "").replace(" ", "").split(","):
        headers = {key: value for key, value in answer.headers.items() if not key.startswith("content-")}
        return Response(status_code=304, headers=headers)
    return answer


@routes.get(
    "/challenges/{name}/leaderboard.csv",
    tags=["challenges"],
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "A table."}, **errors(401, 404, 422)},
)
def get_leaderboard_as_csv(call: Anybody, name: Name, phase: PhaseName = None) -> Response:
    """The leaderboard of a phase as a table with scores."""
    with call.reading() as session:
        found = _phase(session, call.viewer, name, phase)
        text = csv_of(service.leaderboard(session, found))
    headers = {**_public(call), "Content-Disposition": _attachment(f"{name}-{found.name}.csv")}
    return Response(text, headers=headers, media_type="text/csv")


# Submissions

_RAW_BODY = {"schema": {"type": "string", "format": "binary"}}
_FORM_BODY = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {
            "phase": {"type": "string"},
            "declaration": {"type": "string", "description": "JSON, as the parameter of this name."},
            "file": {"type": "string", "format": "binary", "description": "After all other fields."},
        },
    }
}
_BODY = {
    "required": True,
    "description": "The predictions: as they are, or the last field of a form.",
    "content": {"application/octet-stream": _RAW_BODY, FORM_TYPE: _FORM_BODY},
}


@routes.post(
    "/challenges/{name}/submissions",
    status_code=201,
    tags=["submissions"],
    response_model=answers.Submission,
    responses={
        201: {"description": "Stored; it will be scored once."},
        200: {"model": answers.Submission, "description": "It was sent before, and nothing new was made."},
        **errors(401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra={"requestBody": _BODY},
)
async def submit(
    request: Request,
    call: Member,
    name: Name,
    phase: Annotated[str | None, Query(description="By default the one that is open.")] = None,
    file_name: Annotated[str, Query(description="What problems call the file.")] = "predictions",
    declaration: Annotated[
        str | None,
        Query(description="JSON: `kind` (single or ensemble), `data`, `parameters`, `cost`, `card`."),
    ] = None,
    idempotency_key: Annotated[
        str | None, Header(description="Up to 64 characters, the same for each try to send a file.")
    ] = None,
) -> Response:
    """Sends a predictions file, which is checked before it counts."""
    body = Body(request)
    given = {"phase": phase, "declaration": declaration}
    take = partial(_take, call, body, request.headers.get("content-type", ""), name, file_name, given)
    try:
        receipt = await to_thread.run_sync(take, idempotency_key, limiter=request.state.uploads)
    finally:
        await body.drain()
    made, answer = await to_thread.run_sync(_answer_with, call, receipt.submission.id)
    headers = {"Location": request.url_for(ONE, id=made).path, "Cache-Control": "no-store"}
    status = 200 if receipt.again else 201
    return Response(answer.model_dump_json(), status, headers, "application/json")


@routes.get("/challenges/{name}/submissions", tags=["submissions"], responses=errors(401, 404, 422))
def list_submissions(
    call: Member,
    response: Response,
    name: Name,
    phase: Annotated[str | None, Query(description="Of this phase only.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[answers.Submission]:
    """What your team has sent, the newest first."""
    response.headers["Cache-Control"] = "no-store"
    with call.reading() as session:
        challenge = viewing.challenge(session, call.viewer, name)
        of = None if phase is None else viewing.phase(session, call.viewer, name, phase)
        sent = viewing.own_submissions(session, call.viewer, challenge, of)[:limit]
        return [answers.submission_of(session, call.viewer, each, now()) for each in sent]


@routes.get("/submissions/{id}", name=ONE, tags=["submissions"], responses=errors(401, 404, 422))
def get_submission(call: Member, response: Response, id: Id) -> answers.SubmissionDetails:
    """A submission: its state, its place in the queue, its scores and what stands behind them."""
    response.headers["Cache-Control"] = "no-store"
    with call.reading() as session:
        found = viewing.submission(session, call.viewer, id)
        return answers.submission_details_of(session, call.viewer, found, now())


@routes.post("/submissions/{id}/cancel", tags=["submissions"], responses=errors(401, 404, 409, 422))
def cancel(call: Member, response: Response, id: Id) -> answers.SubmissionDetails:
    """Cancels a submission that is not scored yet, and gives its quota back."""
    service.cancel(call.board, call.signed_in.id, id)
    return get_submission(call, response, id)


@routes.put("/submissions/{id}/chosen", tags=["submissions"], responses=errors(401, 404, 422))
def choose(call: Member, response: Response, id: Id) -> answers.SubmissionDetails:
    """Lets a submission stand on the leaderboard in place of your team's best."""
    choosing.choose(call.board, call.signed_in.id, id)
    return get_submission(call, response, id)


@routes.delete("/submissions/{id}/chosen", tags=["submissions"], responses=errors(401, 404, 422))
def choose_best(call: Member, response: Response, id: Id) -> answers.SubmissionDetails:
    """Lets your team's best submission stand again."""
    choosing.choose(call.board, call.signed_in.id, id, chosen=False)
    return get_submission(call, response, id)


@routes.get(
    "/submissions/{id}/file",
    tags=["submissions"],
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/octet-stream": _RAW_BODY}, "description": "The file as it was sent."},
        **errors(401, 404, 422),
    },
)
def get_file(call: Member, id: Id) -> Response:
    """Downloads what was sent."""
    with call.reading() as session:
        found = viewing.submission(session, call.viewer, id)
    headers = {
        "Content-Length": str(found.size),
        "Content-Disposition": _attachment(found.file_name),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    opened = call.board.files.open(found.file_key)
    return StreamingResponse(_pieces(opened), headers=headers, media_type="application/octet-stream")


# People


@routes.get("/challenges/{name}/team", tags=["people"], responses=errors(401, 404, 422))
def get_team(call: Member, response: Response, name: Name) -> answers.Team:
    """Your team in a challenge, and what it has left to send."""
    response.headers["Cache-Control"] = "no-store"
    moment = now()
    with call.reading() as session:
        challenge = viewing.challenge(session, call.viewer, name)
        team = viewing.team(session, call.viewer, challenge)
        open_ = [phase for phase in challenge.phases if phase.start <= moment and is_running(phase, moment)]
        quotas = [(phase, service.quota_left(session, phase, team, moment)) for phase in open_]
        return answers.Team(
            name=team.name if team else None,
            members=_members(session, team) if team else [],
            quota=[answers.QuotaLeft.of(phase, quota) for phase, quota in quotas],
        )


@routes.get("/me", tags=["people"], responses=errors(401))
def get_me(call: Member, response: Response) -> answers.Me:
    """Whose token it is."""
    response.headers["Cache-Control"] = "no-store"
    person = call.signed_in
    with call.reading() as session:
        organizes = select(models.Challenge.name).join(Organizer).where(Organizer.person_id == person.id)
        teams = (
            select(models.Challenge.name, models.Team.name)
            .join(models.Team, models.Team.challenge_id == models.Challenge.id)
            .join(models.Membership)
            .where(models.Membership.person_id == person.id, models.Membership.left.is_(None))
            .where(models.Challenge.hidden.is_(False))
        )
        return answers.Me(
            name=person.name,
            email=person.email,
            admin=person.admin,
            organizes=list(session.scalars(organizes.order_by(models.Challenge.name))),
            teams=[
                answers.Membership(challenge=challenge, team=team)
                for challenge, team in session.execute(teams.order_by(models.Challenge.name))
            ],
        )


# The board itself


@routes.get(
    "/health",
    tags=["board"],
    response_model=answers.Health,
    responses={503: {"model": answers.Health, "description": "The database cannot be reached."}},
)
def get_health(request: Request) -> Response:
    """Whether the board works, for whatever watches over it."""
    board: Board = request.state.board
    try:
        with board.database.reading() as session:
            heard = select(func.count()).where(Worker.heartbeat >= now() - HEARD_WITHIN)
            workers = session.scalar(heard) or 0
            pending = select(func.count()).where(models.Submission.state.in_(PENDING))
            queue = session.scalar(pending) or 0
    except SQLAlchemyError:
        found, status = answers.Health(status="no database", workers=0, queue=0), 503
    else:
        said = "ok" if workers else "no workers"
        found, status = answers.Health(status=said, workers=workers, queue=queue), 200
    return JSONResponse(found.model_dump(), status, {"Cache-Control": "no-store"})


# What they share


def _public(call: Caller) -> dict[str, str]:
    """Headers of what everybody may see; what came with a token may hold more and is nobody else's."""
    if call.person is not None:
        return {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
    return {
        "Cache-Control": f"public, max-age={FRESH_SECONDS}",
        "Vary": "Authorization",
        "Access-Control-Allow-Origin": "*",
    }


def _phase(session: Session, viewer: Viewer, name: str, phase: str | None) -> models.Phase:
    if phase is not None:
        return viewing.phase(session, viewer, name, phase)
    phases = viewing.challenge(session, viewer, name).phases
    if not phases:
        raise NotFound(f"phase of challenge {name!r}")
    begun = [each for each in phases if each.start <= now()]
    return max(begun, key=lambda each: each.start) if begun else phases[0]


def _take(
    call: Caller,
    body: Body,
    content_type: str,
    name: str,
    file_name: str,
    given: dict[str, str | None],
    upload_key: str | None,
) -> Receipt:
    kind, limit = content_type.partition(";")[0].strip().lower(), call.board.settings.upload_bytes
    if kind not in (*RAW_TYPES, FORM_TYPE):
        raise OtherType(f"{kind!r}; expected {FORM_TYPE}, or application/octet-stream and the file itself")
    around = MOST_IN_FIELDS if kind == FORM_TYPE else 0
    if body.declared is not None and body.declared > limit + around:
        raise too_large(limit)
    stream, size = cast(BinaryIO, body), body.declared
    if kind == FORM_TYPE:
        form = Form(body, content_type)
        if unknown := sorted(form.fields.keys() - given.keys()):
            expected = f"is unknown; expected {', '.join(given)}, file"
            raise BadInput(Problem(f"form, field {each}", expected) for each in unknown)
        given, file_name = {**given, **form.fields}, form.file_name
        stream, size = cast(BinaryIO, form.file), None
    return service.submit(
        call.board,
        call.signed_in.id,
        name,
        stream,
        file_name,
        phase_name=given["phase"],
        upload_key=upload_key,
        declared_size=size,
        declaration=_declaration(given["declaration"]),
    )


def _declaration(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInput.single("declaration", "expected a JSON object")
    return found


def _answer_with(call: Caller, id_: str) -> tuple[str, answers.Submission]:
    with call.reading() as session:
        row = viewing.submission(session, call.viewer, id_)
        return row.id, answers.submission_of(session, call.viewer, row, now())


def _members(session: Session, team: models.Team) -> list[str]:
    still = (models.Membership.team_id == team.id, models.Membership.left.is_(None))
    names = select(Person.name).join(models.Membership).where(*still)
    return list(session.scalars(names.order_by(models.Membership.id)))


def _attachment(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece
