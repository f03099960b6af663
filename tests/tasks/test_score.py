import json

import pytest

from vipriors.problems import BadInput
from vipriors.tasks import Estimate, Score

SCORE = Score(
    "classification",
    "top1",
    {"top1": Estimate(0.91, 0.88, 0.94), "top5": Estimate(1.0, 1.0, 1.0)},
    {"n_test": 300, "per_class": [{"class": "0", "n": 30, "recall": None}]},
)


def test_json_layout():
    assert SCORE.to_json() == {
        "task": "classification",
        "headline": "top1",
        "scores": {"top1": 0.91, "top5": 1.0},
        "intervals": {"top1": [0.88, 0.94], "top5": [1.0, 1.0]},
        "details": {"n_test": 300, "per_class": [{"class": "0", "n": 30, "recall": None}]},
    }


def test_round_trip_through_json_text():
    assert Score.from_json(json.loads(json.dumps(SCORE.to_json(), allow_nan=False))) == SCORE


def test_missing_fields_are_all_listed():
    with pytest.raises(BadInput) as error:
        Score.from_json({"task": 3, "scores": {}, "details": {}}, "score.json")
    assert [str(problem) for problem in error.value.problems] == [
        "score.json, task: 3; expected text",
        "score.json, headline: None; expected text",
        "score.json, intervals: None; expected an object",
    ]


def test_bad_numbers_are_all_listed():
    record = SCORE.to_json() | {
        "headline": "top3",
        "scores": {"top1": float("nan"), "top5": True},
        "intervals": {"top1": [0.8], "top5": [0.9, 1.0], "top3": None},
    }
    with pytest.raises(BadInput) as error:
        Score.from_json(record)
    assert [str(problem) for problem in error.value.problems] == [
        "score, scores, top1: nan; expected a number",
        "score, intervals, top1: [0.8]; expected [low, high]",
        "score, scores, top3: None; expected a number",
        "score, intervals, top3: None; expected [low, high]",
        "score, scores, top5: True; expected a number",
    ]
