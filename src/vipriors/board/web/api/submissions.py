"""What a team has sent, and what it may do with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from vipriors.board import choosing, service, viewing
from vipriors.board.models import now
from vipriors.board.web import api_models as answers
from vipriors.board.web.api.calling import NEVER_KEPT, RAW_BODY, Id, Member, Name
from vipriors.board.web.api_errors import Route, errors
from vipriors.board.web.downloads import download

ONE = "api submission"
"""Name of the route to a submission."""

routes = APIRouter(route_class=Route, tags=["submissions"])


@routes.get("/challenges/{name}/submissions", responses=errors(401, 404, 422))
def list_submissions(
    call: Member,
    response: Response,
    name: Name,
    phase: Annotated[str | None, Query(description="Of this phase only.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[answers.Submission]:
    """What your team has sent, the newest first."""
    response.headers.update(NEVER_KEPT)
    with call.reading() as session:
        challenge = viewing.challenge(session, call.viewer, name)
        of = None if phase is None else viewing.phase(session, call.viewer, name, phase)
        sent = viewing.own_submissions(session, call.viewer, challenge, of)[:limit]
        return [answers.submission_of(session, call.viewer, each, now()) for each in sent]


@routes.get("/submissions/{id}", name=ONE, responses=errors(401, 404, 422))
def get_submission(call: Member, response: Response, id: Id) -> answers.SubmissionDetails:
    """A submission: its state, its place in the queue, its scores and what stands behind them."""
    response.headers.update(NEVER_KEPT)
    with call.reading() as session:
        found = viewing.submission(session, call.viewer, id)
        return answers.submission_details_of(session, call.viewer, found, now())


@routes.post("/submissions/{id}/cancel", responses=errors(401, 404, 409, 422))
def cancel(call: Member, response: Response, id: Id) -> answers.SubmissionDetails:
    """Cancels a submission that is not scored yet, and gives its quota back."""
    service.cancel(call.board, call.signed_in.id, id)
    return get_submission(call, response, id)


@routes.put("/submissions/{id}/chosen", responses=errors(401, 404, 422))
def choose(call: Member, response: Response, id: Id) -> answers.SubmissionDetails:
    """Lets a submission stand on the leaderboard in place of your team's best."""
    choosing.choose(call.board, call.signed_in.id, id)
    return get_submission(call, response, id)


@routes.delete("/submissions/{id}/chosen", responses=errors(401, 404, 422))
def choose_best(call: Member, response: Response, id: Id) -> answers.SubmissionDetails:
    """Lets your team's best submission stand again."""
    choosing.choose(call.board, call.signed_in.id, id, chosen=False)
    return get_submission(call, response, id)


@routes.get(
    "/submissions/{id}/file",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/octet-stream": RAW_BODY}, "description": "The file as it was sent."},
        **errors(401, 404, 422),
    },
)
def get_file(call: Member, id: Id) -> Response:
    """Downloads what was sent."""
    with call.reading() as session:
        found = viewing.submission(session, call.viewer, id)
    return download(call.board, found.file_key, found.file_name, found.size)
