"""How pages write scores."""

import math

import pytest

from vipriors.board.web.rendering import limits, score
from vipriors.tasks.score_names import AMOUNTS, METRICS


@pytest.mark.parametrize(
    ("name", "expected"),
    [("top1", ("93.21 %", "90.0 – 95.5")), ("kfd", ("0.9321", "0.9000 – 0.9550"))],
)
def test_shares_are_in_per_cent_and_amounts_as_they_are(name: str, expected: tuple[str, str]) -> None:
    assert (score(0.93214, name), limits(0.9, 0.955, name)) == expected


@pytest.mark.parametrize("name", ["top1", "kfd"])
def test_what_is_not_defined_is_a_dash(name: str) -> None:
    assert score(None, name) == score(math.nan, name) == "–"
    assert limits(None, math.nan, name) == "– – –"


def test_every_score_of_generation_is_known_as_share_or_amount() -> None:
    """Distances have names; shares are between 0 and 1 by what they are."""
    assert {"kfd", "ffd", "kfd_random", "kfd_self_supervised"} <= AMOUNTS & set(METRICS)
    assert not AMOUNTS & {"closeness", "precision", "recall", "class_agreement", "spl", "top1"}
