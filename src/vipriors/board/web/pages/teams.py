"""Teams: made, joined by a link, left."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from vipriors.board import inviting, viewing
from vipriors.board.core import NotFound
from vipriors.board.models import Challenge, Person
from vipriors.board.people import create_team, leave
from vipriors.board.web.challenges import scene
from vipriors.board.web.visiting import Filled, SignedIn, Visitor, by_field
from vipriors.problems import BadInput

router = APIRouter(include_in_schema=False)


@router.get("/c/{name}/team")
def team_page(visit: SignedIn, name: str) -> Response:
    """The visitor's team, or the form to make one."""
    return _page(visit, name)


@router.post("/c/{name}/team")
def make_team(visit: SignedIn, name: str, form: Filled) -> Response:
    """Makes a team."""
    visit.take_change()
    try:
        with visit.writing() as session, session.begin():
            create_team(
                session, _person(session, visit), _challenge(session, visit, name), form["team"].strip()
            )
    except BadInput as error:
        return _page(visit, name, 400, problems=error.problems, kept=form.kept())
    return visit.go(f"/c/{name}/team")


@router.post("/c/{name}/team/invite")
def invite(visit: SignedIn, name: str, form: Filled) -> Response:
    """Makes a link, and shows it this one time."""
    visit.take_change()
    try:
        with visit.writing() as session, session.begin():
            token = inviting.invite(session, _person(session, visit), _challenge(session, visit, name))
    except BadInput as error:
        return _page(visit, name, 400, problems=error.problems)
    return _page(visit, name, link=f"{visit.board.settings.base_url.rstrip('/')}/join/{token}")


@router.post("/c/{name}/team/revoke")
def revoke(visit: SignedIn, name: str, form: Filled) -> Response:
    """Ends an invitation."""
    visit.take_change()
    if not form["invitation"].isdecimal() or len(form["invitation"]) > 12:
        raise NotFound("invitation")
    with visit.writing() as session, session.begin():
        challenge = _challenge(session, visit, name)
        inviting.revoke(session, _person(session, visit), challenge, int(form["invitation"]))
    return visit.go(f"/c/{name}/team")


@router.post("/c/{name}/team/leave")
def leave_(visit: SignedIn, name: str, form: Filled) -> Response:
    """Leaves the team."""
    visit.take_change()
    with visit.writing() as session, session.begin():
        leave(session, _person(session, visit), _challenge(session, visit, name))
    return visit.go(f"/c/{name}/team")


@router.get("/join/{token}")
def join_page(visit: SignedIn, token: str) -> Response:
    """Asks whether to join a team."""
    with visit.reading() as session:
        team = inviting.invited_to(session, token)
        found = scene(session, visit, _seen(session, visit, team.challenge).name)
        return visit.page("join.html.jinja", scene=found, tab="team", team=team, token=token, problems=[])


@router.post("/join/{token}")
def join(visit: SignedIn, token: str, form: Filled) -> Response:
    """Joins a team."""
    visit.take_change()
    try:
        with visit.writing() as session, session.begin():
            challenge = _seen(session, visit, inviting.invited_to(session, token).challenge)
            inviting.accept(session, _person(session, visit), token)
    except BadInput as error:
        with visit.reading() as session:
            team = inviting.invited_to(session, token)
            context = {"team": team, "token": token, "problems": error.problems}
            found = scene(session, visit, team.challenge.name)
            return visit.page("join.html.jinja", 400, scene=found, tab="team", **context)
    return visit.go(f"/c/{challenge.name}/team")


def _page(
    visit: Visitor,
    name: str,
    status: int = 200,
    *,
    problems: Any = (),
    kept: dict[str, str] | None = None,
    link: str = "",
) -> Response:
    with visit.reading() as session:
        found = scene(session, visit, name)
        return visit.page(
            "team.html.jinja",
            status,
            scene=found,
            tab="team",
            members=inviting.members(session, found.team) if found.team else [],
            invitations=inviting.open_invitations(session, found.team) if found.team else [],
            problems=list(problems),
            by_field=by_field(list(problems)),
            kept=kept or {},
            link=link,
        )


def _person(session: Session, visit: Visitor) -> Person:
    return session.get_one(Person, visit.signed_in.id)


def _challenge(session: Session, visit: Visitor, name: str) -> Challenge:
    return viewing.challenge(session, visit.viewer, name)


def _seen(session: Session, visit: Visitor, challenge: Challenge) -> Challenge:
    return viewing.challenge(session, visit.viewer, challenge.name)
