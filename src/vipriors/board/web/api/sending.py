"""Sending predictions."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response

from vipriors.board import service, viewing
from vipriors.board.models import now
from vipriors.board.submitting import Receipt, check_may_submit
from vipriors.board.web import api_models as answers
from vipriors.board.web.api.calling import NEVER_KEPT, RAW_BODY, Caller, Member, Name
from vipriors.board.web.api.submissions import ONE
from vipriors.board.web.api_errors import OtherType, Route, errors
from vipriors.board.web.bodies import heard
from vipriors.board.web.forms import Form, FormReader
from vipriors.board.web.uploads import RawReader, Reader, Upload, receiving, worked_on
from vipriors.problems import BadInput, Problem

RAW_TYPES = (
    *("", "application/octet-stream", "application/zip", "application/x-zip-compressed"),
    *("text/csv", "text/plain", "application/json", "application/csv", "application/vnd.ms-excel"),
    "application/x-www-form-urlencoded",  # what curl says of every body, unless told otherwise
)
FORM_TYPE = "multipart/form-data"

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
    "content": {"application/octet-stream": RAW_BODY, FORM_TYPE: _FORM_BODY},
}

routes = APIRouter(route_class=Route, tags=["submissions"])


@routes.post(
    "/challenges/{name}/submissions",
    status_code=201,
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
    given = {"phase": phase, "declaration": declaration}

    def take(upload: Upload) -> Receipt:
        said = given | dict(upload.form.fields)
        if upload.file is None:
            raise BadInput.single("form", "has no file; expected a field 'file' after all others")
        return service.submit(
            call.board,
            call.signed_in.id,
            name,
            upload.file,
            upload.name,
            phase_name=said["phase"],
            upload_key=idempotency_key,
            declaration=_declaration(said["declaration"]),
        )

    async with heard(request):
        reader = _reader(request, call.board.settings.upload_bytes, file_name, list(given))
        await to_thread.run_sync(check_may_submit, call.board, call.signed_in.id, name, phase)
        async with receiving(request, call.board, call.signed_in.id, reader) as upload:
            receipt = await worked_on(request, take, upload)
    made, answer = await to_thread.run_sync(_answer_with, call, receipt.submission.id)
    headers = {"Location": request.url_for(ONE, id=made).path, **NEVER_KEPT}
    status = 200 if receipt.again else 201
    return Response(answer.model_dump_json(), status, headers, "application/json")


def _reader(request: Request, limit: int, file_name: str, known: list[str]) -> Reader:
    """What reads a body: as a form if it says that it is one, else as the file."""
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM_TYPE:
        return FormReader(content_type, limit, partial(_check_fields, known))
    if kind not in RAW_TYPES:
        raise OtherType(f"{kind!r}; expected {FORM_TYPE}, or application/octet-stream and the file itself")
    return RawReader(limit, file_name)


def _check_fields(known: list[str], form: Form) -> None:
    names = [name for name, _ in form.fields]
    expected = f"is unknown; expected {', '.join(known)}, file"
    problems = [Problem(f"form, field {name}", expected) for name in sorted(set(names) - set(known))]
    problems += [Problem(f"form, field {name}", "is there twice") for name in known if names.count(name) > 1]
    if problems:
        raise BadInput(problems)


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
