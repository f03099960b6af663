import dataclasses
import io
import json
import multiprocessing
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console
from scipy import stats

from vipriors import methods
from vipriors.bench.contender import Contender, read_contender
from vipriors.bench.grid import Grid, run_grid
from vipriors.bench.measured import Measured
from vipriors.bench.processes import in_processes
from vipriors.bench.records import FAILED, Cell, read_records, write_failure
from vipriors.bench.table import difference_table, saving_table, score_table
from vipriors.bench.tune import Search, draw, merit, run_trial, tune
from vipriors.bench.workers import Failure, Workers
from vipriors.challenges import find
from vipriors.challenges.schema import read_challenge
from vipriors.cli.live import GridTable, duration
from vipriors.problems import BadInput, Problem

DIGITS = read_challenge(find("digits"))
QUICK = Contender("residual", "residual", "tiny", {"steps": "10", "width": "4"})
HERE = Workers(0)


def grid(folder: Path, **changes: object) -> Grid:
    plain = {
        "challenge": DIGITS,
        "contenders": (QUICK, read_contender("nearest-neighbour")),
        "sizes": (2, 4),
        "seeds": (0, 1),
        "out": folder / "results",
        "work": folder / "data",
    }
    return Grid(**(plain | changes))  # type: ignore[arg-type]


def test_a_grid_runs_every_cell_once(tmp_path: Path) -> None:
    told: list[Cell] = []
    begun: list[Cell] = []
    both = Workers(2)
    assert run_grid(grid(tmp_path), both, started=begun.append, done=lambda cell, _: told.append(cell)) == 8
    assert set(begun) == set(told)
    records = read_records(tmp_path / "results")
    assert len(records) == len({cell.name for cell in told}) == 8
    assert {(r["contender"], r["images_per_class"], r["seed"]) for r in records} == {
        (c.contender, c.images_per_class, c.seed) for c in told
    }
    for record in records:
        assert record["subset_seed"] == record["seed"]
        assert record["counts"]["test"] == 800
        assert 0 < record["scores"]["top1"] <= 1
    # The same subset for both methods, another for each seed.
    manifests = {(r["images_per_class"], r["seed"]): set() for r in records}  # type: ignore[var-annotated]
    for record in records:
        manifests[record["images_per_class"], record["seed"]].add(record["manifest_sha256"])
    assert all(len(hashes) == 1 for hashes in manifests.values())
    assert len(set.union(*manifests.values())) == 4
    # Nothing is left to do, and a record that is gone is made again, the same.
    assert run_grid(grid(tmp_path), HERE) == 0
    victim = tmp_path / "results" / "residual-n2-s1.json"
    before = json.loads(victim.read_text())
    victim.unlink()
    assert run_grid(grid(tmp_path), HERE) == 1
    assert json.loads(victim.read_text())["predictions_sha256"] == before["predictions_sha256"]


def _run(folder: Path) -> None:
    run_grid(grid(folder), HERE)


def _sleep(marker: Path) -> None:
    (marker / str(os.getpid())).touch()
    time.sleep(180)


def _share(marker: Path) -> None:
    for _ in in_processes(_sleep, [marker, marker], jobs=2):
        pass


def test_workers_end_soon_after_their_parent_was_killed(tmp_path: Path) -> None:
    parent = multiprocessing.get_context("spawn").Process(target=_share, args=(tmp_path,))
    parent.start()
    deadline = time.monotonic() + 180
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(file.name) for file in tmp_path.iterdir()]
    assert len(workers) == 2
    parent.kill()
    parent.join()
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_a_killed_grid_goes_on_where_it_was(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 180
    while len(list((tmp_path / "results").glob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "results").glob("*.json")}
    assert 2 <= len(done) < 8
    assert run_grid(grid(tmp_path), HERE) == 8 - len(done)
    for name, stamp in done.items():
        assert (tmp_path / "results" / name).stat().st_mtime_ns == stamp


def work(item: str) -> str:
    if item == "raise":
        raise BadInput([Problem("a", "is wrong"), Problem("b", "too")])
    if item == "die":
        os._exit(9)
    return item.upper()


def test_what_fails_is_told_and_does_not_stop_the_rest() -> None:
    begun: list[str] = []
    found = dict(in_processes(work, ["one", "raise", "die", "two"], 1, begun.append))
    assert begun == ["one", "raise", "die", "two"]
    assert (found["one"], found["two"]) == ("ONE", "TWO")
    raised, died = found["raise"], found["die"]
    assert isinstance(raised, Failure)
    assert raised.error == "BadInput: a: is wrong\nb: too"
    assert re.fullmatch(r"test_bench\.py, line \d+, in work", raised.where)
    assert isinstance(died, Failure)
    assert "a process died" in died.error


def test_a_failed_cell_is_noted_skipped_and_run_again_on_request(tmp_path: Path) -> None:
    wild = Contender("wild", "residual", "tiny", {"steps": "20", "width": "4", "lr": "1e30"})
    plain = grid(tmp_path, contenders=(wild, read_contender("nearest-neighbour")), sizes=(2,), seeds=(0,))
    ended: dict[str, object] = {}
    assert run_grid(plain, done=lambda cell, outcome: ended.update({cell.contender: outcome})) == 2
    assert isinstance(ended["wild"], Failure)
    assert isinstance(ended["nearest-neighbour"], dict)
    note = json.loads((plain.out / FAILED / "wild-n2-s0.json").read_text())
    assert "FloatingPointError: the loss became" in note["error"]
    assert re.fullmatch(r"loop\.py, line \d+, in train", note["where"])
    assert (note["contender"], note["seed"], note["set"]["lr"]) == ("wild", 0, "1e30")
    assert str(tmp_path) not in json.dumps(note)
    assert len(read_records(plain.out)) == 1  # notes are no records
    assert [cell.contender for cell in plain.failed()] == ["wild"]
    assert run_grid(plain, HERE) == 0
    tame = grid(
        tmp_path, contenders=(Contender("wild", "nearest-neighbour"),), sizes=(2,), seeds=(0,), out=plain.out
    )
    assert run_grid(tame, retry_failed=True, workers=HERE) == 1
    assert tame.failed() == []
    assert not (plain.out / FAILED / "wild-n2-s0.json").exists()


def test_a_grid_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    twice = (read_contender("residual"), read_contender("residual"), read_contender("u-net"))
    with pytest.raises(BadInput) as caught:
        grid(tmp_path, contenders=twice)
    assert [str(problem) for problem in caught.value.problems] == [
        "residual: names 2 contenders; name one anew with NAME=METHOD",
        "method u-net: is for the task segmentation; challenge digits is about classification",
    ]


def test_the_table_of_a_running_grid(tmp_path: Path) -> None:
    plain = grid(tmp_path)
    record = tmp_path / "results" / "residual-n2-s0.json"
    record.parent.mkdir()
    record.write_text("{}")
    write_failure(plain.out, Cell("residual", 2, 1), {})
    table = GridTable(plain, retry_failed=False)
    assert table.title() == "bench digits: 1 of 8 done, 0 running, 1 failed"
    table.start(Cell("residual", 4, 0))
    assert table.text(("residual", 4)) == "0/2 ▶1"
    table.began -= 100
    table.end(Cell("residual", 4, 0), {})
    table.start(Cell("residual", 4, 1))
    table.end(Cell("residual", 4, 1), Failure("broken"))
    assert table.text(("residual", 4)) == "1/2 ✗1"
    assert (
        table.title() == "bench digits: 2 of 8 done, 0 running, 2 failed, 3 min left"
    )  # 100 s for 2, 4 left
    again = GridTable(plain, retry_failed=True)
    assert again.title() == "bench digits: 1 of 8 done, 0 running"
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert "nearest-neighbour" in text
    assert "1/2 ✗1" in text
    assert [duration(s) for s in (40, 600, 7200)] == ["40 s", "10 min", "2.0 h"]


def test_damaged_records_are_all_named(tmp_path: Path) -> None:
    for name in ("a-n1-s0.json", "b-n1-s0.json"):
        (tmp_path / name).write_text("{")
    with pytest.raises(BadInput) as caught:
        read_records(tmp_path)
    assert len(caught.value.problems) == 2


def test_contenders(tmp_path: Path) -> None:
    assert read_contender("residual").preset == "tiny"
    assert read_contender("residual:small").name == "residual-small"
    with pytest.raises(BadInput, match="preset 'huge'"):
        read_contender("residual:huge")
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump({"method": "residual", "preset": "small", "set": {"lr": 0.2}}))
    found = read_contender(str(file))
    assert methods.configure(found.method, found.preset, found.settings).lr == 0.2
    file.write_text(yaml.safe_dump({"method": "residual", "preset": "small", "set": {"lrr": 0.2}}))
    with pytest.raises(BadInput, match="did you mean 'lr'"):
        read_contender(str(file))
    for damaged in ("nothing", "{method: residual, preset: small, set: [lr]}"):
        file.write_text(damaged)
        with pytest.raises(BadInput, match="is no recipe"):
            read_contender(str(file))
    assert read_contender("mine=residual:small").name == "mine"
    file.write_text(
        yaml.safe_dump({"method": "residual", "preset": "small", "set": {}, "found": {"trials": 3}})
    )
    mine = read_contender(f"mine={file}")
    assert (mine.name, mine.method, mine.tuning) == ("mine", "residual", {"trials": 3})
    with pytest.raises(BadInput, match="'My/name' is no name"):
        read_contender("My/name=residual")


def test_contenders_with_values_set(tmp_path: Path) -> None:
    found = read_contender("residual:small,lr=0.2,width=8")
    assert (found.name, found.preset) == ("residual-small-lr-0.2-width-8", "small")
    assert methods.configure(found.method, found.preset, found.settings).width == 8
    file = tmp_path / "recipe.yaml"
    tuned = {"method": "residual", "preset": "tiny", "set": {"lr": 0.2, "steps": 9}, "found": {"trials": 3}}
    file.write_text(yaml.safe_dump(tuned))
    assert read_contender(f"{file},steps=40").name == "residual-steps-40"
    mine = read_contender(f"mine={file},steps=40")
    assert (mine.name, mine.settings) == ("mine", {"lr": "0.2", "steps": "40"})
    assert mine.tuning == {"trials": 3}
    for text, what in (("residual,lr", "'lr' sets nothing; expected NAME=VALUE"), ("residual,lrr=1", "'lr'")):
        with pytest.raises(BadInput, match=what):
            read_contender(text)


def search(folder: Path, trials: int) -> Search:
    return Search(DIGITS, QUICK, trials, 4, 2, folder / "tuned", work=folder / "data")


def test_tuning_keeps_the_best_trial_and_resumes(tmp_path: Path) -> None:
    tune(search(tmp_path, 2), HERE)
    log = tmp_path / "tuned" / "trials.jsonl"
    first = log.read_text()
    found = tune(search(tmp_path, 4), HERE)
    assert log.read_text().startswith(first)
    trials = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(trial["trial"] for trial in trials) == [0, 1, 2, 3]
    best = min(trials, key=lambda trial: trial["val_loss"])
    recipe = yaml.safe_load((tmp_path / "tuned" / "recipe.yaml").read_text())
    assert {key: float(recipe["set"][key]) for key in best["values"]} == best["values"]
    assert recipe["found"]["subsets"] == [1000, 1001]
    assert read_contender(str(tmp_path / "tuned" / "recipe.yaml")).settings == found.settings
    # Test images are prepared but never decoded: no cache of theirs exists.
    assert not list((tmp_path / "data").rglob("scores.json"))


def test_a_trial_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[float, float]] = []
    small = search(tmp_path, 1)
    found = run_trial(small, 0, lambda share, loss: told.append((share, loss)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares == pytest.approx([k / 20 for k in range(1, 21)])  # two subsets of ten steps
    assert told[-1][1] == pytest.approx(merit(found))


def test_trials_that_fail_are_kept_and_never_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [(0, Failure("ValueError: no")), (1, {"trial": 1, "values": {"lr": 0.1}, "val_loss": 3.0})]
    monkeypatch.setattr(Workers, "map", lambda self, work, todo: [outcomes[k] for k in todo])
    tune(search(tmp_path, 2))
    lines = [json.loads(line) for line in (tmp_path / "tuned" / "trials.jsonl").read_text().splitlines()]
    assert lines[0]["failed"] == "ValueError: no"
    assert yaml.safe_load((tmp_path / "tuned" / "recipe.yaml").read_text())["set"]["lr"] == "0.1"
    alone = dataclasses.replace(search(tmp_path, 1), out=tmp_path / "alone")
    with pytest.raises(BadInput, match="no trial came to its end: ValueError: no"):
        tune(alone)


def test_draws_lie_in_their_ranges_evenly_in_the_logarithm() -> None:
    low, high = methods.load("residual").tuning["lr"]
    drawn = [draw(search(Path(), 1), k)["lr"] for k in range(400)]
    places = (np.log(drawn) - np.log(low)) / (np.log(high) - np.log(low))
    assert stats.kstest(places, "uniform").pvalue > 0.01
    assert draw(search(Path(), 1), 7) == draw(search(Path(), 9), 7)


@pytest.mark.parametrize("name", ["nearest-neighbour", "strong-wide"])
def test_some_methods_declare_nothing_to_search(name: str, tmp_path: Path) -> None:
    search = Search(DIGITS, read_contender(name), 1, 4, 1, tmp_path / "x", work=tmp_path)
    with pytest.raises(BadInput, match="declares nothing to search"):
        tune(search)


def measured(reference: str, *rows: tuple[str, int | None, int, float], **fields: str) -> Measured:
    """Rows of contender, size, seed and score."""
    score = fields.get("headline", "top1")
    records: list[dict[str, Any]] = [
        {"contender": contender, "images_per_class": size, "seed": seed, "scores": {score: value}, **fields}
        for contender, size, seed, value in rows
    ]
    return Measured("some", tuple(records), reference)


def test_tables() -> None:
    found = measured("b", ("a", 5, 0, 0.8), ("a", 5, 1, 0.9), ("b", 5, 0, 0.7), ("b", 5, 1, 0.6))
    assert score_table(found).splitlines()[3] == "| a       | 85.0 ± 7.1 (2) |"
    line = difference_table(found).splitlines()[2]
    oracle = stats.ttest_rel([80, 90], [70, 60]).confidence_interval()
    assert line == f"| a         | +20.0 [{oracle.low:+.1f}, {oracle.high:+.1f}] (not clear) |"
    assert saving_table(found) is None


def test_a_difference_is_marked_only_if_it_stands_among_all_comparisons() -> None:
    rows = [("floor", 5, seed, 0.5) for seed in range(5)]
    rows += [("good", 5, seed, 0.8 + 0.01 * seed) for seed in range(5)]
    rows += [(f"poor{k}", 5, seed, 0.49 + 0.01 * (seed - k) ** 2 / 4) for k in range(3) for seed in range(5)]
    rows += [("fair", 5, seed, (0.51, 0.53, 0.54, 0.5, 0.52)[seed]) for seed in range(5)]
    table = difference_table(measured("floor", *rows)).splitlines()
    lines = {line.split()[1]: line for line in table[2:]}
    assert "▲" in lines["good"]
    assert 0.01 < stats.ttest_1samp([0.01, 0.03, 0.04, 0, 0.02], 0).pvalue < 0.05
    assert "not clear" not in lines["fair"] and "▲" not in lines["fair"], "clear alone, not among five"


def test_the_data_saving_factor_is_in_a_table() -> None:
    rows = [("floor", size, seed, 1 - 1 / size) for size in (5, 10, 20, 40) for seed in range(3)]
    rows += [("better", size, seed, 1 - 0.5 / size) for size in (5, 10) for seed in range(3)]
    table = saving_table(measured("floor", *rows)) or ""
    assert [cell.strip() for cell in table.splitlines()[2].strip("|").split("|")] == [
        "better",
        "2 [2, 2]",
        "2 [2, 2]",
        "",
        "",
    ]


def test_tables_name_the_score_and_what_was_counted() -> None:
    rows = [("a", size, 0, 0.25) for size in (40, None, 20)]
    header, _, row = score_table(measured("a", *rows, headline="AP", task="detection")).splitlines()
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "AP, %",
        "all images",
        "20 images",
        "40 images",
    ]
    assert row.count("25.0 (1)") == 3


def test_a_grid_of_the_challenge_s_own_size(tmp_path: Path) -> None:
    own = grid(tmp_path, contenders=(read_contender("nearest-neighbour"),), sizes=(None,), seeds=(0,))
    tuned = dataclasses.replace(own.contenders[0], tuning={"trials": 3})
    assert run_grid(dataclasses.replace(own, contenders=(tuned,)), HERE) == 1
    (record,) = read_records(tmp_path / "results")
    assert record["tuning"] == {"trials": 3}
    assert (record["images_per_class"], record["task"], record["headline"]) == (10, "classification", "top1")
