"""The pages of challenges, leaderboards, submissions and teams."""

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from board_helpers import (
    labels,
    make_board,
    predictions,
    queue,
    send,
    the_phase,
)
from sqlalchemy import select, update
from web_helpers import KIND, Browser, enter, entry, finish, form, upload, words

from vipriors.board import jobs, service
from vipriors.board.core import Board
from vipriors.board.models import (
    Attachment,
    Challenge,
    Invitation,
    Person,
    Phase,
    Score,
    Submission,
    Team,
    now,
)


def set_phase(board: Board, **values: Any) -> None:
    with board.database.writing() as session, session.begin():
        session.execute(update(Phase).values(**values))


class TestOverview:
    def test_the_first_page_lists_challenges_with_their_leader(self, board: Board) -> None:
        assert "Main phase is running, with no end." in words(Browser(board).get("/"))
        entry(board, "Ada", 0.75)
        entry(board, "Bob", 0.5, 1)
        assert "Entries 2 Leader 75.00 Ada" in words(Browser(board).get("/"))

    def test_a_challenge_says_what_one_needs(self, board: Board) -> None:
        with board.database.writing() as session, session.begin():
            session.execute(update(Challenge).values(baseline_name="floor", baseline_score=0.25))
        set_phase(board, per_day=3, total=7)
        said = words(Browser(board).get("/c/tiny"))
        assert "Only the given training and validation images may be learned from" in said
        assert "vipriors data prepare tiny.yaml --source DIR" in said
        assert "vipriors check tiny.yaml FILE" in said and "Form 2: classes and probabilities" in said
        assert "The baseline, floor, scores 25.00." in said
        assert "3 a day, 7 in all for a team" in said and "left today" not in said
        ada = enter(board, "Ada")
        assert "3 of 3 left today, 7 of 7 left in all." in words(ada.get("/c/tiny"))
        queue(board, ada.person, 40)
        assert "2 of 3 left today, 6 of 7 left in all." in words(ada.get("/c/tiny"))

    def test_when_more_submissions_come(self, board: Board) -> None:
        set_phase(board, per_day=1)
        ada = enter(board, "Ada")
        queue(board, ada.person, 40)
        midnight = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d} 00:00 UTC"
        assert f"0 of 1 left today; more from {midnight} on." in words(ada.get("/c/tiny"))

    def test_moments_are_machine_readable(self, board: Board) -> None:
        set_phase(board, end=datetime(2031, 5, 6, 7, 8, tzinfo=UTC))
        page = Browser(board).get("/c/tiny").text
        assert '<time datetime="2031-05-06T07:08:00+00:00">2031-05-06 07:08 UTC</time>' in page

    def test_the_file_of_the_challenge_tells_no_path(self, board: Board) -> None:
        answer = Browser(board).get("/c/tiny/challenge.yaml")
        assert "nowhere" not in answer.text and "classes:" in answer.text
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''tiny.yaml"

    @pytest.mark.parametrize("path", ["", "/leaderboard", "/challenge.yaml", "/leaderboard/embed", "/submit"])
    def test_hidden_challenges_are_not_there(self, board: Board, path: str) -> None:
        with board.database.writing() as session, session.begin():
            session.execute(update(Challenge).values(hidden=True))
        ada, admin = enter(board, "Ada"), enter(board, "Root", admin=True)
        assert ada.get(f"/c/tiny{path}").status_code == 404
        assert "tiny" not in ada.get("/").text.lower()
        assert admin.get(f"/c/tiny{path}").status_code == 200
        assert "A tiny challenge" in admin.get("/").text

    def test_an_unknown_challenge(self, board: Board) -> None:
        assert Browser(board).get("/c/nothing").status_code == 404

    def test_embedded_challenges_need_no_source(self) -> None:
        from vipriors.board.web.pages.challenge import preparing
        from vipriors.challenges import find

        file = find("digits")
        found = preparing(Challenge(name="digits", yaml=file.read_text("utf-8")))
        assert (found.command, found.file, found.world) == ("vipriors data prepare digits", False, True)


class TestLeaderboard:
    def test_shows_rank_score_interval_and_declaration(self, board: Board) -> None:
        said = {"kind": "ensemble", "parameters": 11_234_567, "cost": "3 h on one V100"}
        entry(board, "Ada", 0.75, declaration=said, qualified=True)
        entry(board, "Bob", 0.72, 1, late=True)
        entry(board, "Cid", 0.5, 2)
        rows = re.findall(r"<tr.*?</tr>", Browser(board).get("/c/tiny/leaderboard").text, flags=re.S)
        ada, bob, cid = (re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row)) for row in rows[1:])
        today = f"{now():%Y-%m-%d}"
        assert f"1 new Ada qualified 75.00 73.0 – 77.0 {today} ensemble 11.2 M 3 h on one V100" in ada
        assert "2 new Bob near the leader late 72.00 70.0 – 74.0" in bob
        assert "3 new Cid 50.00" in cid and "near" not in cid
        assert all('class="bar"' in row for row in rows[1:])

    def test_audited_runs_have_a_badge(self, board: Board) -> None:
        audits = {"Ada": [True], "Bob": [True, False], "Cid": [None], "Dan": []}
        for salt, (name, outcomes) in enumerate(audits.items()):
            made = entry(board, name, 0.9 - salt / 10, salt)
            with board.database.writing() as session, session.begin():
                for number, passed in enumerate(outcomes):
                    audit = None if passed is None else {"passed": passed, "at": f"2031-01-0{number + 1}"}
                    about = {"kind": "run", "file_key": "x", "file_name": "run.zip", "sha256": "", "size": 1}
                    session.add(Attachment(submission_id=made.submission, audit=audit, **about))
        said = words(Browser(board).get("/c/tiny/leaderboard"))
        assert said.count("audited") == 1 and "Ada audited" in said

    def test_ties_share_a_rank_and_undefined_scores_have_none(self, board: Board) -> None:
        for salt, name in enumerate(("Ada", "Bob")):
            entry(board, name, 0.5, salt)
        entry(board, "Cid", 0.4, 3)
        with board.database.writing() as session, session.begin():
            team = select(Submission.id).join(Team).where(Team.name == "Cid").scalar_subquery()
            session.execute(update(Score).where(Score.submission_id == team).values(value=None))
        said = words(Browser(board).get("/c/tiny/leaderboard"))
        assert re.search(r"1 new Ada .*1 new Bob .*– Cid not defined", said)

    def test_movement(self, board: Board) -> None:
        entry(board, "Ada", 0.5, received=now() - timedelta(days=3))
        entry(board, "Bob", 0.4, 1, received=now() - timedelta(days=2))
        bob = board.database.reading().scalar(select(Person).where(Person.name == "Bob"))
        finish(board, queue(board, bob, 40, 2), 0.6)
        said = words(Browser(board).get("/c/tiny/leaderboard"))
        assert "1 ▲ 1 up since yesterday Bob" in said and "2 ▼ 1 down since yesterday Ada" in said

    @pytest.mark.parametrize(
        ("sort", "teams"),
        [
            ("rank", "ABC"),
            ("-rank", "CBA"),
            ("team", "ABC"),
            ("-team", "CBA"),
            ("score", "ABC"),
            ("-score", "CBA"),
            ("parameters", "CAB"),
            ("-parameters", "ACB"),
            ("date", "CBA"),
            ("nonsense", "ABC"),
        ],
    )
    def test_is_sorted_by_links(self, board: Board, sort: str, teams: str) -> None:
        parameters = {"A": 200, "B": None, "C": 100}
        for number, (team, count) in enumerate(parameters.items()):
            received = now() - timedelta(hours=9 - number)
            declaration = {"kind": "single", "parameters": count}
            entry(board, team, 0.9 - number / 10, number, declaration=declaration, received=received)
        page = Browser(board).get("/c/tiny/leaderboard", params={"sort": sort}).text
        assert "".join(re.findall(r'<span class="who">(.)</span>', page)) == teams
        if sort == "score":
            assert (
                'class="num" aria-sort="descending"><a href="/c/tiny/leaderboard?phase=main&amp;sort=-score">'
                in page
            )

    def test_the_baseline_stands_between(self, board: Board) -> None:
        with board.database.writing() as session, session.begin():
            session.execute(update(Challenge).values(baseline_name="floor", baseline_score=0.6))
        assert "floor baseline 60.00" in words(Browser(board).get("/c/tiny/leaderboard"))
        entry(board, "Ada", 0.7)
        entry(board, "Bob", 0.5, 1)
        said = words(Browser(board).get("/c/tiny/leaderboard"))
        assert said.index("Ada") < said.index("floor baseline 60.00") < said.index("Bob")
        assert "floor" not in words(Browser(board).get("/c/tiny/leaderboard?sort=team"))

    def test_charts(self, board: Board) -> None:
        for number, name in enumerate(("Ada", "Bob")):
            declaration = {"kind": "single", "parameters": 10 ** (5 + number)}
            entry(board, name, 0.5 + number / 10, number, declaration=declaration)
        page = Browser(board).get("/c/tiny/leaderboard").text
        assert page.count('<svg class="chart"') == 2
        assert re.search(r"<desc id=\"best-desc\">\S+ 50.00 %; \S+ 60.00 %\.</desc>", page)
        assert "Bob 1e+06 parameters, 60.00 %; Ada 1e+05 parameters, 50.00 %." in page

    def test_hidden_scores_are_nowhere(self, tmp_path: Any) -> None:
        board = make_board(tmp_path, [{"shows": "hidden"}])
        ada = entry(board, "Ada", 0.71875)
        pages = ["/", "/c/tiny/leaderboard", "/c/tiny/leaderboard/embed", "/c/tiny/submissions"]
        for path in [*pages, f"/s/{ada.submission}", f"/s/{ada.submission}/status"]:
            text = ada.get(path).text
            assert "71.8" not in text and "71.9" not in text and "0.71" not in text, path
        assert "Scores of this phase are not shown while it runs." in ada.get(f"/s/{ada.submission}").text

    def test_phases_have_tabs_and_their_own_boards(self, tmp_path: Any) -> None:
        moment = now()
        plans = [
            {"name": "dev & more", "start": moment - timedelta(days=9), "end": moment - timedelta(days=1)},
            {"name": "final", "start": moment - timedelta(days=1)},
        ]
        board = make_board(tmp_path, plans)
        entry(board, "Ada", 0.5)  # the first phase, which is over
        page = Browser(board).get("/c/tiny/leaderboard")
        assert "Nobody has been ranked yet." in page.text
        assert 'href="/c/tiny/leaderboard?phase=dev%20%26%20more"' in page.text
        said = words(Browser(board).get("/c/tiny/leaderboard?phase=dev%20%26%20more"))
        assert "private part of the test" in said and "This is the final ranking." in said and "Ada" in said
        assert Browser(board).get("/c/tiny/leaderboard?phase=nothing").status_code == 404

    def test_organizers_may_look_at_all_parts_and_others_not(self, board: Board) -> None:
        entry(board, "Ada", 0.5)
        with board.database.writing() as session, session.begin():
            session.execute(update(Score).where(Score.part == "private").values(value=0.12344))
        admin = enter(board, "Root", admin=True)
        assert "12.34" in admin.get("/c/tiny/leaderboard?part=private").text
        assert "12.34" not in enter(board, "Bob").get("/c/tiny/leaderboard?part=private").text

    def test_the_frame(self, board: Board) -> None:
        entry(board, "Ada", 0.5)
        answer = Browser(board).get("/c/tiny/leaderboard/embed")
        assert "frame-ancestors *" in answer.headers["content-security-policy"]
        assert "Ada" in answer.text and "<form" not in answer.text and "<script" not in answer.text
        assert "frame-ancestors 'none'" in Browser(board).get("/c/tiny").headers["content-security-policy"]

    def test_no_phase(self, board: Board) -> None:
        with board.database.writing() as session, session.begin():
            session.delete(session.get_one(Phase, the_phase(board).id))
        ada = enter(board, "Ada")
        for path in ("/", "/c/tiny", "/c/tiny/leaderboard", "/c/tiny/leaderboard/embed", "/c/tiny/submit"):
            assert ada.get(path).status_code == 200, path


@pytest.mark.usefixtures("checked_here")
class TestSubmitting:
    def test_what_is_right_is_taken_and_waits(self, board: Board) -> None:
        ada = enter(board, "Ada")
        fields = {"kind": "ensemble", "parameters": "11 200 000", "cost": "1 h", "data": "", "card": "# Ours"}
        answer = upload(ada, predictions(30), **fields)
        assert answer.status_code == 303, words(answer)
        said = words(ada.get(answer.headers["location"]))
        assert "Next in the queue" in said and "11.2 M" in said and "ensemble" in said and "Ours" in said
        id_ = answer.headers["location"].removeprefix("/s/")
        assert ada.get(f"/s/{id_}/status").json() == {"state": "queued", "place": 1}
        finish(board, id_, 0.75)
        assert ada.get(f"/s/{id_}/status").json() == {"state": "scored", "place": None}
        said = words(ada.get(f"/s/{id_}"))
        assert "75.00 % top-1 accuracy 95 % interval 73.0 – 77.0, public part of the test" in said
        assert "In the test recall, %" in said and "a 10 75.00" in said
        assert ada.get(f"/s/{id_}").text.count('class="part" width="75.0"') == 4
        assert "Private part" not in said
        assert ada.get(f"/s/{id_}/file").content == predictions(30)
        again = ada.get("/c/tiny/submit").text  # what was declared last is there
        assert 'value="11200000"' in again and 'value="ensemble" checked' in again and "# Ours" in again

    def test_what_is_wrong_is_told_and_kept(self, board: Board) -> None:
        ada = enter(board, "Ada")
        data = predictions(30).replace(b"img_3.png,3", b"img_3.png,9").replace(b"img_5.png,1\n", b"")
        answer = upload(ada, data, cost="two weeks", card="<i>ours</i>")
        said = words(answer)
        assert answer.status_code == 400
        assert "This was not taken, and has used no quota." in said
        assert "predictions.csv, row 5 class '9' is out of range; expected 0 to 3" in said
        assert "predictions.csv no row for 'img_5.png'; expected one per image" in said
        assert 'value="two weeks"' in answer.text and "&lt;i&gt;ours&lt;/i&gt;" in answer.text
        assert "Nothing has been sent yet." in words(ada.get("/c/tiny/submissions"))

    def test_a_wrong_declaration(self, board: Board) -> None:
        answer = upload(enter(board, "Ada"), predictions(30), parameters="many", card="x" * 20_001)
        assert answer.status_code == 400
        assert 'id="parameters-help"><span class="fault">Input should be a valid integer' in answer.text
        assert "at most 20000 characters" in words(answer)

    def test_a_zip(self, board: Board) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("folder/predictions.csv", predictions(30))
            archive.writestr("__MACOSX/._x", b"")
        assert upload(enter(board, "Ada"), packed.getvalue(), "mine.zip").status_code == 303

    def test_the_same_again(self, board: Board) -> None:
        ada = enter(board, "Ada")
        first, second = (upload(ada, predictions(30)).headers["location"] for _ in range(2))
        assert second == f"{first}?again=1"
        assert "This file was sent before." in words(ada.get(second))
        assert words(ada.get("/c/tiny/submissions")).count("predictions.csv") == 1

    def test_no_file(self, board: Board) -> None:
        ada = enter(board, "Ada")
        token = ada.form_token("/c/tiny/submit")
        for files, said in (
            ({"file": ("", b"")}, "none was chosen"),
            ({"other": ("a", b"b")}, "is a file; expected the name 'file'"),
        ):
            answer = ada.client.post("/c/tiny/submit", data={"form_token": token}, files=files)
            assert answer.status_code == 400 and said in words(answer)
        answer = upload(ada, b"")
        assert answer.status_code == 400 and "is empty; expected a file" in words(answer)

    def test_too_large(self, tmp_path: Any) -> None:
        board = make_board(tmp_path, upload_bytes=1000)
        ada = enter(board, "Ada")
        most = "is larger than 1,000 bytes, the most that is taken"
        for size in (1001, 2**19):
            answer = upload(ada, b"x" * size)
            assert answer.status_code == 400 and most in words(answer)
        assert "at most 1000 bytes" in words(ada.get("/c/tiny/submit"))

    def test_a_length_that_is_not_told(self, tmp_path: Any) -> None:
        board = make_board(tmp_path, upload_bytes=1000)
        ada = enter(board, "Ada")
        head = form(ada.form_token("/c/tiny/submit"))
        taken = 0

        def body() -> Any:
            nonlocal taken
            yield head
            for _ in range(100):
                taken += 1
                yield b"x" * 1000

        answer = ada.client.post("/c/tiny/submit", content=body(), headers={"content-type": KIND})
        assert answer.status_code == 400 and "is larger than 1,000 bytes" in words(answer)

    def test_half_an_upload(self, board: Board) -> None:
        ada = enter(board, "Ada")
        body = form(ada.form_token("/c/tiny/submit")) + predictions(30)[:100]
        answer = ada.client.post("/c/tiny/submit", content=body, headers={"content-type": KIND})
        assert answer.status_code == 400 and "ends before its last boundary; send it again" in words(answer)
        assert "Nothing has been sent yet." in words(ada.get("/c/tiny/submissions"))

    @pytest.mark.parametrize(
        ("kind", "body", "said"),
        [
            ("text/plain", b"x", "expected multipart/form-data"),
            ("multipart/form-data", b"x", "expected multipart/form-data"),
            ("multipart/form-data; boundary=" + "b" * 300, b"x", "cannot be read"),
            ("multipart/form-data; boundary=b", b"garbage", "cannot be read"),
            ("multipart/form-data; boundary=b", b"", "ends before its last boundary"),
        ],
    )
    def test_what_is_no_form(self, board: Board, kind: str, body: bytes, said: str) -> None:
        answer = enter(board, "Ada").client.post(
            "/c/tiny/submit", content=body, headers={"content-type": kind}
        )
        assert answer.status_code == 400 and said in words(answer)

    def test_the_token_is_looked_at_before_the_file(self, board: Board) -> None:
        ada = enter(board, "Ada")
        for token in ("", "0" * 64):
            body = form(token) + predictions(30) + b"\r\n--b--\r\n"
            answer = ada.client.post("/c/tiny/submit", content=body, headers={"content-type": KIND})
            assert answer.status_code == 403
        late = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n' + form("x")
        answer = ada.client.post("/c/tiny/submit", content=late, headers={"content-type": KIND})
        assert answer.status_code == 403
        assert "Nothing has been sent yet." in words(ada.get("/c/tiny/submissions"))

    def test_a_field_after_the_file(self, board: Board) -> None:
        ada = enter(board, "Ada")
        body = form(ada.form_token("/c/tiny/submit")) + predictions(30) + b"\r\n" + form("x")
        answer = ada.client.post("/c/tiny/submit", content=body, headers={"content-type": KIND})
        assert answer.status_code == 400 and "something follows the file; expected the file last" in words(
            answer
        )

    def test_too_many_fields(self, board: Board) -> None:
        part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
        for body, said in (
            (part * 200, "has more than 100 fields"),
            (part[:-2] + b"x" * (2**18 + 1) + b"\r\n--b--", "its fields are larger than 262,144 bytes"),
        ):
            answer = enter(board, said).client.post(
                "/c/tiny/submit", content=body, headers={"content-type": KIND}
            )
            assert answer.status_code == 400 and said in words(answer)

    def test_after_the_end(self, board: Board) -> None:
        ada = enter(board, "Ada")
        token = ada.form_token("/c/tiny/submit")
        set_phase(board, end=now() - timedelta(minutes=1))
        files = {"file": ("x.csv", predictions(30))}
        answer = ada.client.post("/c/tiny/submit", data={"form_token": token}, files=files)
        assert answer.status_code == 400
        assert (
            "phase main ended at" in words(answer)
            and "<form" not in re.sub("sign-out", "", answer.text).split("<main")[1]
        )

    def test_beyond_the_quota(self, board: Board) -> None:
        set_phase(board, total=1)
        ada = enter(board, "Ada")
        assert upload(ada, predictions(30)).status_code == 303
        answer = upload(ada, predictions(31))
        assert answer.status_code == 400
        assert "the team has used all 1 submissions of the phase" in words(answer)

    def test_too_often(self, tmp_path: Any) -> None:
        board = make_board(tmp_path, uploads_a_minute=1)
        ada = enter(board, "Ada")
        assert upload(ada, b"x").status_code == 400
        answer = upload(ada, b"x")
        assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 60

    def test_a_stranger(self, board: Board) -> None:
        answer = Browser(board).client.post("/c/tiny/submit", files={"file": b"x"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


class TestSubmission:
    def test_cancel(self, board: Board) -> None:
        ada = enter(board, "Ada")
        id_ = queue(board, ada.person, 40)
        assert ada.send(f"/s/{id_}/cancel", f"/s/{id_}").status_code == 303
        assert "Cancelled. It uses no quota." in words(ada.get(f"/s/{id_}"))
        answer = ada.send(f"/s/{id_}/cancel", "/account")
        assert answer.status_code == 400 and "is cancelled already" in words(answer)

    def test_choose_and_back(self, board: Board) -> None:
        ada = entry(board, "Ada", 0.9)
        worse = queue(board, ada.person, 40, 1)
        assert ada.send(f"/s/{worse}/choose", f"/s/{worse}", chosen="yes").status_code == 400
        finish(board, worse, 0.5)
        assert "90.00" in ada.get("/c/tiny/leaderboard").text
        ada.send(f"/s/{worse}/choose", f"/s/{worse}", chosen="yes")
        said = words(ada.get("/c/tiny/leaderboard"))
        assert "50.00" in said and "90.00" not in said
        assert re.search(r"scored stands 50.00 .*scored 90.00", words(ada.get("/c/tiny/submissions")))
        ada.send(f"/s/{ada.submission}/choose", f"/s/{worse}", chosen="yes")
        assert "90.00" in ada.get("/c/tiny/leaderboard").text
        ada.send(f"/s/{worse}/choose", f"/s/{worse}", chosen="yes")
        ada.send(f"/s/{worse}/choose", f"/s/{worse}", chosen="no")
        assert "90.00" in ada.get("/c/tiny/leaderboard").text
        assert re.search(r"scored 50.00 .*scored stands 90.00", words(ada.get("/c/tiny/submissions")))

    def test_what_was_taken_off_cannot_be_chosen(self, board: Board) -> None:
        ada = entry(board, "Ada", 0.9, disqualified="copied <b>labels</b>")
        assert "Disqualified: copied <b>labels</b>" in words(ada.get(f"/s/{ada.submission}"))
        answer = ada.send(f"/s/{ada.submission}/choose", "/account", chosen="yes")
        assert answer.status_code == 400 and "was taken off the leaderboard" in words(answer)

    def test_others_never_know(self, board: Board) -> None:
        ada, eve = entry(board, "Ada", 0.9), entry(board, "Eve", 0.5, 1)
        for path in ("", "/status", "/file"):
            assert eve.get(f"/s/{ada.submission}{path}").status_code == 404
            assert eve.get(f"/s/{'0' * 26}{path}").status_code == 404
        for path in ("cancel", "choose"):
            assert eve.send(f"/s/{ada.submission}/{path}", "/account", chosen="yes").status_code == 404
        stranger = Browser(board).get(f"/s/{ada.submission}/status", follow_redirects=False)
        assert stranger.headers["location"].startswith("/sign-in?next=/s/")

    def test_what_failed(self, board: Board) -> None:
        ada = entry(board, "Ada", 0.5, state="failed", message="x.csv, row 3: <b>no</b>")
        said = words(ada.get(f"/s/{ada.submission}"))
        assert "It could not be scored. It uses no quota. x.csv, row 3: <b>no</b>" in said
        ada = entry(board, "Bob", 0.5, 1, state="error", message=jobs.SYSTEM_ERROR)
        assert jobs.SYSTEM_ERROR in words(ada.get(f"/s/{ada.submission}"))

    def test_scored_anew(self, board: Board, tmp_path: Any) -> None:
        ada = entry(board, "Ada", 0.5)
        (tmp_path / "new.csv").write_text(labels(1))
        service.rescore(board, "tiny", tmp_path / "new.csv")
        assert "This is being scored anew" in words(ada.get(f"/s/{ada.submission}"))
        finish(board, ada.submission, 0.25)
        said = words(ada.get(f"/s/{ada.submission}"))
        assert "25.00" in said and "Earlier scores" not in said and "anew" not in said
        said = words(enter(board, "Root", admin=True).get(f"/s/{ada.submission}"))
        assert "Earlier scores" in said and "1 public 50.00" in said

    def test_the_matrix_of_confusions_stays_here(self, board: Board) -> None:
        ada = entry(board, "Ada", 0.5)
        assert "confusion" not in ada.get(f"/s/{ada.submission}").text

    def test_files_are_never_shown_by_the_browser(self, board: Board) -> None:
        ada = enter(board, "Ada")
        name = 'pre"dict<script>\\ions\r\nSet-Cookie: x=y.csv'
        id_ = send(board, ada.person, predictions(30)).submission.id
        with board.database.writing() as session, session.begin():
            session.execute(update(Submission).values(file_name=name.replace("\r\n", "ü")))
        headers = ada.get(f"/s/{id_}/file").headers
        assert headers["content-disposition"] == (
            "attachment; filename*=UTF-8''pre%22dict%3Cscript%3E%5Cions%C3%BCSet-Cookie%3A%20x%3Dy.csv"
        )
        assert headers["content-type"] == "application/octet-stream"
        assert headers["x-content-type-options"] == "nosniff" and "set-cookie" not in headers

    def test_a_history(self, board: Board) -> None:
        ada = entry(board, "Ada", 0.5)
        assert "<svg" not in ada.get("/c/tiny/submissions").text
        finish(board, queue(board, ada.person, 40, 1), 0.6)
        page = ada.get("/c/tiny/submissions").text
        assert re.search(r"<desc[^>]*>\S+ \S+ 50.00 %; \S+ \S+ 60.00 %\.</desc>", page)


class TestTeams:
    def test_made_joined_and_left(self, board: Board) -> None:
        ada, bob = enter(board, "Ada"), enter(board, "Bob")
        assert ada.send("/c/tiny/team", team=" Pinwheel ").status_code == 303
        assert "Pinwheel" in words(ada.get("/c/tiny/team"))
        page = ada.send("/c/tiny/team/invite", "/c/tiny/team").text
        link = re.search(r'value="http://127.0.0.1:8000(/join/[^"]+)"', page)[1]
        assert link not in ada.get("/c/tiny/team").text
        assert "You are invited to join the team Pinwheel" in words(bob.get(link))
        answer = bob.send(link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/c/tiny/team")
        said = words(bob.get("/c/tiny/team"))
        assert "Ada since" in said and "Bob (you) since" in said
        id_ = queue(board, ada.person, 40)
        assert bob.get(f"/s/{id_}").status_code == 200
        bob.send("/c/tiny/team/leave", "/c/tiny/team")
        assert bob.get(f"/s/{id_}").status_code == 404
        assert "You are in no team" in words(bob.get("/c/tiny/team"))

    def test_links_end(self, board: Board) -> None:
        ada, bob = enter(board, "Ada"), enter(board, "Bob")
        ada.send("/c/tiny/team", team="Pinwheel")

        def link() -> str:
            page = ada.send("/c/tiny/team/invite", "/c/tiny/team").text
            return re.search(r'value="http://127.0.0.1:8000(/join/[^"]+)"', page)[1]

        revoked, over = link(), link()
        with board.database.reading() as session:
            first = min(session.scalars(select(Invitation.id)))
        assert bob.send("/c/tiny/team/revoke", "/account", invitation=first).status_code == 400
        bob.send("/c/tiny/team", team="Others")
        assert bob.send("/c/tiny/team/revoke", "/account", invitation=first).status_code == 404
        bob.send("/c/tiny/team/leave", "/c/tiny/team")
        assert bob.get(revoked).status_code == 200
        ada.send("/c/tiny/team/revoke", "/c/tiny/team", invitation=first)
        assert bob.get(revoked).status_code == 404
        assert bob.send(revoked, "/account").status_code == 404
        assert bob.get(over).status_code == 200
        with board.database.writing() as session, session.begin():
            session.execute(update(Invitation).values(expires=now()))
        assert bob.get(over).status_code == 404
        assert bob.get("/join/x").status_code == 404

    def test_who_is_in_a_team_joins_no_other(self, board: Board) -> None:
        ada, bob = enter(board, "Ada"), enter(board, "Bob")
        ada.send("/c/tiny/team", team="Pinwheel")
        bob.send("/c/tiny/team", team="Others")
        page = ada.send("/c/tiny/team/invite", "/c/tiny/team").text
        link = re.search(r'value="http://127.0.0.1:8000(/join/[^"]+)"', page)[1]
        assert "You are in the team Others; leave it first." in words(bob.get(link))
        answer = bob.send(link, "/account")
        assert answer.status_code == 400 and "you are in 'Others' already" in words(answer)

    def test_names(self, board: Board) -> None:
        ada, bob = enter(board, "Ada"), enter(board, "Bob")
        ada.send("/c/tiny/team", team="Pinwheel")
        answer = bob.send("/c/tiny/team", team="Pinwheel")
        assert answer.status_code == 400 and "is taken in this challenge" in words(answer)
        assert 'value="Pinwheel"' in answer.text
        assert bob.send("/c/tiny/team", team="").status_code == 400
        assert "expected 1 to 60" in words(bob.send("/c/tiny/team", team="x" * 61))

    def test_strangers_sign_in_first(self, board: Board) -> None:
        answer = Browser(board).get("/join/abc", follow_redirects=False)
        assert answer.headers["location"] == "/sign-in?next=/join/abc"

    def test_invitations_are_kept_as_hashes(self, board: Board) -> None:
        ada = enter(board, "Ada")
        ada.send("/c/tiny/team", team="Pinwheel")
        page = ada.send("/c/tiny/team/invite", "/c/tiny/team").text
        token = re.search(r"/join/([^\"]+)\"", page)[1]
        with board.database.reading() as session:
            assert token not in session.scalars(select(Invitation.token_hash)).one()
