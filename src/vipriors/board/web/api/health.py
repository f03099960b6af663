"""The board itself."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from vipriors.board.core import Board
from vipriors.board.models import PENDING, Submission, Worker, now
from vipriors.board.web import api_models as answers
from vipriors.board.web.api.calling import NEVER_KEPT
from vipriors.board.web.api_errors import Route

HEARD_WITHIN = timedelta(seconds=30)
"""As workers take each other for dead; their module is not loaded here, as it brings all of DBOS along."""

routes = APIRouter(route_class=Route, tags=["board"])


@routes.get(
    "/health",
    response_model=answers.Health,
    responses={503: {"model": answers.Health, "description": "The database cannot be reached."}},
)
def get_health(request: Request) -> Response:
    """Whether the board works, for whatever watches over it."""
    board: Board = request.app.state.board
    try:
        with board.database.reading() as session:
            heard = select(func.count()).where(Worker.heartbeat >= now() - HEARD_WITHIN)
            workers = session.scalar(heard) or 0
            pending = select(func.count()).where(Submission.state.in_(PENDING))
            queue = session.scalar(pending) or 0
    except SQLAlchemyError:
        found, status = answers.Health(status="no database", workers=0, queue=0), 503
    else:
        said = "ok" if workers else "no workers"
        found, status = answers.Health(status=said, workers=workers, queue=queue), 200
    return JSONResponse(found.model_dump(), status, NEVER_KEPT)
