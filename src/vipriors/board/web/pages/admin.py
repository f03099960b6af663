"""What administrators of the board see and do: people, new challenges, bundles of other platforms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

from fastapi import APIRouter, Response
from sqlalchemy import select

from vipriors import tasks
from vipriors.board import appointing
from vipriors.board.acting import log
from vipriors.board.adding import add_challenge
from vipriors.board.core import NotFound
from vipriors.board.exchange.importing import import_bundle, read_bundle
from vipriors.board.models import Person
from vipriors.board.planning import read_form, read_plan
from vipriors.board.web.forms import Form
from vipriors.board.web.pages.uploading import with_upload
from vipriors.board.web.scratch import copy, keep, scratch
from vipriors.board.web.uploads import Upload
from vipriors.board.web.visiting import Filled, SignedIn, Visitor
from vipriors.problems import BadInput, Problem

router = APIRouter(include_in_schema=False)

LOG_ENTRIES = 50
ACTS: dict[str, Callable[..., Any]] = {
    "make-admin": appointing.make_admin,
    "remove-admin": appointing.remove_admin,
    "disable": appointing.disable,
    "enable": appointing.enable,
}


@router.get("/admin")
def admin_page(visit: SignedIn) -> Response:
    """The people, forms for challenges, and the board's log."""
    return _page(visit)


@router.post("/admin/people")
def change_person(visit: SignedIn, form: Filled) -> Response:
    """Lets a person do more or less."""
    visit.take_change()
    _refuse_others(visit)
    if form["act"] not in ACTS:
        raise NotFound(form["act"])
    reason = {"reason": form["reason"]} if form["act"] in ("disable", "enable") else {}
    try:
        ACTS[form["act"]](visit.board, form["person"], by=visit.signed_in.id, **reason)
    except BadInput as error:
        return _page(visit, error.problems)
    return visit.go("/admin")


@router.post("/admin/challenges")
async def new_challenge(visit: SignedIn) -> Response:
    """Adds a challenge of a YAML text and a file of labels."""

    def add(upload: Upload) -> str:
        with scratch() as folder:
            file = folder / "challenge.yaml"
            file.write_text(upload.form["yaml"], encoding="utf-8")
            phase = {key: upload.form[key] for key in ("name", "start", "end") if upload.form[key].strip()}
            quota = {key: upload.form[key] for key in ("per_day", "total")}
            made = add_challenge(
                visit.board,
                file,
                keep(upload, folder / "sent"),
                phases=[read_plan(read_form({**phase, **quota}), "phase")],
                public_share=_share(upload.form["public_share"]),
                hidden=upload.form["hidden"] == "yes",
                organizers=[visit.signed_in.id],
                by=visit.signed_in.id,
            )
        return f"/c/{made.name}/run/pages"

    return await _with_file(visit, add)


@router.post("/admin/bundle")
async def bundle(visit: SignedIn) -> Response:
    """Takes a bundle of another platform, to be shown before it becomes a challenge."""

    def take(upload: Upload) -> str:
        with scratch() as folder:
            file = keep(upload, folder / "sent")
            read_bundle(file)
            with file.open("rb") as stream:
                stored = visit.board.files.put(stream, visit.board.settings.upload_bytes)
        return f"/admin/bundle/{stored.key}"

    return await _with_file(visit, take)


@router.get("/admin/bundle/{folder}/{key}")
def bundle_page(visit: SignedIn, folder: str, key: str) -> Response:
    """What a bundle would become, and what it would not; a form for the labels."""
    return _bundle_page(visit, f"{folder}/{key}")


@router.post("/admin/bundle/{folder}/{key}")
async def import_(visit: SignedIn, folder: str, key: str) -> Response:
    """Makes a challenge of a bundle."""
    place = f"{folder}/{key}"

    def make(upload: Upload) -> str:
        with (
            scratch() as sent,
            _stored(visit, place) as stream,
        ):
            bundle_ = sent / "bundle.zip"
            copy(stream, bundle_)
            classes = [name.strip() for name in upload.form["classes"].split(",") if name.strip()]
            made = import_bundle(
                visit.board,
                bundle_,
                upload.form["task"],
                keep(upload, sent / "labels"),
                name=upload.form["name"].strip() or None,
                classes=classes or None,
                by=visit.signed_in.id,
            )
        return f"/c/{made.challenge.name}/run/pages"

    return await _with_file(visit, make, place)


async def _with_file(visit: Visitor, do: Callable[[Upload], str], place: str | None = None) -> Response:
    """Does something with a form of administrators that has a file; the form again if it cannot be."""

    def first() -> None:
        _refuse_others(visit)
        visit.take_change()

    page = partial(_page, visit) if place is None else partial(_bundle_page, visit, place)
    return await with_upload(visit, first, do, page)


def _page(visit: Visitor, problems: list[Problem] | None = None, form: Form | None = None) -> Response:
    _refuse_others(visit)
    with visit.reading() as session:
        return visit.page(
            "admin/board.html.jinja",
            400 if problems else 200,
            people=session.scalars(select(Person).order_by(Person.name)).all(),
            entries=log(session, most=LOG_ENTRIES),
            most=visit.board.settings.upload_bytes,
            problems=problems or [],
            kept=form.kept() if form else {},
        )


def _bundle_page(
    visit: Visitor, key: str, problems: list[Problem] | None = None, form: Form | None = None
) -> Response:
    _refuse_others(visit)
    with scratch() as folder, _stored(visit, key) as stream:
        bundle_ = folder / "bundle.zip"
        copy(stream, bundle_)
        plan = read_bundle(bundle_)
    return visit.page(
        "admin/bundle.html.jinja",
        400 if problems else 200,
        plan=plan,
        tasks=tasks.names(),
        action=f"/admin/bundle/{key}",
        problems=problems or [],
        kept=form.kept() if form else {},
    )


def _stored(visit: Visitor, key: str) -> BinaryIO:
    try:
        return visit.board.files.open(key)
    except FileNotFoundError:
        raise NotFound("bundle") from None


def _refuse_others(visit: Visitor) -> None:
    """Lets administrators pass; others learn of no such page."""
    if not visit.signed_in.admin:
        raise NotFound("admin")


def _share(text: str) -> float:
    try:
        return float(text or 0.5)
    except ValueError:
        raise BadInput.single("public share", f"is {text!r}; expected a number such as 0.5") from None
