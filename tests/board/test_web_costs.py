"""Numbers that an entry says of its cost: taken, shown, charted, and filled in from a run."""

import csv
import io
import json
import re
from typing import Any

import pytest
from api_helpers import token_of
from board_helpers import look, predictions, send
from web_helpers import Browser, enter, entry, upload, words

from vipriors.board import service
from vipriors.board.core import Board
from vipriors.board.web.charts import Dot, scatter
from vipriors.board.web.rendering import amount
from vipriors.problems import BadInput


def test_the_form_takes_and_keeps_them(board: Board) -> None:
    ada = enter(board, "Ada")
    answer = upload(ada, predictions(30), gpu_hours="1 000.5", flops="1.8e9", parameters="7")
    assert answer.status_code == 303, words(answer)
    id_ = answer.headers["location"].removeprefix("/s/")
    said = look(board, id_).declaration
    assert (said["gpu_hours"], said["flops"], said["parameters"]) == (1000.5, 1.8e9, 7)
    page = words(ada.get(f"/s/{id_}"))
    assert "Operations for one image 1.8 G" in page and "Training cost 1 k GPU hours" in page
    again = ada.get("/c/tiny/submit").text
    assert 'value="1000.5"' in again and 'value="1800000000"' in again


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "many", "1e40"])
def test_what_is_no_cost(board: Board, value: str) -> None:
    answer = upload(enter(board, "Ada"), predictions(30), gpu_hours=value, flops=value)
    assert answer.status_code == 400
    for field in ("gpu_hours", "flops"):
        assert re.search(rf'id="{field}-help"><span class="fault">Input should be', answer.text), field
        assert f'value="{value}"' in answer.text


def test_a_declaration_without_them_is_as_before(board: Board) -> None:
    made = send(board, enter(board, "Ada").person, predictions(30), declaration={"cost": "1 h"}).submission
    assert made.declaration["gpu_hours"] is None and made.declaration["flops"] is None
    with pytest.raises(BadInput, match="gpu_hours: Input should be greater than 0"):
        send(board, enter(board, "Bob").person, predictions(30), declaration={"gpu_hours": 0})


def declared(board: Board, *given: dict[str, Any]) -> Any:
    for number, said in enumerate(given):
        entry(board, f"team {number}", 0.9 - number / 10, number, declaration={"kind": "single", **said})
    return Browser(board).get("/c/tiny/leaderboard").text


def titles(page: str) -> list[str]:
    return re.findall(r"<figure><h2>([^<]+)</h2>", page)


def test_columns_are_there_where_somebody_says_them(board: Board) -> None:
    service.set_baseline(board, "tiny", ("chance", 0.25))
    page = declared(board, {"gpu_hours": 0.5}, {})
    heads = re.findall(r"sort=-?(\w+)", page)
    assert heads == ["rank", "team", "score", "date", "model", "parameters", "gpu_hours", "cost"]
    rows = [len(re.findall(r"<t[dh]\b", row)) for row in re.findall(r"<tr.*?</tr>", page, flags=re.S)]
    assert rows[:3] == [8, 8, 8] and 'colspan="5"' in page
    assert ">0.5</td>" in page and "sort=gpu_hours" in Browser(board).get("/c/tiny/leaderboard/embed").text
    turned = words(Browser(board).get("/c/tiny/leaderboard?sort=-gpu_hours"))
    assert turned.index("team 0") < turned.index("team 1")


def test_two_that_say_a_cost_make_a_chart(board: Board) -> None:
    page = declared(board, {"gpu_hours": 0.02, "flops": 1e9}, {"gpu_hours": 30.0}, {"parameters": 5})
    assert titles(page) == ["Best score over time", "Score against training cost"]
    (said,) = re.findall(r'<desc id="gpu_hours-desc">([^<]*)</desc>', page)
    assert said == "team 0 0.02 GPU hours, 90.00 %; team 1 30 GPU hours, 80.00 %."
    ticks = re.findall(r">(0\.01|0\.1|1|10|100)</text>", page)
    assert {"0.01", "0.1", "1", "10", "100"} <= set(ticks)


def test_a_chart_of_small_numbers() -> None:
    drawn = scatter("x", "title", "unit", [Dot("a", 1e-5, 0.5, None, None), Dot("b", 1e-4, 0.6, None, None)])
    assert ">1e-5</text>" in drawn and ">1e-4</text>" in drawn


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (7, "7"),
        (0.5, "0.5"),
        (12.345, "12.3"),
        (1234, "1.23 k"),
        (1.8e9, "1.8 G"),
        (2e21, "2e+21"),
    ],
)
def test_amounts(value: float | None, text: str) -> None:
    assert amount(value) == text


def test_programs_get_them(board: Board) -> None:
    declared(board, {"gpu_hours": 0.5, "flops": 1e9}, {})
    client = Browser(board).client
    lines = client.get("/api/v1/challenges/tiny/leaderboard").json()["lines"]
    assert [(line["gpu_hours"], line["flops"]) for line in lines] == [(0.5, 1e9), (None, None)]
    table = list(csv.DictReader(io.StringIO(client.get("/api/v1/challenges/tiny/leaderboard.csv").text)))
    assert [(row["gpu_hours"], row["flops"]) for row in table] == [("0.5", "1000000000.0"), ("", "")]


def test_programs_give_them(board: Board) -> None:
    header = {"Authorization": f"Bearer {token_of(board, 'Cid')}"}
    sent = {"file": ("p.csv", predictions(20))}
    said = {"declaration": json.dumps({"gpu_hours": 2, "flops": 3})}
    answer = Browser(board).client.post(
        "/api/v1/challenges/tiny/submissions", headers=header, files=sent, data=said
    )
    assert answer.status_code == 201, answer.text
    assert (answer.json()["declaration"]["gpu_hours"], answer.json()["declaration"]["flops"]) == (2, 3)
