"""Every route as everybody: what is answered, and that nothing is told to those whom it does not concern.

A route without a line in `EXPECTED` fails: whoever adds one says here who may use it.
"""

import base64
import io
import logging
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from board_helpers import IDS, make_board
from fastapi.routing import iter_route_contexts
from sqlalchemy import select
from starlette.testclient import TestClient

from vipriors.board import inviting, pictured, service, signing, submitting, tokens
from vipriors.board.core import Board
from vipriors.board.models import SCORED, ApiToken, Attachment, Challenge, Person, Score, SignIn, Submission
from vipriors.board.web.app import make_app
from vipriors.diagnose.errors import KINDS
from vipriors.diagnose.tide import SPECIAL

ROLES = ("nobody", "ada", "bob", "olga", "otto", "root")
"""Nobody in particular; a participant; one of another team; the organizer of the challenge; that of another
one, which is hidden; an admin."""

EXPECTED = """
GET    /                                          200 200 200 200 200 200
GET    /account                                   303 200 200 200 200 200
POST   /account/password                          303 400 400 400 400 400
POST   /account/sign-out-others                   303 303 303 303 303 303
POST   /account/tokens                            303 200 200 200 200 200
POST   /account/tokens/revoke                     303 303 404 404 404 404
GET    /admin                                     303 404 404 404 404 200
POST   /admin/bundle                              303 404 404 404 404 400
GET    /admin/bundle/{folder}/{key}               303 404 404 404 404 404
POST   /admin/bundle/{folder}/{key}               303 404 404 404 404 404
POST   /admin/challenges                          303 404 404 404 404 400
POST   /admin/people                              303 404 404 404 404 303
GET    /api/v1/challenges                         200 200 200 200 200 200
GET    /api/v1/challenges/{name}                  200 200 200 200 200 200
GET    /api/v1/challenges/{name}/leaderboard      200 200 200 200 200 200
GET    /api/v1/challenges/{name}/leaderboard.csv  200 200 200 200 200 200
GET    /api/v1/challenges/{name}/phases           200 200 200 200 200 200
GET    /api/v1/challenges/{name}/submissions      401 200 200 200 200 200
POST   /api/v1/challenges/{name}/submissions      401 201 201 201 201 201
GET    /api/v1/challenges/{name}/team             401 200 200 200 200 200
GET    /api/v1/health                             200 200 200 200 200 200
GET    /api/v1/me                                 401 200 200 200 200 200
GET    /api/v1/openapi.json                       200 200 200 200 200 200
GET    /api/v1/submissions/{id}                   401 200 404 200 404 200
POST   /api/v1/submissions/{id}/cancel            401 200 404 200 404 200
DELETE /api/v1/submissions/{id}/chosen            401 200 404 404 404 404
PUT    /api/v1/submissions/{id}/chosen            401 200 404 404 404 404
GET    /api/v1/submissions/{id}/file              401 200 404 200 404 200
GET    /c/{name}                                  200 200 200 200 200 200
GET    /c/{name}/challenge.yaml                   200 200 200 200 200 200
GET    /c/{name}/leaderboard                      200 200 200 200 200 200
GET    /c/{name}/leaderboard/embed                200 200 200 200 200 200
GET    /c/{name}/run                              303 404 404 200 404 200
GET    /c/{name}/run/labels                       303 404 404 200 404 200
POST   /c/{name}/run/labels                       303 404 404 400 404 400
GET    /c/{name}/run/log                          303 404 404 200 404 200
GET    /c/{name}/run/organizers                   303 404 404 200 404 200
POST   /c/{name}/run/organizers                   303 404 404 303 404 303
GET    /c/{name}/run/pages                        303 404 404 200 404 200
POST   /c/{name}/run/pages                        303 404 404 303 404 303
GET    /c/{name}/run/phases                       303 404 404 200 404 200
POST   /c/{name}/run/phases                       303 404 404 303 404 303
POST   /c/{name}/run/settings                     303 404 404 303 404 303
GET    /c/{name}/run/teams                        303 404 404 200 404 200
POST   /c/{name}/run/teams                        303 404 404 303 404 303
GET    /c/{name}/submissions                      303 200 200 200 200 200
GET    /c/{name}/submit                           303 200 200 200 200 200
POST   /c/{name}/submit                           303 303 303 303 303 303
GET    /c/{name}/team                             303 200 200 200 200 200
POST   /c/{name}/team                             303 400 400 303 303 303
POST   /c/{name}/team/invite                      303 200 200 400 400 400
POST   /c/{name}/team/leave                       303 303 303 400 400 400
POST   /c/{name}/team/revoke                      303 303 404 400 400 400
GET    /join/{token}                              303 200 200 200 200 200
POST   /join/{token}                              303 400 400 303 303 303
GET    /s/{id}                                    303 200 404 200 404 200
POST   /s/{id}/cancel                             303 303 404 303 404 303
POST   /s/{id}/choose                             303 303 404 404 404 404
GET    /s/{id}/attachments                        303 200 404 200 404 200
POST   /s/{id}/attachments                        303 400 404 400 404 400
GET    /s/{id}/attachments/{number}               303 200 404 200 404 200
POST   /s/{id}/audit                              303 404 404 400 404 400
GET    /s/{id}/judge                              303 404 404 200 404 200
POST   /s/{id}/judge                              303 404 404 303 404 303
GET    /s/{id}/file                               303 200 404 200 404 200
GET    /s/{id}/pictures/{number}                  303 200 404 200 404 200
GET    /s/{id}/status                             303 200 404 200 404 200
GET    /sign-in                                   200 200 200 200 200 200
POST   /sign-in                                   400 400 400 400 400 400
POST   /sign-out                                  303 303 303 303 303 303
GET    /sign-up                                   200 200 200 200 200 200
POST   /sign-up                                   303 303 303 303 303 303
GET    /static/{name}                             200 200 200 200 200 200
"""
"""What is asked for of the challenge, the submission, the token and the invitation of ada's, and the status
for each role. 303 for nobody leads to the page to sign in."""

FIELDS = {
    "/account/tokens": {"name": "new"},
    "/account/tokens/revoke": {"token": "1"},
    "/c/{name}/team": {"team": "The new"},
    "/c/{name}/team/revoke": {"invitation": "1"},
    "/s/{id}/choose": {"chosen": "yes"},
    "/admin/people": {"act": "disable", "person": "bob", "reason": "a reason"},
    "/c/{name}/run/phases": {"phase": "1", "per_day": "7", "reason": "a reason"},
    "/c/{name}/run/pages": {"act": "save", "rules": "None.", "reason": "a reason"},
    "/c/{name}/run/settings": {"act": "hide", "reason": "a reason"},
    "/c/{name}/run/teams": {"team": "1", "into": "2", "reason": "a reason"},
    "/c/{name}/run/organizers": {"act": "add", "person": "bob", "reason": "a reason"},
    "/s/{id}/audit": {"run": "2", "outcome": "{}"},
    "/s/{id}/judge": {"act": "hide", "reason": "a reason"},
    "/sign-in": {"name": "ada", "password": "wrong"},
    "/sign-up": {"name": "eve", "email": "eve@mail.org", "password": "correct horse battery"},
}
"""What a form is sent with; numbers are of what ada has."""

WITH_FILE = (
    *("/admin/bundle", "/admin/bundle/{folder}/{key}", "/admin/challenges"),
    *("/c/{name}/run/labels", "/c/{name}/submit", "/s/{id}/attachments"),
)
"""Forms with a file."""

HIDDEN_FROM = ("nobody", "ada", "bob", "olga")
"""Who may not know of the hidden challenge."""


@dataclass
class World:
    """A board with everybody and everything; what is done to it can be undone."""

    board: Board
    app: Any
    kept: Path
    people: dict[str, Person]
    cookies: dict[str, str]
    tokens: dict[str, str]
    ids: dict[str, str]
    """Submissions by the name of their sender."""
    invitations: dict[str, str]
    """Tokens of ada's team's, and of one of the hidden challenge."""

    def restore(self) -> None:
        """Undoes what was done."""
        live = sqlite3.connect(self.board.settings.home / "board.db", timeout=60)
        kept = sqlite3.connect(self.kept)
        kept.backup(live)
        kept.close()
        live.close()

    def ask(self, role: str, method: str, path: str, route: str) -> Any:
        """What is answered to somebody."""
        client = TestClient(self.app, raise_server_exceptions=False, follow_redirects=False)
        if route.startswith("/api/"):
            headers = {} if role == "nobody" else {"Authorization": f"Bearer {self.tokens[role]}"}
            return client.request(method, path, headers=headers, content=FILE if method == "POST" else None)
        cookies = self.app.state.cookies
        name, value = (cookies.stranger, "x") if role == "nobody" else (cookies.session, self.cookies[role])
        client.cookies.set(name, value)
        if method == "GET":
            return client.get(path)
        fields = {"form_token": cookies.form_token(value), **FIELDS.get(route, {})}
        if route in WITH_FILE:
            return client.post(path, data=fields, files={"file": ("new.csv", FILE)})
        return client.request(method, path, data=fields)


NONE = "0" * 26
"""What there is none of."""

LABELS = [f"{id_},{number % 4}" for number, id_ in enumerate(IDS)]
FILE = "\n".join(
    ["Image IDs,Predictions", *(f"{id_},{(n + 1) % 4}" for n, id_ in enumerate(IDS)), ""]
).encode()
"""All wrong, so that no row of it is one of the labels."""

PRIVATE, ALL = 0.7171711, 0.8383833
TITLE = "A challenge that nobody knows of"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("world")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    board = make_board(home, [{"name": "main", "start": start, "end": datetime(2100, 1, 1, tzinfo=UTC)}])
    text = (home / "tiny.yaml").read_text().replace("tiny", "hush").replace("A hush challenge", TITLE)
    (home / "hush.yaml").write_text(text)
    service.add_challenge(board, home / "hush.yaml", home / "labels.csv", hidden=True)
    people, ids = {}, {}
    with board.database.writing() as session, session.begin():
        for name in (*ROLES[1:], "sam"):
            email = f"{name}@mail.org"
            people[name] = Person(
                name=name, email=email, password_hash=f"hash-of-{name}", admin=name == "root"
            )
            session.add(people[name])
    service.make_organizer(board, "tiny", "olga")
    service.make_organizer(board, "hush", "otto")
    service.make_organizer(board, "hush", "sam")
    with board.database.writing() as session, session.begin():
        for name, challenge_name in (("ada", "tiny"), ("bob", "tiny"), ("sam", "hush"), ("waiting", "tiny")):
            challenge = session.scalars(select(Challenge).where(Challenge.name == challenge_name)).one()
            person = session.merge(people["ada" if name == "waiting" else name])
            stored = board.files.put(io.BytesIO(FILE + name.encode()), 10**6)
            made = Submission(
                id=submitting.new_id(start + timedelta(days=len(ids))),
                phase_id=challenge.phases[0].id,
                team_id=service.alone(session, person, challenge).id,
                person_id=person.id,
                received=start + timedelta(days=len(ids)),
                file_key=stored.key,
                file_name=f"file-of-{name}.csv",
                sha256=stored.sha256,
                size=stored.size,
                upload_key=name,
                message=f"message-to-{name}",
                state="queued" if name == "waiting" else SCORED,
                due=1 if name == "waiting" else None,
                declaration={"card": f"card-of-{name}"},
            )
            drawn = {
                "caption": f"caption-of-{name}",
                "png": base64.b64encode(f"drawn-of-{name}".encode()).decode(),
            }
            made.pictures_key = pictured.keep(board, [drawn] * 8)
            session.add(made)
            session.flush()
            ids[name] = made.id
            same = {"file_key": stored.key, "file_name": f"file-of-{name}", "sha256": "", "size": made.size}
            for kind in ("report", "run"):
                session.add(Attachment(submission_id=made.id, kind=kind, pages=4, **same))
                session.flush()
            for part, value in (("public", 0.5), ("private", PRIVATE), ("all", ALL)):
                for version in (0, 1) if name != "waiting" else ():
                    record = {
                        "headline": "top1",
                        "scores": {"top1": value},
                        "intervals": {"top1": [value] * 2},
                    }
                    costs = dict.fromkeys((*KINDS, *SPECIAL), 100 * value)
                    record["tide"] = {
                        "ap": 100 * value,
                        "foreground": 0.5,
                        "delta_ap": costs,
                        "special": costs,
                    }
                    record["tide"]["counts"] = {"Cls": 987654}
                    details = {"n_test": 20, "confusion": [[987654, 1]], "n_predicted": 1}
                    row = Score(submission=made, part=part, labels_version=version, value=value)
                    row.low = row.high = value
                    row.record = {**record, "details": details}
                    session.add(row)
        invitations = {}
        for name, challenge_name in (("ada", "tiny"), ("sam", "hush")):
            challenge = session.scalars(select(Challenge).where(Challenge.name == challenge_name)).one()
            invitations[name] = inviting.invite(session, session.merge(people[name]), challenge)
    made_tokens = {name: tokens.make(board, people[name].id, f"token-of-{name}") for name in ROLES[1:]}
    cookies = {name: signing.start(board, people[name].id) for name in ROLES[1:]}
    app = make_app(board)
    live, copy = sqlite3.connect(board.settings.home / "board.db"), sqlite3.connect(home / "kept.db")
    live.backup(copy)
    live.close()
    copy.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submitting, "_check", lambda *_: [])
        yield World(board, app, home / "kept.db", people, cookies, made_tokens, ids, invitations)


def routes(app: Any) -> list[tuple[str, str]]:
    """Methods and paths of all that can be asked for."""
    found = set()
    for route in iter_route_contexts(app.routes):
        found |= {(method, str(route.path)) for method in route.methods or () if method != "HEAD"}
    return sorted(found, key=lambda each: (each[1], each[0]))


def path_of(world: World, route: str, name: str = "tiny", of: str = "ada") -> str:
    """A route's path, to a challenge and to what is somebody's."""
    id_ = world.ids["waiting" if of == "ada" and route.endswith("/cancel") else of] if of else NONE
    values = {
        "{name}": name,
        "{id}": id_,
        "{token}": world.invitations.get(of, NONE),
    }
    values["{number}"] = str(1 + 2 * list(world.ids).index(of or "sam"))
    values["{folder}"], values["{key}"] = "00", NONE
    if route == "/static/{name}":
        values["{name}"] = "board.css"
    for key, value in values.items():
        route = route.replace(key, value)
    assert "{" not in route, f"say in `path_of` what stands in {route}"
    return f"{route}?act=hide" if route.endswith("/judge") else route


def secrets_of(world: World, role: str) -> list[str]:
    """What must not be in anything that is answered to somebody."""
    found = ["hash-of-", "987654", *LABELS]  # of passwords; of a confusion matrix
    for each in (world.tokens, world.cookies):
        found += [value for name, value in each.items() if name != role]
    with world.board.database.reading() as session:
        for challenge in session.scalars(select(Challenge)):
            found += [challenge.split_seed, challenge.labels_key, challenge.labels_sha256]
        for made in session.scalars(select(Submission)):
            found += [made.file_key, str(made.pictures_key)]
        found += [row.token_hash for kind in (ApiToken, SignIn) for row in session.scalars(select(kind))]
    concerns = {  # whom something of somebody's concerns beside the admin
        "ada": ("ada", "olga"),
        "waiting": ("ada", "olga"),
        "bob": ("bob", "olga"),
        "sam": ("otto",),
    }
    for name, who in concerns.items():
        if role not in (*who, "root"):
            found += [f"file-of-{name}", f"message-to-{name}", f"card-of-{name}", world.ids[name]]
            found += [f"caption-of-{name}", f"drawn-of-{name}"]
    if role not in ("olga", "root"):
        for value in (PRIVATE, ALL):
            found += [str(value)[:6], f"{100 * value:.1f}", f"{100 * value:.2f}"]
    if role in HIDDEN_FROM:
        found += [TITLE, "hush"]
    if role != "root":
        found += [f"{name}@mail.org" for name in world.people if name != role]
    return found


def leaks(world: World, role: str, path: str, answer: Any) -> list[str]:
    """What is in an answer, its headers included, and should not; but for what was asked for itself."""
    text = answer.text + str(dict(answer.headers))
    return [secret for secret in secrets_of(world, role) if secret in text and secret not in path]


def kept_of(world: World) -> str:
    """All that the board remembers, but for when tokens were used and who is signed in."""
    connection = sqlite3.connect(world.board.settings.home / "board.db", timeout=60)
    lines = [line for line in connection.iterdump() if '"api_token"' not in line and '"sign_in"' not in line]
    connection.close()
    return "\n".join(lines)


def expected() -> dict[tuple[str, str], list[int]]:
    rows = [line.split() for line in EXPECTED.strip().splitlines()]
    return {(method, route): list(map(int, statuses)) for method, route, *statuses in rows}


def test_every_route_has_its_line(world: World) -> None:
    assert routes(world.app) == sorted(expected(), key=lambda each: (each[1], each[0]))
    assert len(expected()) == len(EXPECTED.strip().splitlines())


@pytest.mark.slow
def test_everybody_gets_what_is_theirs_and_nothing_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.ERROR, "httpx")  # the clients'
    wrong: list[Any] = []
    before = kept_of(world)
    for (method, route), statuses in expected().items():
        for role, status in zip(ROLES, statuses, strict=True):
            path = path_of(world, route)
            answer = world.ask(role, method, path, route)
            if answer.status_code != status:
                wrong.append((method, path, role, status, answer.status_code))
            if found := leaks(world, role, path, answer):
                wrong.append((method, path, role, found))
            to_sign_in = status == 303 and role == "nobody" and not route.startswith("/sign-")
            if to_sign_in and not answer.headers["location"].startswith("/sign-in"):
                wrong.append((method, path, role, answer.headers["location"]))
            if method != "GET":
                refused = status >= 400 or (role == "nobody" and route != "/sign-up")
                if refused and kept_of(world) != before:
                    wrong.append((method, path, role, "was refused and has changed something"))
                world.restore()
    logged = caplog.text
    for secret in {*secrets_of(world, "nobody"), *world.tokens.values(), *world.cookies.values()}:
        if secret in logged and secret not in world.ids.values():
            wrong.append(("the log", secret))
    assert wrong == []


@pytest.mark.slow
def test_what_is_hidden_is_answered_like_what_there_is_not(world: World) -> None:
    wrong = []
    for method, route in expected():
        if "{" not in route or route == "/static/{name}":
            continue
        for role in HIDDEN_FROM:
            answers = []
            for name, of in (("hush", "sam"), ("nono", "")):
                answer = world.ask(role, method, path_of(world, route, name, of), route)
                if method != "GET":
                    world.restore()
                text = answer.text + str(dict(answer.headers))
                for there in ("hush", "nono", world.ids["sam"], world.invitations["sam"], NONE):
                    text = text.replace(there, "X")
                answers.append((answer.status_code, re.sub(r"'content-length': '\d+'", "", text)))
            if answers[0] != answers[1] or answers[0][0] not in (303, 401, 404):
                wrong.append((method, route, role, answers))
    assert wrong == []


def test_those_who_run_the_hidden_challenge_find_it(world: World) -> None:
    for role in ("otto", "root"):
        for route in ("/c/{name}", "/api/v1/challenges/{name}", "/s/{id}", "/api/v1/submissions/{id}"):
            answer = world.ask(role, "GET", path_of(world, route, "hush", "sam"), route)
            assert answer.status_code == 200, (role, route)
