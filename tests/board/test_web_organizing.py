"""The pages of organizers and administrators: who gets them, what they show, what their forms do."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from board_helpers import CHALLENGE, add_person, labels, look, queue, the_phase
from pypdf import PdfWriter
from sqlalchemy import select, update
from web_helpers import Browser

from vipriors.board import scoring, service, signing
from vipriors.board.core import Board
from vipriors.board.models import (
    SCORED,
    Attachment,
    Challenge,
    Organizer,
    Person,
    Phase,
    Score,
    Submission,
    Team,
)
from vipriors.board.web.app import make_app

STRANGE = "<script>alert('x')</script>"


class Site:
    """A board with people who are signed in, each with a browser."""

    def __init__(self, board: Board):
        self.board = board
        self.app = make_app(board)
        self.browsers: dict[str, Browser] = {"nobody": Browser(board, self.app)}
        self.people: dict[str, Person] = {}
        for name in ("ada", "bob", "olga", "other", "root"):
            person = self.people[name] = add_person(board, name)
            browser = self.browsers[name] = Browser(board, self.app)
            browser.client.cookies.set("session", signing.start(board, person.id))
        with board.database.writing() as session, session.begin():
            session.execute(update(Person).where(Person.name == "root").values(admin=True))
        home = board.settings.home.parent
        (home / "second.yaml").write_text(CHALLENGE.replace("tiny", "second"))
        service.add_challenge(board, home / "second.yaml", home / "labels.csv")
        service.make_organizer(board, "tiny", "olga")
        service.make_organizer(board, "second", "other")

    def enter(self, name: str, value: float) -> str:
        entry = queue(self.board, self.people[name], 4, salt=int(100 * value))
        with self.board.database.writing() as session, session.begin():
            row = session.get_one(Submission, entry)
            row.state, row.due = SCORED, None
            for part in ("public", "private", "all"):
                session.add(Score(submission_id=entry, part=part, labels_version=1, value=value, record={}))
        return entry

    def get(self, who: str, path: str) -> Any:
        return self.browsers[who].get(path, follow_redirects=False)

    def send(self, who: str, action: str, page: str = "", **fields: Any) -> Any:
        return self.browsers[who].send(action, page, **fields)

    def upload(self, who: str, action: str, page: str, file: str, data: bytes, **fields: Any) -> Any:
        browser = self.browsers[who]
        fields = {"form_token": browser.form_token(page), **fields}
        files = {"file": (file, data, "application/octet-stream")}
        return browser.client.post(action, data=fields, files=files, follow_redirects=False)


@pytest.fixture
def site(board: Board) -> Site:
    return Site(board)


def pdf(pages: int = 3) -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(100, 100)
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def one(board: Board, what: Any, *where: Any) -> Any:
    with board.database.reading() as session:
        return session.scalars(select(what).where(*where)).one()


PAGES = ("", "/phases", "/pages", "/labels", "/teams", "/organizers", "/log")


def test_only_organizers_get_their_pages(site: Site) -> None:
    entry = site.enter("ada", 0.5)
    paths = [f"/c/tiny/run{page}" for page in PAGES] + [f"/s/{entry}/judge?act=hide"]
    for path in paths:
        assert site.get("nobody", path).status_code == 303, path
        for who in ("ada", "bob", "other"):
            assert site.get(who, path).status_code == 404, (who, path)
        for who in ("olga", "root"):
            answer = site.get(who, path)
            assert answer.status_code == 200, (who, path, answer.text[:500])
            assert "no-store" in answer.headers["cache-control"]
    for who in ("ada", "olga"):
        assert site.get(who, "/admin").status_code == 404
    assert site.get("root", "/admin").status_code == 200
    assert "/c/tiny/run" in site.get("olga", "/c/tiny").text
    assert "/run" not in site.get("ada", "/c/tiny").text
    assert 'href="/admin"' not in site.get("olga", "/").text


def test_only_organizers_can_send_their_forms(site: Site) -> None:
    entry = site.enter("ada", 0.5)
    phase = the_phase(site.board).id
    forms: list[tuple[str, dict[str, Any]]] = [
        ("/c/tiny/run/phases", {"phase": phase, "name": "x", "per_day": "1"}),
        ("/c/tiny/run/pages", {"title": "x"}),
        ("/c/tiny/run/pages", {"title": "x", "act": "preview"}),
        ("/c/tiny/run/settings", {"act": "hide"}),
        ("/c/tiny/run/teams", {"team": "1", "into": "2"}),
        ("/c/tiny/run/organizers", {"person": "ada", "act": "add"}),
        (f"/s/{entry}/judge", {"act": "disqualify", "reason": "x"}),
        (f"/s/{entry}/audit", {"run": "1", "outcome": "{}"}),
    ]
    with site.board.database.reading() as session:
        before = len(service.log(session))
    for action, fields in forms:
        for who in ("ada", "bob", "other"):
            answer = site.send(who, action, "/account", **fields)
            assert answer.status_code == 404, (who, action, answer.status_code)
        assert site.browsers["olga"].client.post(action, data=fields).status_code == 403
    for action in ("/c/tiny/run/labels",):
        for who in ("ada", "other"):
            assert site.upload(who, action, "/account", "l.csv", b"x").status_code == 404
    admin = {"/admin/people": {"person": "ada", "act": "disable"}}
    for action, fields in admin.items():
        for who in ("ada", "olga"):
            assert site.send(who, action, "/account", **fields).status_code == 404
    for action in ("/admin/challenges", "/admin/bundle"):
        for who in ("ada", "olga"):
            assert site.upload(who, action, "/account", "l.csv", b"x", yaml="x").status_code == 404
    with site.board.database.reading() as session:
        assert len(service.log(session)) == before


def test_submissions_are_shown_and_judged(site: Site) -> None:
    first, second = site.enter("ada", 0.75), site.enter("bob", 0.5)
    page = site.get("olga", "/c/tiny/run").text
    assert "75.00" in page and "50.00" in page and "nobody scores" in page
    assert site.get("olga", "/c/tiny/run?team=ada&state=scored").text.count("/judge?act=hide") == 1
    assert "There are no such submissions" in site.get("olga", "/c/tiny/run?state=failed").text
    assert "There are no such submissions" in site.get("olga", f"/c/tiny/run?before={first}").text
    refused = site.send("olga", f"/s/{first}/judge", f"/s/{first}/judge?act=disqualify", act="disqualify")
    assert refused.status_code == 400 and "expected what the team is told" in refused.text
    for act in ("disqualify", "reinstate", "hide", "show"):
        where = f"/s/{first}/judge?act={act}"
        done = site.send("olga", f"/s/{first}/judge", where, act=act, reason=STRANGE)
        assert (done.status_code, done.headers["location"]) == (303, f"/s/{first}")
        row = look(site.board, first)
        assert (row.disqualified is not None, row.hidden) == (act == "disqualify", act == "hide")
        if act == "disqualify":
            assert STRANGE not in site.get("ada", f"/s/{first}").text
            assert "Disqualified: &lt;script&gt;" in site.get("ada", f"/s/{first}").text
            assert site.get("olga", "/c/tiny/run?state=disqualified").text.count("/judge?act=hide") == 1
    assert site.get("olga", f"/s/{second}/judge?act=burn").status_code == 404
    refused = site.send("olga", f"/s/{second}/judge", f"/s/{second}/judge?act=qualify", act="qualify")
    assert "has no report; expected one of 3 pages or more" in refused.text
    log = site.get("olga", "/c/tiny/run/log").text
    assert log.count("&lt;script&gt;") >= 4 and STRANGE not in log
    assert "disqualify" in log and "make organizer" in log


def test_phases_are_edited(site: Site) -> None:
    phase = the_phase(site.board)
    fields = {"name": "main", "start": "2026-05-01 00:00", "end": "2026-07-01", "grace_minutes": "30"}
    fields |= {"per_day": "5", "total": "", "shows": "hidden", "final_part": "all", "reason": "a storm"}
    page = "/c/tiny/run/phases"
    done = site.send("olga", page, phase=phase.id, **fields)
    assert (done.status_code, done.headers["location"]) == (303, page)
    row = one(site.board, Phase, Phase.id == phase.id)
    assert (row.end, row.per_day, row.total) == (datetime(2026, 7, 1, tzinfo=UTC), 5, None)
    assert (row.shows, row.final_part, row.grace_minutes) == ("hidden", "all", 30)
    shown = site.get("olga", page).text
    assert 'value="2026-07-01 00:00"' in shown and 'value="5"' in shown
    wrong = site.send("olga", page, phase=phase.id, **{**fields, "end": "soon", "per_day": "-1"})
    assert wrong.status_code == 400
    assert "phase main, end" in wrong.text and "phase main, per_day" in wrong.text
    assert 'value="soon"' in wrong.text
    site.send("olga", page, phase="new", **{**fields, "name": "final", "end": ""})
    assert one(site.board, Phase, Phase.name == "final").end is None
    other = one(site.board, Phase, Phase.challenge_id != phase.challenge_id)
    for id_ in (other.id, "", "x", 10**30):
        assert site.send("olga", page, phase=id_, **fields).status_code == 404


def test_pages_are_edited_with_a_preview(site: Site) -> None:
    page = "/c/tiny/run/pages"
    texts = {"title": "New title", "description": f"**bold** {STRANGE}", "rules": "- fair", "data": ""}
    preview = site.send("olga", page, act="preview", **texts)
    assert preview.status_code == 200 and "<strong>bold</strong>" in preview.text
    assert STRANGE not in preview.text
    assert one(site.board, Challenge, Challenge.name == "tiny").title == "A tiny challenge"
    assert site.send("olga", page, act="save", **texts).status_code == 303
    row = one(site.board, Challenge, Challenge.name == "tiny")
    assert (row.title, row.rules, row.description) == ("New title", "- fair", texts["description"])
    assert STRANGE not in site.get("nobody", "/c/tiny").text
    wrong = site.send("olga", page, act="save", **{**texts, "title": " "})
    assert wrong.status_code == 400 and "expected one printable line" in wrong.text
    settings = "/c/tiny/run/settings"
    site.send("olga", settings, page, act="baseline", baseline_name="SVM", baseline_score="0.25")
    site.send("olga", settings, page, act="hide")
    row = one(site.board, Challenge, Challenge.name == "tiny")
    assert (row.baseline_name, row.baseline_score, row.hidden) == ("SVM", 0.25, True)
    assert site.get("nobody", "/c/tiny").status_code == 404
    wrong = site.send("olga", settings, page, act="baseline", baseline_name="SVM", baseline_score="x")
    assert wrong.status_code == 400 and "expected a number such as 0.81" in wrong.text
    site.send("olga", settings, page, act="baseline", baseline_name="", baseline_score="")
    assert one(site.board, Challenge, Challenge.name == "tiny").baseline_name is None


def test_labels_are_corrected(site: Site) -> None:
    site.enter("ada", 0.5)
    page = "/c/tiny/run/labels"
    done = site.upload("olga", page, page, "../fixed.csv", labels(1).encode(), reason="shifted")
    assert (done.status_code, done.headers["location"]) == (303, "/c/tiny/run")
    row = one(site.board, Challenge, Challenge.name == "tiny")
    assert (row.labels_version, row.shown_version, row.labels_name) == (2, 1, "fixed.csv")
    with site.board.files.open(row.labels_key) as file:
        assert file.read() == labels(1).encode()
    assert "1 to be scored anew" in site.get("olga", "/c/tiny/run").text
    wrong = site.upload("olga", page, page, "l.csv", b"Image IDs,Labels\na,x\n")
    assert wrong.status_code == 400 and "<td>l.csv, row 2</td><td>&#39;x&#39; is no class" in wrong.text
    plain = site.upload("olga", page, page, "", b"", reason="again")
    assert plain.status_code == 303
    assert one(site.board, Challenge, Challenge.name == "tiny").labels_version == 3


def test_teams_and_organizers(site: Site) -> None:
    site.enter("ada", 0.5)
    site.enter("bob", 0.6)
    ada, bob = (one(site.board, Team, Team.name == name).id for name in ("ada", "bob"))
    page = "/c/tiny/run/teams"
    for team, into in (("999", bob), (ada, "x"), (ada, ada)):
        assert site.send("olga", page, team=team, into=into).status_code == 400
    assert site.send("olga", page, team=ada, into=bob, reason="one lab").status_code == 303
    assert one(site.board, Team, Team.id == ada).merged_into_id == bob
    assert "formerly also ada" in site.get("olga", page).text
    page = "/c/tiny/run/organizers"
    assert site.send("olga", page, person="ada", act="add").status_code == 303
    assert one(site.board, Organizer, Organizer.person_id == site.people["ada"].id)
    assert site.get("ada", "/c/tiny/run").status_code == 200
    assert site.send("ada", page, person="olga", act="remove").status_code == 303
    assert site.get("olga", "/c/tiny/run").status_code == 404
    wrong = site.send("ada", page, person=STRANGE, act="add")
    assert wrong.status_code == 400 and "there is nobody called" in wrong.text and STRANGE not in wrong.text


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """What the process that looks into attachments says, without the time that it takes."""

    def say(scores: dict[str, Any]) -> None:
        monkeypatch.setattr(scoring, "run", lambda *_, **__: scoring.Outcome([], scores))

    return say


def test_a_report_is_attached_and_downloaded(site: Site) -> None:
    entry = site.enter("ada", 0.5)
    page = f"/s/{entry}/attachments"
    assert page in site.get("ada", f"/s/{entry}").text
    done = site.upload("ada", page, page, f"{STRANGE}.pdf", pdf(3), kind="report")
    assert (done.status_code, done.headers["location"]) == (303, page)
    shown = site.get("ada", page).text
    assert "3 pages" in shown and "<script>alert" not in shown
    kept = one(site.board, Attachment)
    for who in ("ada", "olga", "root"):
        answer = site.get(who, f"{page}/{kept.id}")
        assert answer.content == pdf(3)
        assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
        assert answer.headers["content-type"] == "application/octet-stream"
    for who in ("bob", "other"):
        assert site.get(who, page).status_code == 404
        assert site.get(who, f"{page}/{kept.id}").status_code == 404
        assert site.upload(who, page, "/account", "r.pdf", pdf(), kind="report").status_code == 404
    other = site.enter("bob", 0.4)
    assert site.get("bob", f"/s/{other}/attachments/{kept.id}").status_code == 404
    assert site.get("ada", f"{page}/{10**30}").status_code == 404
    wrong = site.upload("ada", page, page, "r.pdf", b"hello", kind="report")
    assert wrong.status_code == 400 and "is no PDF" in wrong.text
    assert "expected report or run" in site.upload("ada", page, page, "r.pdf", b"x", kind="y").text
    assert "none was chosen" in site.upload("ada", page, page, "", b"", kind="run").text
    done = site.send("olga", f"/s/{entry}/judge", f"/s/{entry}/judge?act=qualify", act="qualify")
    assert done.status_code == 303 and look(site.board, entry).qualified
    assert "qualified" in site.get("nobody", "/c/tiny/leaderboard").text


def test_an_audit_is_recorded(site: Site, examined: Callable[[dict[str, Any]], None]) -> None:
    entry = site.enter("ada", 0.5)
    page = f"/s/{entry}/attachments"
    tiny = {"name": "tiny", "task": "classification", "source": {"world": None}}
    tiny |= {"input": {"size": [8, 8]}, "subset": {"list": None}}
    recipe = {"challenge": tiny, "images_per_class": None, "subset_seed": 0}
    examined({"run": {"recipe": recipe, "predictions": "p.csv", "same_predictions": True}})
    assert site.upload("ada", page, page, "run.zip", b"PK", kind="run").status_code == 303
    assert "not audited yet" in site.get("ada", page).text
    assert "Record an audit" not in site.get("ada", page).text
    run = one(site.board, Attachment).id
    outcome = {"verdict": "same", "checks": {}, "scores": {}, "foreign_reads": [], "passed": True}
    for wrong, said in (("{", "is not JSON"), ("{}", "Field required")):
        refused = site.send("olga", f"/s/{entry}/audit", page, run=run, outcome=wrong)
        assert refused.status_code == 400 and said in refused.text
    assert site.send("olga", f"/s/{entry}/audit", page, run="77", outcome="{}").status_code == 404
    done = site.send("olga", f"/s/{entry}/audit", page, run=run, outcome=json.dumps(outcome))
    assert done.status_code == 303
    assert "audit passed: same" in site.get("ada", page).text
    assert "<td>passed</td>" in site.get("olga", "/c/tiny/run").text


def test_people_are_administered(site: Site) -> None:
    page = site.get("root", "/admin").text
    assert "ada@example.org" in page
    assert site.send("root", "/admin/people", "/admin", person="ada", act="disable").status_code == 303
    assert site.get("ada", "/account").status_code == 303
    site.send("root", "/admin/people", "/admin", person="ada", act="enable")
    assert site.get("ada", "/account").status_code == 200
    site.send("root", "/admin/people", "/admin", person="bob", act="make-admin")
    assert site.get("bob", "/admin").status_code == 200
    assert site.send("root", "/admin/people", "/admin", person="root", act="disable").status_code == 400
    assert site.send("root", "/admin/people", "/admin", person="zoe", act="disable").status_code == 404
    assert site.send("root", "/admin/people", "/admin", person="ada", act="burn").status_code == 404


def test_a_challenge_is_added(site: Site) -> None:
    given = {"yaml": CHALLENGE.replace("tiny", "third"), "name": "dev", "end": "2031-01-01", "per_day": "3"}
    given |= {"public_share": "0.25", "hidden": "yes"}
    done = site.upload("root", "/admin/challenges", "/admin", "labels.csv", labels().encode(), **given)
    assert (done.status_code, done.headers.get("location")) == (303, "/c/third/run/pages"), done.text
    row = one(site.board, Challenge, Challenge.name == "third")
    assert (row.hidden, row.public_share) == (True, 0.25)
    phase = one(site.board, Phase, Phase.challenge_id == row.id)
    assert (phase.name, phase.per_day, phase.end) == ("dev", 3, datetime(2031, 1, 1, tzinfo=UTC))
    assert site.get("nobody", "/c/third").status_code == 404
    assert site.get("root", "/c/third/run/pages").status_code == 200
    given["yaml"] = "title: [" + STRANGE
    wrong = site.upload("root", "/admin/challenges", "/admin", "labels.csv", labels().encode(), **given)
    assert wrong.status_code == 400 and "is not YAML" in wrong.text and STRANGE not in wrong.text
    assert "title: [&lt;script&gt;" in wrong.text


def test_a_bundle_is_shown_and_then_made_a_challenge(site: Site) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("terms.md", f"Be fair. {STRANGE}")
        archive.writestr(
            "competition.yaml",
            "{version: 2, title: Few images, terms: terms.md, image: a.png, "
            "phases: [{name: One, start: 2026-01-01, max_submissions_per_day: 5}]}",
        )
    done = site.upload("root", "/admin/bundle", "/admin", "bundle.zip", stream.getvalue())
    page = done.headers["location"]
    assert (done.status_code, page.startswith("/admin/bundle/")) == (303, True)
    shown = site.get("root", page).text
    assert "The phase One" in shown and "image: the board shows no logo" in shown
    assert site.get("olga", page).status_code == 404
    assert site.get("root", page[:-1] + ("0" if page[-1] != "0" else "1")).status_code == 404
    fields = {"task": "classification", "name": "", "classes": "a, b, c, d"}
    wrong = site.upload("root", page, page, "labels.csv", b"x", **fields)
    assert wrong.status_code == 400 and "Few images" in wrong.text
    done = site.upload("root", page, page, "labels.csv", labels().encode(), **fields)
    assert (done.status_code, done.headers.get("location")) == (303, "/c/few-images/run/pages"), done.text
    row = one(site.board, Challenge, Challenge.name == "few-images")
    assert row.outside["format"] == "Codabench 2"
    edit = site.get("root", "/c/few-images/run/pages").text
    assert "From Codabench 2" in edit and "image: the board shows no logo" in edit and STRANGE not in edit
    bad = site.upload("root", "/admin/bundle", "/admin", "b.zip", b"PK nothing")
    assert bad.status_code == 400 and "not a zip archive" in bad.text


def test_no_page_of_organizers_shows_labels(site: Site, tmp_path: Path) -> None:
    entry = site.enter("ada", 0.5)
    row = one(site.board, Challenge, Challenge.name == "tiny")
    paths = [f"/c/tiny/run{page}" for page in PAGES] + [f"/s/{entry}", "/admin"]
    for path in paths:
        text = site.get("root", path).text
        for secret in ("img_3.png", row.split_seed, row.labels_key, "password_hash"):
            assert secret not in text, (path, secret)
    digest = hashlib.sha256(labels().encode()).hexdigest()
    page = site.get("root", "/c/tiny/run/labels").text
    assert digest[:16] in page and digest not in page
    service.rescore(site.board, "tiny")
    for path in ("/c/tiny/run/log", "/admin"):
        text = site.get("root", path).text
        assert row.labels_key not in text and "labels_version" in text
