"""The stored results: records are whole, agree with each other, and the tables say what they say."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from vipriors import methods
from vipriors.bench import claims, systems
from vipriors.bench.records import headline, read_records, score_of
from vipriors.bench.statistics import paired_difference
from vipriors.bench.summary import PLACE, filled
from vipriors.bench.tune import merit
from vipriors.challenges.schema import METHODS

RESULTS = Path(__file__).parents[1] / "results"
STORES = sorted({place[1] for place in PLACE.findall((RESULTS / "README.md").read_text(encoding="utf-8"))})


def test_the_tables_are_those_of_the_records() -> None:
    assert filled(RESULTS / "README.md") == (RESULTS / "README.md").read_text(encoding="utf-8")


def test_the_index_of_systems_is_that_of_the_cards_and_records() -> None:
    page = RESULTS.parent / "docs" / "systems.md"
    text = page.read_text(encoding="utf-8")
    assert systems.filled(page, RESULTS.parent) == text, "make tables"
    for system in claims.systems():
        assert f"| {system.card.system} " in text
        for claim in system.card.claims:
            assert f"| {claim.text} " in text


@pytest.mark.parametrize("store", STORES)
def test_records_are_whole_and_on_equal_terms(store: str) -> None:
    records = read_records(RESULTS / store)
    manifests = defaultdict(set)
    for record in records:
        assert record["challenge"] == Path(store).name
        assert record["subset_seed"] == record["seed"]
        assert record["fit_on"] == "train+val"
        low, high = record["intervals"][headline(record)]
        assert low <= score_of(record) <= high
        methods.restore(record["method"], record["hyper_parameters"])
        manifests[record["images_per_class"], record["seed"]].add(record["manifest_sha256"])
    assert all(len(hashes) == 1 for hashes in manifests.values()), "methods saw different images"
    contenders = {record["contender"] for record in records}
    assert len(records) == len(contenders) * len(manifests), "a cell is missing"


@pytest.mark.parametrize(
    "recipe", sorted(RESULTS.rglob("recipe.yaml")), ids=lambda file: str(file.parent.relative_to(RESULTS))
)
def test_a_recipe_is_the_best_of_its_trials(recipe: Path) -> None:
    trials = [json.loads(line) for line in (recipe.parent / "trials.jsonl").read_text().splitlines()]
    whole = [trial for trial in trials if not {"stopped", "failed"} & trial.keys()]
    best = min(whole, key=merit)
    found = yaml.safe_load(recipe.read_text())
    assert found["found"]["trials"] == len(trials)
    for name, value in best["values"].items():
        assert float(found["set"][name]) == value


@pytest.mark.parametrize("store", [store for store in STORES if store.startswith("comparison/")])
def test_methods_are_compared_on_equal_terms(store: str) -> None:
    """As many trials for every method on the same images, and as many steps in the end."""
    searched = {
        json.dumps(
            {key: record["tuning"][key] for key in ("trials", "search", "subsets", "images_per_class")}
        )
        for record in read_records(RESULTS / store)
        if "tuning" in record
    }
    assert len(searched) == 1
    records = [record for record in read_records(RESULTS / store) if "steps" in record["cost"]]
    itself = {record["contender"] for record in records if "tuning" not in record}
    assert itself == {"strong-wide"}, "chooses its rates by itself"
    assert len({record["cost"]["steps"] for record in records if record["contender"] not in itself}) == 1


@pytest.mark.parametrize("floor", ["support-vector-machine", "nearest-neighbour"])
def test_the_baseline_is_clearly_above_the_floors_on_digits(floor: str) -> None:
    """What the package claims of its baseline, at ten images a class over ten subsets."""
    records = [r for r in read_records(RESULTS / "digits") if r["images_per_class"] == 10]
    scores = {(r["contender"], r["seed"]): r["scores"]["top1"] for r in records}
    seeds = range(10)
    found = paired_difference(
        [scores["residual", seed] for seed in seeds], [scores[floor, seed] for seed in seeds]
    )
    assert found.low > 0
    assert all(scores["residual", seed] > scores[floor, seed] for seed in range(5))


@pytest.mark.parametrize("store", [store for store in STORES if store.startswith("digits-")])
def test_a_baseline_is_clearly_above_every_floor_and_below_perfect(store: str) -> None:
    records = read_records(RESULTS / store)
    by_contender = defaultdict(dict)
    for record in records:
        by_contender[record["contender"]][record["seed"]] = score_of(record)
    baseline, floors = METHODS[records[0]["task"]]
    assert set(by_contender) == {baseline, *floors}
    best = by_contender.pop(baseline)
    assert max(best.values()) < 0.95
    for floor, scores in by_contender.items():
        seeds = sorted(scores)
        found = paired_difference([best[seed] for seed in seeds], [scores[seed] for seed in seeds])
        assert found.low > 0, floor


def test_the_page_names_the_commands_that_made_it() -> None:
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    for store in STORES:
        challenge = Path(store).name
        named = rf"({challenge}|examples/challenges/{challenge}\.yaml)"
        assert re.search(rf"vipriors bench {named} .*--out results/{store}", text)
