"""The first page: the challenges of the board."""

from __future__ import annotations

from fastapi import APIRouter, Response

from vipriors.board.web.visiting import Visit

router = APIRouter(include_in_schema=False)


@router.get("/")
def home(visit: Visit) -> Response:
    """All challenges."""
    with visit.reading():
        return visit.page("home.html.jinja", challenges=[])
