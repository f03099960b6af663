"""Who calls, and their team."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board import models, service, viewing
from vipriors.board.models import Organizer, Person, now
from vipriors.board.standings import is_running
from vipriors.board.web import api_models as answers
from vipriors.board.web.api.calling import NEVER_KEPT, Member, Name
from vipriors.board.web.api_errors import Route, errors

routes = APIRouter(route_class=Route, tags=["people"])


@routes.get("/challenges/{name}/team", responses=errors(401, 404, 422))
def get_team(call: Member, response: Response, name: Name) -> answers.Team:
    """Your team in a challenge, and what it has left to send."""
    response.headers.update(NEVER_KEPT)
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


@routes.get("/me", responses=errors(401))
def get_me(call: Member, response: Response) -> answers.Me:
    """Whose token it is."""
    response.headers.update(NEVER_KEPT)
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


def _members(session: Session, team: models.Team) -> list[str]:
    still = (models.Membership.team_id == team.id, models.Membership.left.is_(None))
    names = select(Person.name).join(models.Membership).where(*still)
    return list(session.scalars(names.order_by(models.Membership.id)))
