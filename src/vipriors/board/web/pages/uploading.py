"""What all pages do with a form that has a file."""

from __future__ import annotations

from collections.abc import Callable

from anyio import to_thread
from fastapi import Response

from vipriors.board.web.bodies import TooSlow, heard
from vipriors.board.web.forms import Form, FormReader
from vipriors.board.web.uploads import Upload, receiving, worked_on
from vipriors.board.web.visiting import Visitor, check_form_token
from vipriors.problems import BadInput, Problem


async def with_upload(
    visit: Visitor,
    first: Callable[[], object],
    do: Callable[[Upload], str],
    again: Callable[[list[Problem], Form], Response],
) -> Response:
    """Receives a form with a file, does something with it, and leads on.

    Args:
        visit: who sends the form, which must be theirs.
        first: refuses who may not, before the file arrives.
        do: what is done; gives the path to go to.
        again: the page with the form, for problems and what was typed in.
    """
    request, form = visit.request, Form([])

    def check(fields: Form) -> None:
        check_form_token(visit, fields["form_token"])

    try:
        async with heard(request):
            await to_thread.run_sync(first)
            limit = visit.board.settings.upload_bytes
            reader = FormReader(request.headers.get("content-type", ""), limit, check)
            form = reader.form
            async with receiving(request, visit.board, visit.signed_in.id, reader) as upload:
                path = await worked_on(request, do, upload)
    except TooSlow:
        raise
    except BadInput as error:
        return await to_thread.run_sync(again, error.problems, form)
    return visit.go(path)
