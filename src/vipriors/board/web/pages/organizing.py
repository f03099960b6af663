"""What organizers of a challenge see and do: submissions, phases, pages, labels, teams, people, the log."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board import appointing, editing, organizing
from vipriors.board.acting import log
from vipriors.board.adding import rescore
from vipriors.board.core import NotFound
from vipriors.board.models import Organizer, Person, Team
from vipriors.board.planning import read_form, read_plan
from vipriors.board.web.challenges import Scene, scene
from vipriors.board.web.forms import Form
from vipriors.board.web.pages.uploading import with_upload
from vipriors.board.web.scratch import keep, scratch
from vipriors.board.web.submission_table import Wanted, table_of
from vipriors.board.web.uploads import Upload
from vipriors.board.web.visiting import Filled, SignedIn, Visitor
from vipriors.problems import BadInput, Problem

router = APIRouter(include_in_schema=False)

PHASE_FIELDS = ("name", "start", "end", "grace_minutes", "per_day", "total", "shows", "final_part")
LOG_ENTRIES = 200


@router.get("/c/{name}/run")
def submissions_page(
    visit: SignedIn, name: str, state: str = "", team: str = "", phase: str = "", before: str = ""
) -> Response:
    """Every submission of a challenge, the newest first; the queue and who scores."""
    with visit.reading() as session:
        found = run_scene(session, visit, name)
        wanted = Wanted(state, team, phase, before)
        table = table_of(visit.board, session, found.challenge, wanted)
        return visit.page("admin/submissions.html.jinja", scene=found, tab="run", at="", table=table)


@router.get("/c/{name}/run/phases")
def phases_page(visit: SignedIn, name: str) -> Response:
    """The phases, each in a form."""
    return _page(visit, name, "phases")


@router.post("/c/{name}/run/phases")
def change_phase(visit: SignedIn, name: str, form: Filled) -> Response:
    """Changes a phase, or adds one."""
    visit.take_change()

    def change() -> None:
        fields = read_form({key: form[key] for key in PHASE_FIELDS if key in form})
        if form["phase"] == "new":
            plan = read_plan(fields, "new phase")
            editing.add_phase(visit.board, name, plan, reason=form["reason"], by=visit.signed_in.id)
            return
        with visit.reading() as session:
            phases = run_scene(session, visit, name).challenge.phases
        if form["phase"] not in [str(phase.id) for phase in phases]:
            raise NotFound("phase")
        by = visit.signed_in.id
        editing.change_phase(visit.board, int(form["phase"]), reason=form["reason"], by=by, **fields)

    return _do(visit, name, "phases", form, change)


@router.get("/c/{name}/run/pages")
def pages_page(visit: SignedIn, name: str) -> Response:
    """The texts of a challenge, its baseline, and whether it is hidden."""
    return _page(visit, name, "pages")


@router.post("/c/{name}/run/pages")
def change_pages(visit: SignedIn, name: str, form: Filled) -> Response:
    """Changes the texts, or shows how they would look."""
    if form["act"] == "preview":
        return _page(visit, name, "pages", kept=form.kept(), preview=True)
    visit.take_change()
    texts = {key: form[key] for key in ("title", *editing.PAGES) if key in form}

    def change() -> None:
        by = visit.signed_in.id
        editing.edit_pages(visit.board, name, reason=form["reason"], by=by, **texts)

    return _do(visit, name, "pages", form, change)


@router.post("/c/{name}/run/settings")
def change_settings(visit: SignedIn, name: str, form: Filled) -> Response:
    """Sets the baseline, or hides or shows the challenge."""
    visit.take_change()

    def change() -> None:
        about: dict[str, Any] = {"reason": form["reason"], "by": visit.signed_in.id}
        if form["act"] in ("hide", "show"):
            editing.hide_challenge(visit.board, name, form["act"] == "hide", **about)
            return
        baseline = None
        if form["baseline_name"].strip() or form["baseline_score"].strip():
            baseline = form["baseline_name"].strip(), _number(form["baseline_score"])
        editing.set_baseline(visit.board, name, baseline, **about)

    return _do(visit, name, "pages", form, change)


@router.get("/c/{name}/run/labels")
def labels_page(visit: SignedIn, name: str) -> Response:
    """The labels, and a form to have everything scored anew."""
    return _page(visit, name, "labels")


@router.post("/c/{name}/run/labels")
async def change_labels(visit: SignedIn, name: str) -> Response:
    """Has everything scored anew, with other labels if some are sent."""

    def change(upload: Upload) -> str:
        _rescore(visit, name, upload)
        return f"/c/{name}/run"

    again = partial(_again, visit, name, "labels")
    return await with_upload(visit, partial(_run_challenge, visit, name), change, again)


@router.get("/c/{name}/run/teams")
def teams_page(visit: SignedIn, name: str) -> Response:
    """The teams, and a form to merge two."""
    return _page(visit, name, "teams")


@router.post("/c/{name}/run/teams")
def merge_teams(visit: SignedIn, name: str, form: Filled) -> Response:
    """Makes two teams one."""
    visit.take_change()

    def change() -> None:
        with visit.reading() as session:
            found = run_scene(session, visit, name)
            teams = {str(team.id) for team in _teams(session, found)}
        if not {form["team"], form["into"]} <= teams:
            raise BadInput.single("team", "expected two teams of this challenge")
        by = visit.signed_in.id
        organizing.merge_teams(
            visit.board, int(form["team"]), int(form["into"]), reason=form["reason"], by=by
        )

    return _do(visit, name, "teams", form, change)


@router.get("/c/{name}/run/organizers")
def organizers_page(visit: SignedIn, name: str) -> Response:
    """Who may run the challenge."""
    return _page(visit, name, "organizers")


@router.post("/c/{name}/run/organizers")
def change_organizers(visit: SignedIn, name: str, form: Filled) -> Response:
    """Lets a person run the challenge, or no more."""
    visit.take_change()

    def change() -> None:
        act = appointing.remove_organizer if form["act"] == "remove" else appointing.make_organizer
        try:
            act(visit.board, name, form["person"].strip(), by=visit.signed_in.id)
        except NotFound:
            raise BadInput.single("person", f"there is nobody called {form['person'].strip()!r}") from None

    return _do(visit, name, "organizers", form, change)


@router.get("/c/{name}/run/log")
def log_page(visit: SignedIn, name: str) -> Response:
    """What organizers did to the challenge."""
    return _page(visit, name, "log")


def run_scene(session: Session, visit: Visitor, name: str) -> Scene:
    """A challenge that the visitor runs.

    Raises:
        NotFound: there is none of this name, or the visitor does not run it.
    """
    found = scene(session, visit, name)
    if not found.runs:
        raise NotFound(f"challenge {name!r}")
    return found


def _do(visit: Visitor, name: str, at: str, form: Form, change: Any) -> Response:
    with visit.reading() as session:
        run_scene(session, visit, name)
    try:
        change()
    except BadInput as error:
        return _again(visit, name, at, error.problems, form)
    return visit.go(f"/c/{name}/run/{at}")


def _again(visit: Visitor, name: str, at: str, problems: list[Problem], form: Form) -> Response:
    return _page(visit, name, at, 400, problems=problems, kept=form.kept())


def _page(
    visit: Visitor,
    name: str,
    at: str,
    status: int = 200,
    *,
    problems: list[Problem] | None = None,
    kept: dict[str, str] | None = None,
    preview: bool = False,
) -> Response:
    with visit.reading() as session:
        found = run_scene(session, visit, name)
        context: dict[str, Any] = {"scene": found, "tab": "run", "at": at, "preview": preview}
        context |= {"problems": problems or [], "kept": kept or {}}
        if at == "teams":
            teams = [(team, organizing.former_names(session, team)) for team in _teams(session, found)]
            context |= {"teams": teams}
        if at == "organizers":
            of = select(Person).join(Organizer).where(Organizer.challenge_id == found.challenge.id)
            context |= {"organizers": session.scalars(of.order_by(Person.name)).all()}
        if at == "log":
            context |= {"entries": log(session, found.challenge, LOG_ENTRIES)}
        if at == "labels":
            context |= {"most": visit.board.settings.upload_bytes}
        return visit.page(f"admin/{at}.html.jinja", status, **context)


def _teams(session: Session, found: Scene) -> list[Team]:
    of = select(Team).where(Team.challenge_id == found.challenge.id, Team.merged_into_id.is_(None))
    return list(session.scalars(of.order_by(Team.name)))


def _run_challenge(visit: Visitor, name: str) -> None:
    visit.take_change()
    with visit.reading() as session:
        run_scene(session, visit, name)


def _rescore(visit: Visitor, name: str, upload: Upload) -> None:
    about: dict[str, Any] = {"reason": upload.form["reason"], "by": visit.signed_in.id}
    if upload.file is None or not upload.name:
        rescore(visit.board, name, **about)
        return
    with scratch() as folder:
        rescore(visit.board, name, keep(upload, folder), **about)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput.single("baseline", f"scores {text!r}; expected a number such as 0.81") from None
