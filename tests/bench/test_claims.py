"""Claims: measured as a grid, judged from its records."""

import json
from pathlib import Path

import numpy as np
import pytest

from vipriors import methods
from vipriors.bench import claims
from vipriors.bench.claims import System, outcome
from vipriors.bench.records import Cell, write_record
from vipriors.bench.statistics import paired_difference
from vipriors.card import Bound, Card, Claim
from vipriors.cli import main
from vipriors.problems import BadInput


def toy(*claims: Claim | Bound) -> System:
    listing = methods.listing("support-vector-machine")
    return System(Card("X7", "A toy", "Toys, 2026", claims), listing.name, listing.family, listing.file)


def system(**changes) -> System:
    fields = {"equal": {"steps": 1.0}, "images_per_class": 2} | changes
    claim = Claim("finds more", "digits", "top1", baseline="nearest-neighbour", **fields)
    return toy(claim)


def store(folder: Path, own, other, steps=(100, 100), name="support-vector-machine") -> None:
    for contender, scores, cost in ((name, own, steps[0]), ("nearest-neighbour", other, steps[1])):
        for seed, score in enumerate(scores):
            record = {"contender": contender, "seed": seed, "images_per_class": 2}
            record |= {"scores": {"top1": score}, "cost": {"steps": cost}}
            write_record(folder / "X7" / "digits", Cell(contender, 2, seed), record)


LOW, HIGH = [0.50, 0.52, 0.49, 0.51, 0.50], [0.60, 0.63, 0.58, 0.61, 0.59]


@pytest.mark.parametrize(
    ("own", "other", "higher", "verdict"),
    [
        (HIGH, LOW, True, "holds"),
        (LOW, HIGH, True, "does not hold"),
        (LOW, HIGH, False, "holds"),
        ([0.6, 0.4, 0.6, 0.4, 0.5], LOW, True, "not clear"),
        (HIGH[:4], LOW, True, "not measured"),
    ],
)
def test_verdicts(own, other, higher, verdict, tmp_path):
    store(tmp_path, own, other)
    one = system(higher=higher)
    found = outcome(one, one.card.claims[0], tmp_path)
    assert found.verdict == verdict
    assert found.seeds == min(len(own), len(other))
    if verdict != "not measured":
        expected = paired_difference(own, other)
        assert found.difference == expected
        assert found.scores == pytest.approx((np.mean(own), np.mean(other)))
        assert f"[{expected.low:+.4f}, {expected.high:+.4f}] over 5 seeds" in found.said()


def test_more_cost_than_the_claim_allows_is_no_win(tmp_path):
    store(tmp_path, HIGH, LOW, steps=(103, 100))
    one = system(equal={"steps": 1.02})
    found = outcome(one, one.card.claims[0], tmp_path)
    assert found.verdict == "does not hold"
    assert found.unequal == ("steps are 1.03 times the baseline's; expected at most 1.02",)
    one = system(equal={"steps": 1.03})
    assert outcome(one, one.card.claims[0], tmp_path).verdict == "holds"


def test_seeds_are_paired(tmp_path):
    store(tmp_path, HIGH, LOW)
    (tmp_path / "X7" / "digits" / "nearest-neighbour-n2-s3.json").unlink()
    one = system()
    assert outcome(one, one.card.claims[0], tmp_path).seeds == 4


def test_the_size_may_be_left_to_the_challenge(tmp_path):
    """Records then say what it took: 2 images a class here."""
    for contender, scores in (("support-vector-machine", HIGH), ("nearest-neighbour", LOW)):
        for seed, score in enumerate(scores):
            record = {"contender": contender, "seed": seed, "images_per_class": 2}
            record |= {"scores": {"top1": score}, "cost": {"steps": 1}}
            write_record(tmp_path / "X7" / "digits", Cell(contender, None, seed), record)
    one = system(images_per_class=None)
    assert outcome(one, one.card.claims[0], tmp_path).verdict == "holds"
    at_two = system()
    assert outcome(at_two, at_two.card.claims[0], tmp_path).verdict == "not measured"


def test_a_setting_makes_another_contender():
    one = system(method="residual:small,width=8,steps=20")
    own, other = claims.contenders(one, one.card.claims[0])
    assert (own.method, own.preset, own.settings) == ("residual", "small", {"width": "8", "steps": "20"})
    assert own.name == "residual-small-width-8-steps-20" and other.name == "nearest-neighbour"


def test_unknown_systems_and_methods(tmp_path):
    with pytest.raises(BadInput, match="system 'Q1': unknown; expected one of "):
        claims.find_system("Q1")
    one = system(method="residual,breadth=8")
    with pytest.raises(BadInput, match="residual has no such hyper-parameter"):
        claims.grid_of(one, one.card.claims[0], 5, tmp_path, tmp_path)


def test_measured_by_the_command_then_listed(tmp_path, monkeypatch, capsys):
    one = system(equal={})
    monkeypatch.setattr(claims, "systems", lambda: [one])
    given = ["--store", str(tmp_path / "store"), "--work", str(tmp_path / "work"), "--jobs", "1"]
    assert main(["claim", "--json", *given[:2]]) == 0
    listed = json.loads(capsys.readouterr().out)["systems"]
    assert listed[0]["claims"][0]["verdict"] == "not measured"
    assert main(["claim", "X7", "--json", *given]) == 0
    measured = json.loads(capsys.readouterr().out)
    records = [json.loads(file.read_text()) for file in (tmp_path / "store/X7/digits").glob("*.json")]
    assert len(records) == 10
    of = {(r["contender"], r["seed"]): r["scores"]["top1"] for r in records}
    expected = np.mean([of["support-vector-machine", s] - of["nearest-neighbour", s] for s in range(5)])
    assert measured["claims"][0]["difference"] == pytest.approx(expected)
    assert main(["claim", *given[:2]]) == 0
    assert capsys.readouterr().out.startswith("X7   A toy: finds more: ")


def test_a_claim_whose_images_are_not_at_hand_is_left_out_and_says_so(tmp_path, monkeypatch, capsys):
    claim = Claim("finds more", "fashion-mnist", "top1", baseline="nearest-neighbour", images_per_class=2)
    one = toy(claim)
    monkeypatch.setattr(claims, "systems", lambda: [one])
    given = ["--store", str(tmp_path / "store"), "--work", str(tmp_path / "work"), "--jobs", "1"]
    assert main(["claim", "X7", *given]) == 0
    hint = "not run: give your copy of the images of fashion-mnist with --source"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "  not measured (0 of at least 5 seeds)",
        f"  {hint}",
    ]
    assert claims.at_hand(claim, tmp_path) and not claims.at_hand(claim)
    assert claims.grid_of(one, claim, 5, tmp_path, tmp_path, tmp_path / "copy").source == tmp_path / "copy"
    assert main(["claim", "X7", *given, "--source", str(tmp_path / "nothing")]) == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "bounds", "verdict"),
    [
        ([6.8, 1.5], {"least": 5.0}, "does not hold"),
        ([6.8, 5.0], {"least": 5.0}, "holds"),
        ([1e-7, 1e-6], {"most": 1e-6}, "holds"),
        ([2e-6, 0.0], {"most": 1e-6}, "does not hold"),
        ([3.0], {"least": 2.0, "most": 2.5}, "does not hold"),
        ([], {"least": 5.0}, "not measured"),
        (None, {"least": 5.0}, "not measured"),
    ],
)
def test_a_bound_is_kept_by_every_record(found, bounds, verdict, tmp_path):
    bound = Bound("faster", "racing", "ratio", **bounds)
    if found is not None:
        records = [{"ratio": value} for value in found] + [{"another": 1}]
        (tmp_path / "racing.json").write_text(json.dumps({"records": records}))
    (one,) = claims.outcomes(toy(bound), tmp_path / "none", tmp_path)
    assert (one.verdict, one.found) == (verdict, tuple(found or ()))
    assert one.to_json()["verdict"] == verdict


def test_the_verdicts_of_a_system_in_a_few_words(tmp_path):
    (tmp_path / "racing.json").write_text(json.dumps({"records": [{"ratio": 6.0}]}))
    fast, slow = (Bound(f"{n} times", "racing", "ratio", least=n) for n in (5.0, 7.0))
    never = Bound("never", "nowhere", "ratio", least=1.0)

    def words(*bounds: Bound) -> str:
        return claims.standing(claims.outcomes(toy(*bounds), tmp_path, tmp_path))

    assert words(fast) == words(fast, fast) == "holds"
    assert words(never, slow, fast, fast) == "2 holds, 1 does not hold, 1 not measured"
    (one,) = claims.outcomes(toy(slow), tmp_path, tmp_path)
    assert one.said() == "does not hold: ratio 6; expected at least 7"


def test_a_bound_says_how_it_is_measured_and_is_not_run(tmp_path, monkeypatch, capsys):
    one = toy(Bound("faster", "racing", "ratio", least=5.0))
    monkeypatch.setattr(claims, "systems", lambda: [one])
    assert main(["claim", "X7", "--store", str(tmp_path)]) == 0
    hint = "not run: `python benchmarks/measure.py racing` in a checkout measures it"
    assert capsys.readouterr().out.splitlines()[1:] == ["  faster", "  not measured", f"  {hint}"]


def test_systems_are_methods_and_diagnoses_in_the_order_of_their_numbers():
    found = {one.card.system: one for one in claims.systems()}
    order = sorted(found, key=lambda number: (number[:1], int(number[1:])))
    assert list(found) == order
    assert (found["D6"].name, found["D6"].task) == ("tide", "diagnose")
    assert (found["T4"].name, found["T4"].task) == ("point-mixup", "points")
    assert all(one.file.is_file() for one in found.values())
