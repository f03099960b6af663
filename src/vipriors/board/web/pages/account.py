"""Signing up, in and out; one's own account."""

from __future__ import annotations

from fastapi import APIRouter, Response

from vipriors.board import signing, tokens
from vipriors.board.core import Forbidden, NotFound
from vipriors.board.people import sign_up
from vipriors.board.web.security import address_of, local_path
from vipriors.board.web.visiting import Filled, Visit, Visitor, by_field
from vipriors.problems import BadInput

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
def sign_in_form(visit: Visit, next: str = "/") -> Response:
    """The form to sign in."""
    return visit.page("sign_in.html.jinja", problems=[], kept={}, next=local_path(next))


@router.post("/sign-in")
def sign_in(visit: Visit, form: Filled) -> Response:
    """Signs in."""
    then = local_path(form["next"])
    visit.limits.sign_in_from_address.take(address_of(visit.request))
    visit.limits.sign_in_of_name.take(form["name"].strip().lower()[:300])
    try:
        token = signing.sign_in(visit.board, form["name"], form["password"])
    except BadInput as error:
        context = {"problems": error.problems, "kept": form.kept(), "next": then}
        return visit.page("sign_in.html.jinja", 400, **context)
    return _signed_in(visit, token, then)


@router.get("/sign-up")
def sign_up_form(visit: Visit, next: str = "/", key: str = "") -> Response:
    """The form to sign up; with a key that of the first administrator."""
    _refuse_if_closed(visit, key)
    return visit.page("sign_up.html.jinja", problems={}, kept={}, next=local_path(next), key=key)


@router.post("/sign-up")
def sign_up_(visit: Visit, form: Filled) -> Response:
    """Makes an account and signs in."""
    then, key = local_path(form["next"]), form["key"]
    visit.limits.sign_up_from_address.take(address_of(visit.request))
    fields = (form["name"].strip(), form["email"], form["password"])
    try:
        person = signing.sign_up_admin(visit.board, key, *fields) if key else sign_up(visit.board, *fields)
    except BadInput as error:
        context = {"problems": by_field(error.problems), "kept": form.kept(), "next": then, "key": key}
        return visit.page("sign_up.html.jinja", 400, **context)
    return _signed_in(visit, signing.start(visit.board, person.id), then)


@router.post("/sign-out")
def sign_out(visit: Visit, form: Filled) -> Response:
    """Signs out."""
    if visit.person:
        signing.sign_out(visit.board, visit.token)
    response = visit.go("/")
    visit.cookies.drop_session(response)
    return response


@router.get("/account")
def account(visit: Visit) -> Response:
    """The account: tokens, sign-ins, password."""
    return _account(visit)


@router.post("/account/password")
def change_password(visit: Visit, form: Filled) -> Response:
    """Changes the password; every browser but this one is signed out."""
    person = visit.signed_in
    visit.limits.password_of_person.take(person.id)
    try:
        token = signing.change_password(visit.board, person.id, form["old_password"], form["new_password"])
    except BadInput as error:
        return _account(visit, 400, by_field(error.problems))
    response = visit.go("/account?changed=1")
    visit.cookies.set_session(response, token)
    return response


@router.post("/account/sign-out-others")
def sign_out_others(visit: Visit, form: Filled) -> Response:
    """Signs out every browser but this one."""
    visit.take_change()
    signing.sign_out_others(visit.board, visit.token)
    return visit.go("/account")


@router.post("/account/tokens")
def make_token(visit: Visit, form: Filled) -> Response:
    """Makes a token for programs, and shows it this one time."""
    visit.take_change()
    try:
        token = tokens.make(visit.board, visit.signed_in.id, form["name"].strip())
    except BadInput as error:
        return _account(visit, 400, by_field(error.problems), kept=form.kept())
    return _account(visit, token=token)


@router.post("/account/tokens/revoke")
def revoke_token(visit: Visit, form: Filled) -> Response:
    """Makes a token worthless."""
    visit.take_change()
    if not form["token"].isdecimal() or len(form["token"]) > 12:
        raise NotFound("token")
    tokens.revoke(visit.board, visit.signed_in.id, int(form["token"]))
    return visit.go("/account")


def _account(
    visit: Visitor,
    status: int = 200,
    problems: dict[str, list[str]] | None = None,
    *,
    kept: dict[str, str] | None = None,
    token: str = "",
) -> Response:
    person = visit.signed_in
    own_tokens = tokens.of(visit.board, person.id)
    with visit.reading() as session:
        return visit.page(
            "account.html.jinja",
            status,
            problems=problems or {},
            kept=kept or {},
            token=token,
            tokens=own_tokens,
            sign_ins=signing.current(session, person.id),
            this=signing.hash_of(visit.token),
            changed="changed" in visit.request.query_params,
        )


def _signed_in(visit: Visitor, token: str, then: str) -> Response:
    if visit.person:  # a browser has one sign-in, never the one it had before
        signing.sign_out(visit.board, visit.token)
    response = visit.go(then)
    visit.cookies.set_session(response, token)
    return response


def _refuse_if_closed(visit: Visitor, key: str) -> None:
    if not key and not visit.board.settings.open_sign_up:
        raise Forbidden("this board does not let people sign up by themselves")
