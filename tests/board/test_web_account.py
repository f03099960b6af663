"""Signing up, in and out; cookies, forms of others, the account."""

import re
from datetime import timedelta

import pytest
from board_helpers import make_board
from sqlalchemy import select, update
from web_helpers import PASSWORD, Browser, content_of, enter, entry, routes_of

from vipriors.board import signing, tokens
from vipriors.board.core import Board, RateLimit
from vipriors.board.models import Person, SignIn, now
from vipriors.board.web.security import local_path


def is_in(browser: Browser, name: str) -> bool:
    return f">{name}</a>" in browser.get("/").text


def test_one_signs_up_and_out_and_in(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    assert is_in(ada, "Ada")
    assert ada.send("/sign-out", "/").status_code == 303
    assert not is_in(ada, "Ada")
    for name in ("Ada", " Ada ", "ada@example.org", "ADA@example.org"):
        answer = ada.send("/sign-in", name=name, password=PASSWORD)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert is_in(ada, "Ada")
        ada.send("/sign-out", "/")


@pytest.mark.parametrize(
    ("name", "password"), [("Ada", "qwertyuiop"), ("Nobody", PASSWORD), ("Ada", "x" * 10_000)]
)
def test_wrong_and_unknown_are_answered_alike(board: Board, name: str, password: str) -> None:
    Browser(board).sign_up("Ada")
    stranger = Browser(board)
    answer = stranger.send("/sign-in", name=name, password=password)
    assert answer.status_code == 400
    assert "Name or password is wrong." in answer.text
    assert f'value="{name}"' in answer.text and password not in answer.text
    assert not is_in(stranger, "Ada")


def test_a_name_that_nobody_has_takes_a_hash_as_well(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    Browser(board).sign_up("Ada")
    hashed = []
    original = signing._is_password
    monkeypatch.setattr(signing, "_is_password", lambda h, p: hashed.append(h) or original(h, p))
    for name in ("Ada", "Nobody"):
        Browser(board).send("/sign-in", name=name, password="wrong")
    assert len(hashed) == 2 and all(each.startswith("$argon2id$") for each in hashed)


def test_problems_of_signing_up_stand_beside_their_fields(board: Board) -> None:
    Browser(board).sign_up("Ada")
    answer = Browser(board).send("/sign-up", name="Ada", email="no address", password="short")
    assert answer.status_code == 400
    assert "is no address" in answer.text and "has 5 characters; expected 10 to 200" in answer.text
    assert 'value="no address"' in answer.text and "short" not in answer.text
    answer = Browser(board).send("/sign-up", name="Ada", email="b@example.org", password=PASSWORD)
    assert "is taken; expected another" in answer.text and PASSWORD not in answer.text


def test_a_disabled_account_is_out_at_once(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    with board.database.writing() as session, session.begin():
        session.execute(update(Person).values(disabled=now()))
    assert not is_in(ada, "Ada")
    assert ada.send("/sign-in", name="Ada", password=PASSWORD).status_code == 400


def test_a_sign_in_ends(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    with board.database.writing() as session, session.begin():
        session.execute(update(SignIn).values(expires=now() - timedelta(seconds=1)))
    assert not is_in(ada, "Ada")


def test_signing_out_ends_the_token_and_not_only_the_cookie(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    token = ada.client.cookies["session"]
    ada.send("/sign-out", "/")
    thief = Browser(board)
    thief.client.cookies.set("session", token)
    assert not is_in(thief, "Ada")


def test_a_token_that_somebody_else_set_never_becomes_a_sign_in(board: Board) -> None:
    Browser(board).sign_up("Ada")
    victim = Browser(board)
    victim.client.cookies.set("session", "planted")
    victim.client.cookies.set("stranger", "planted")
    victim.send("/sign-in", name="Ada", password=PASSWORD)
    assert victim.client.cookies.get("session", domain="127.0.0.1") != "planted"
    with board.database.reading() as session:
        hashes = set(session.scalars(select(SignIn.token_hash)))
    assert signing.hash_of("planted") not in hashes


def test_who_signs_in_anew_loses_the_old_token(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    old = ada.client.cookies["session"]
    ada.send("/sign-in", name="Ada", password=PASSWORD)
    assert ada.client.cookies["session"] != old
    thief = Browser(board)
    thief.client.cookies.set("session", old)
    assert not is_in(thief, "Ada")


def test_the_database_has_no_token(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    with board.database.reading() as session:
        assert list(session.scalars(select(SignIn.token_hash))) == [
            signing.hash_of(ada.client.cookies["session"])
        ]


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8000", "https://board.example.org"])
def test_cookies(tmp_path, base_url: str) -> None:
    board = make_board(tmp_path, base_url=base_url)
    browser = Browser(board)
    stranger = browser.get("/sign-up").headers["set-cookie"]
    session = browser.send("/sign-up", name="Ada", email="a@example.org", password=PASSWORD).headers[
        "set-cookie"
    ]
    secure = base_url.startswith("https")
    prefix = "__Host-" if secure else ""
    assert stranger.startswith(f"{prefix}stranger=") and f"{prefix}session=" in session
    for cookie in (stranger, *re.split(r", (?=[_a-zA-Z-]+=)", session)):
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
        assert ("Secure" in cookie) == secure
        assert "Domain" not in cookie
    assert ("strict-transport-security" in browser.get("/").headers) == secure


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        " /x",
        "",
    ],
)
def test_signing_in_leads_nowhere_else(board: Board, target: str) -> None:
    Browser(board).sign_up("Ada")
    answer = Browser(board).send("/sign-in", name="Ada", password=PASSWORD, next=target)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "evil" not in Browser(board).get("/sign-in", params={"next": target}).text


def test_signing_in_leads_back() -> None:
    for target in ("/", "/c/digits/leaderboard?phase=a%20b&sort=-score", "/join/abc_-1"):
        assert local_path(target) == target


def test_one_is_sent_to_sign_in_and_back(board: Board) -> None:
    Browser(board).sign_up("Ada")
    ada = Browser(board)
    answer = ada.get("/c/tiny/submissions", params={"x": "1"}, follow_redirects=False)
    assert answer.headers["location"] == "/sign-in?next=/c/tiny/submissions%3Fx%3D1"
    page = ada.get(answer.headers["location"]).text
    assert 'name="next" value="/c/tiny/submissions?x=1"' in page


class TestFormsOfOthers:
    """Every form must have been made for the browser that sends it."""

    def test_none(self, board: Board) -> None:
        Browser(board).sign_up("Ada")
        assert Browser(board).client.post("/sign-in", data={"name": "Ada"}).status_code == 403

    def test_a_stranger_needs_the_cookie_too(self, board: Board) -> None:
        token = Browser(board).form_token("/sign-up")
        fields = {"name": "Ada", "email": "a@example.org", "password": PASSWORD, "form_token": token}
        assert Browser(board).client.post("/sign-up", data=fields).status_code == 403

    def test_of_another_session(self, board: Board) -> None:
        ada, eve = Browser(board).sign_up("Ada"), Browser(board).sign_up("Eve")
        answer = ada.client.post(
            "/account/tokens", data={"form_token": eve.form_token("/account"), "name": "x"}
        )
        assert answer.status_code == 403
        assert tokens.of(board, 1) == []

    def test_of_the_time_before_signing_in(self, board: Board) -> None:
        browser = Browser(board)
        before = browser.form_token("/sign-up")
        browser.sign_up("Ada")
        answer = browser.client.post("/account/tokens", data={"form_token": before, "name": "x"})
        assert answer.status_code == 403

    @pytest.mark.parametrize("token", ["", "0" * 64, "ü"])
    def test_wrong(self, board: Board, token: str) -> None:
        ada = Browser(board).sign_up("Ada")
        answer = ada.client.post("/sign-out", data={"form_token": token}, follow_redirects=False)
        assert answer.status_code == 403 and is_in(ada, "Ada")

    def test_every_form_that_changes_something_needs_one(self, board: Board) -> None:
        submission = entry(board, "Bob", 0.5).submission
        ada = enter(board, "Ada", admin=True)  # whom no page is hidden from
        routes = [route for route in routes_of(ada.client.app) if not route.include_in_schema]
        routes = [route for route in routes if "POST" in route.methods]
        assert len(routes) >= 12
        before = content_of(board)
        for route in routes:
            path = route.path.replace("{name}", "tiny").replace("{id}", submission)
            path = re.sub(r"{\w+}", "1", path)
            for kind in ({"data": {"x": "1"}}, {"files": {"file": b"x"}}):
                assert ada.client.post(path, **kind).status_code in (400, 403, 404), path
        assert content_of(board) == before


def test_too_many_attempts(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    ada.client.app.state.limits.sign_in_of_name.__init__(3, "attempts to sign in")
    ada.send("/sign-out", "/")
    token = ada.form_token("/sign-in")
    answers = [
        ada.client.post("/sign-in", data={"form_token": token, "name": name, "password": "wrong"})
        for name in ("Ada", "ada", " ADA", "Ada")
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 429]
    assert 0 < int(answers[3].headers["retry-after"]) <= 60
    assert "too many attempts to sign in" in answers[3].text.lower()


def test_attempts_of_one_address(board: Board) -> None:
    browser = Browser(board)
    browser.client.app.state.limits.sign_in_from_address.__init__(2, "attempts to sign in")
    token = browser.form_token("/sign-in")
    answers = [
        browser.client.post(
            "/sign-in", data={"form_token": token, "name": name, "password": "wrong"}
        ).status_code
        for name in "abc"
    ]
    assert answers == [400, 400, 429]


def test_a_limit_forgets_whom_it_can() -> None:
    limit = RateLimit(1)
    for who in range(25_000):
        limit.take(who, moment=who / 1000)
    assert len(limit._taken) <= 10_000


def test_closed_boards_take_only_their_first_administrator(tmp_path) -> None:
    board = make_board(tmp_path, open_sign_up=False)
    assert Browser(board).get("/sign-up").status_code == 403
    key = signing.first_admin_token(board)
    browser = Browser(board)
    fields = {"email": "a@example.org", "password": PASSWORD}
    assert (
        browser.send("/sign-up", f"/sign-up?key={key}", name="Eve", key="0" * 64, **fields).status_code == 403
    )
    assert browser.send("/sign-up", f"/sign-up?key={key}", name="Ada", key=key, **fields).status_code == 303
    assert "runs this board" in browser.get("/account").text
    assert signing.first_admin_token(board) is None
    again = Browser(board)
    answer = again.send("/sign-up", f"/sign-up?key={key}", name="Eve", key=key, **fields)
    assert answer.status_code == 403 and "this link was used already" in answer.text.lower()


def test_passwords_are_changed(board: Board) -> None:
    ada, elsewhere = Browser(board).sign_up("Ada"), Browser(board)
    elsewhere.send("/sign-in", name="Ada", password=PASSWORD)
    form = {"old_password": "wrong", "new_password": "short"}
    answer = ada.send("/account/password", "/account", **form)
    assert answer.status_code == 400
    assert "is wrong" in answer.text and "has 5 characters; expected 10 to 200" in answer.text
    old = ada.client.cookies["session"]
    form = {"old_password": PASSWORD, "new_password": "another battery staple"}
    assert ada.send("/account/password", "/account", **form).status_code == 303
    assert is_in(ada, "Ada") and not is_in(elsewhere, "Ada")
    assert ada.client.cookies["session"] != old
    assert elsewhere.send("/sign-in", name="Ada", password=PASSWORD).status_code == 400
    assert elsewhere.send("/sign-in", name="Ada", password="another battery staple").status_code == 303


def test_other_browsers_are_signed_out(board: Board) -> None:
    ada, elsewhere = Browser(board).sign_up("Ada"), Browser(board)
    elsewhere.send("/sign-in", name="Ada", password=PASSWORD)
    assert ada.get("/account").text.count("until <time") == 2
    ada.send("/account/sign-out-others", "/account")
    assert is_in(ada, "Ada") and not is_in(elsewhere, "Ada")


def test_tokens_are_shown_once_and_revoked(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    answer = ada.send("/account/tokens", "/account", name="laptop")
    token = re.search(r'value="(vip_[^"]+)"', answer.text)[1]
    assert tokens.person_of(board, token).name == "Ada"
    assert token not in ada.get("/account").text and "laptop" in ada.get("/account").text
    id_ = tokens.of(board, 1)[0].id
    eve = Browser(board).sign_up("Eve")
    assert eve.send("/account/tokens/revoke", "/account", token=id_).status_code == 404
    assert eve.send("/account/tokens/revoke", "/account", token="x").status_code == 404
    assert tokens.person_of(board, token)
    assert ada.send("/account/tokens/revoke", "/account", token=id_).status_code == 303
    assert tokens.person_of(board, token) is None
    answer = ada.send("/account/tokens", "/account", name="")
    assert answer.status_code == 400 and "expected 1 to 60 printable characters" in answer.text
