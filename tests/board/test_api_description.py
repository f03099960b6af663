"""The OpenAPI description says what the interface answers, to whatever is sent."""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from api_helpers import token_of
from board_helpers import make_board, queue
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from sqlalchemy import select

from vipriors.board import submitting
from vipriors.board.models import SCORED, Person, Submission
from vipriors.board.web.app import make_app


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The application, somebody's token and submission; files are not checked: it takes a process each."""
    board = make_board(tmp_path_factory.mktemp("described"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submitting, "_check", lambda *_: [])
        token = token_of(board, "ada")
        with board.database.reading() as session:
            sent = queue(board, session.scalars(select(Person)).one(), 30)
        with board.database.writing() as session, session.begin():
            session.get_one(Submission, sent).state = SCORED
        yield make_app(board), token, sent


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_sent_is_answered_as_described(made: Any, mode: GenerationMode) -> None:
    """No server error, and statuses, types, headers and bodies as documented; wrong input is refused."""
    seen: dict[str, set[int]] = {}
    described = schemathesis.openapi.from_asgi("/api/v1/openapi.json", made[0])
    for operation in (found.ok() for found in described.get_all_operations()):

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=12,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def send(case: Any) -> None:
            if mode is GenerationMode.POSITIVE:  # names of what there is, else all is answered with 404
                real = {"name": "tiny", "id": made[2]}
                case.path_parameters = {key: real[key] for key in case.path_parameters}
            # What makes a file or a phase's name good is not for a schema to say.
            answer = case.call_and_validate(
                headers={"Authorization": f"Bearer {made[1]}"}, excluded_checks=[positive_data_acceptance]
            )
            seen.setdefault(case.operation.label, set()).add(answer.status_code)

        try:
            send()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # nothing can be wrong in a request without parameters
    if mode is GenerationMode.POSITIVE:
        good = {label for label, statuses in seen.items() if statuses & {200, 201}}
        assert seen.keys() - good == {"POST /api/v1/submissions/{id}/cancel"}  # as it is scored


def test_the_description_is_whole(made: Any) -> None:
    found = made[0].openapi()
    for path, methods in found["paths"].items():
        assert path.startswith("/api/v1/"), path  # pages are none of it
        for method, route in methods.items():
            where = f"{method} {path}"
            assert route["description"] and route["tags"], where
            for status, answer in route["responses"].items():
                assert answer["description"], where
                if status[0] in "45" and path != "/api/v1/health":
                    problems = answer["content"]["application/json"]["schema"]["$ref"]
                    assert problems.endswith("/Problems"), (where, status)
    members = [where for where in routes(found) if "security" in routes(found)[where]]
    assert sorted(members) == [
        "delete /submissions/{id}/chosen",
        "get /challenges/{name}/submissions",
        "get /challenges/{name}/team",
        "get /me",
        "get /submissions/{id}",
        "get /submissions/{id}/file",
        "post /challenges/{name}/submissions",
        "post /submissions/{id}/cancel",
        "put /submissions/{id}/chosen",
    ]


def routes(description: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method} {path.removeprefix('/api/v1')}": route
        for path, methods in description["paths"].items()
        for method, route in methods.items()
    }


def test_the_description_is_the_same_each_time(made: Any, tmp_path: Path) -> None:
    other = make_app(make_board(tmp_path))
    assert json.dumps(other.openapi()) == json.dumps(made[0].openapi())
