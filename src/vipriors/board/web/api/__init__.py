"""The HTTP interface for programs, under `/api/v1`. Programs sign in with a token; there are no cookies."""

from fastapi import APIRouter

from vipriors.board.web.api import challenges, health, people, sending, submissions
from vipriors.board.web.api_errors import Route

routes = APIRouter(route_class=Route)
for module in (challenges, sending, submissions, people, health):
    routes.include_router(module.routes)
