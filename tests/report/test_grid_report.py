"""The report of a grid, from records whose numbers are known."""

import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from vipriors.bench.measured import read_measured
from vipriors.bench.saving import data_saving
from vipriors.bench.statistics import holm, paired_difference
from vipriors.problems import BadInput
from vipriors.report import write_grid_report
from vipriors.report.grid_charts import Curve, Dot, LogAxis, cost_chart, curve_chart, short
from vipriors.report.sections import description_of, measurement, read_description

SIZES, SUBSETS = (5, 10, 20), 5
FACTORS = {"residual": 1.0, "better": 1.9, "worse": 0.6}


def law(images: float) -> float:
    return 1 - 0.5 * images**-0.5


def record(contender: str, size: int | None, seed: int, score: float, **changes: object) -> dict[str, object]:
    return {
        "challenge": "digits",
        "task": "classification",
        "headline": "top1",
        "contender": contender,
        "method": "residual",
        "preset": "tiny",
        "images_per_class": size,
        "seed": seed,
        "subset_seed": seed,
        "precision": "auto",
        "hyper_parameters": {"steps": 100, "lr": 0.05, "batch_size": 8},
        "scores": {"top1": score, "balanced_accuracy": score / 2},
        "cost": {"steps": 100, "seconds": 2.0 + seed, "flops_per_image": 1000, "parameters": 1234},
        "manifest_sha256": f"{size} {seed}",
        "environment": {"device": "cpu"},
    } | changes


def store(folder: Path, *records: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for one in records:
        size = one["images_per_class"] or "own"
        (folder / f"{one['contender']}-n{size}-s{one['seed']}.json").write_text(json.dumps(one))
    return folder


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Three contenders at three sizes on five subsets, the better one as if with 1.9 times the images."""
    noise = np.random.default_rng(0).normal(0, 0.004, (SUBSETS, len(SIZES), len(FACTORS)))
    records = [
        record(name, size, seed, law(size * factor) + 0.01 * seed + noise[seed, place, number])
        for number, (name, factor) in enumerate(FACTORS.items())
        for place, size in enumerate(SIZES)
        for seed in range(SUBSETS)
    ]
    return store(tmp_path / "results" / "digits", *records)


def scores_of(folder: Path) -> dict[tuple[str, int], list[float]]:
    found: dict[tuple[str, int], list[float]] = {}
    for file in sorted(folder.glob("*-s*.json")):
        one = json.loads(file.read_text())
        found.setdefault((one["contender"], one["images_per_class"]), []).append(one["scores"]["top1"])
    return found


class Page(HTMLParser):
    """Links, ids, tags that are left open, and what would be fetched."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert tag not in ("script", "iframe", "object", "link")
        assert "src" not in found
        if tag not in self.VOID:
            self.open.append(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            target = str(found["href"])
            if "download" in found:
                head, body = target.split(",", 1)
                assert head.startswith("data:text/")
                self.files[str(found["download"])] = base64.b64decode(body).decode()
            else:
                assert target.startswith("#")
                self.links[target[1:]] = target

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(file: Path) -> tuple[str, Page]:
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.links) <= set(page.ids)
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(svg)
    return text, page


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_numbers_are_those_of_the_records(grid: Path) -> None:
    (one,) = read_measured(grid)
    assert one.reference == "residual"
    assert one.contenders == ("residual", "better", "worse")
    assert one.sizes == SIZES
    scores = scores_of(grid)
    others = [(name, size) for name in ("better", "worse") for size in SIZES]
    differences = {key: paired_difference(scores[key], scores["residual", key[1]]) for key in others}
    adjusted = dict(zip(others, holm([differences[key].p for key in others]), strict=True))
    for key, place in one.places.items():
        assert place.mean == pytest.approx(np.mean(scores[key]))
        assert place.deviation == pytest.approx(np.std(scores[key], ddof=1))
        assert place.difference == differences.get(key)
        assert place.adjusted_p == adjusted.get(key)
    assert one.places["better", 5].mark == "above"
    assert one.places["worse", 5].mark == "below"
    assert one.places["residual", 5].mark == ""
    baseline = np.array([scores["residual", size] for size in SIZES]).T
    expected = data_saving(SIZES, baseline, scores["better", 10], 10)
    assert one.places["better", 10].saving == expected
    assert expected.low.value < 1.9 < expected.high.value
    cost = one.cost("better", 10)
    assert cost is not None
    assert (cost.steps, cost.seconds, cost.flops, cost.parameters) == (100, 4.0, 3 * 1000 * 100 * 8, 1234)
    assert one.cost("better", 7) is None


def test_a_difference_that_the_correction_takes_away_is_not_marked(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    records = [record("residual", 5, seed, 0.5) for seed in range(5)]
    gap = np.array([0.01, 0.02, 0.03, 0.05, 0.04])  # p = 0.013 by itself, 0.26 among twenty
    records += [record("lucky", 5, seed, 0.5 + gap[seed]) for seed in range(5)]
    for number in range(19):
        noise = generator.normal(0, 0.01, 5)
        records += [record(f"other-{number:02}", 5, s, 0.5 + (noise - noise.mean())[s]) for s in range(5)]
    (one,) = read_measured(store(tmp_path / "many", *records))
    lucky = one.places["lucky", 5]
    assert lucky.difference is not None
    assert lucky.difference.clear
    assert lucky.adjusted_p == pytest.approx(min(1, 20 * lucky.difference.p))
    assert lucky.mark == ""


def test_the_page_stands_alone_and_holds_its_numbers(grid: Path) -> None:
    file = write_grid_report(grid.parent)
    assert file == grid.parent / "report.html"
    text, page = read(file)
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert set(page.files) == {
        "runs.csv",
        "comparisons.csv",
        "ranks.csv",
        "residual.yaml",
        "better.yaml",
        "worse.yaml",
    }
    assert len(rows(page.files["runs.csv"])) == 45
    compared = {(row["contender"], int(row["images"])): row for row in rows(page.files["comparisons.csv"])}
    scores = scores_of(grid)
    assert set(compared) == set(scores)
    for key, row in compared.items():
        assert float(row["mean"]) == pytest.approx(np.mean(scores[key]))
    assert compared["residual", 5]["difference"] == compared["residual", 5]["data_saving"] == ""
    low, high = (float(compared["better", 5][f"bootstrap_{end}"]) for end in ("low", "high"))
    assert low < float(compared["better", 5]["difference"]) < high
    # Better, worse and the reference differ on every block in this order.
    ranks = {row["contender"]: float(row["mean_rank"]) for row in rows(page.files["ranks.csv"])}
    assert ranks == {"better": 1, "residual": 2, "worse": 3}
    assert text.count('id="cost-') == 6  # steps, FLOPs, seconds; each has a title and a description
    place = read_measured(grid)[0].places["better", 5]
    assert place.difference is not None
    assert f"▲ {100 * place.difference.mean:+.1f} [" in text
    assert yaml.safe_load(page.files["better.yaml"]) == {
        "method": "residual",
        "preset": "tiny",
        "set": {"steps": "100", "lr": "0.05", "batch_size": "8"},
    }
    assert "vipriors bench digits better=better.yaml --sizes 5,10,20 --seeds 5 --out DIR" in text


def test_another_reference(grid: Path) -> None:
    (one,) = read_measured(grid, "worse")
    assert one.contenders[0] == one.reference == "worse"
    assert one.places["residual", 5].mark == "above"
    with pytest.raises(
        BadInput, match=r"--reference nope: was not measured; expected one of better, residual"
    ):
        read_measured(grid, "nope")


def test_words_from_records_are_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    records = [record(evil[:8], size, seed, 0.5 + 0.01 * seed) for size in (5, 10) for seed in (0, 1)]
    folder = store(tmp_path / "a", *(one | {"challenge": f"c{evil}"} for one in records))
    (folder / "failed").mkdir()
    (folder / "failed" / "x-n5-s0.json").write_text(json.dumps({"challenge": "c", "error": evil}))
    text = write_grid_report(folder).read_text()
    assert "<script" not in text
    assert "&lt;script" in text


def test_one_size_of_all_images_without_cost(tmp_path: Path) -> None:
    records = [
        record(name, None, seed, score + 0.01 * seed, cost={}, task="reid", headline="mAP")
        | {"scores": {"mAP": score + 0.01 * seed}, "challenge": "mine"}
        for name, score in (("embedding", 0.4), ("pixels", 0.1))
        for seed in range(3)
    ]
    text, page = read(write_grid_report(store(tmp_path / "a", *records)))
    assert "all images" in text
    assert "Data-saving factor" not in text
    assert "Score against" not in text
    assert "curve-" not in text
    assert "--sizes" not in text
    assert {row["images"] for row in rows(page.files["runs.csv"])} == {""}


def test_a_single_run_is_shown_without_intervals(tmp_path: Path) -> None:
    text, page = read(write_grid_report(store(tmp_path / "a", record("residual", 5, 0, 0.5))))
    assert "50.0" in text
    assert "Score against cost" in text
    assert "<svg" not in text
    assert set(page.files) == {"runs.csv", "comparisons.csv", "residual.yaml"}


def test_failed_cells_are_shown(grid: Path) -> None:
    (grid / "failed").mkdir()
    note = {"challenge": "digits", "error": "FloatingPointError: the loss became nan"}
    (grid / "failed" / "other-n5-s0.json").write_text(json.dumps(note))
    text, _ = read(write_grid_report(grid))
    assert "other-n5-s0" in text
    assert "the loss became nan" in text


def test_records_that_do_not_fit_are_all_named(tmp_path: Path) -> None:
    other = record("better", 5, 0, 0.5) | {"manifest_sha256": "other"}
    folder = store(tmp_path / "all", record("residual", 5, 0, 0.5), other)
    store(folder / "again", record("residual", 5, 0, 0.5))
    lacking = record("residual", 10, 0, 0.5)
    del lacking["hyper_parameters"]
    (folder / "lacking-n10-s0.json").write_text(json.dumps(lacking))
    with pytest.raises(BadInput) as caught:
        read_measured(folder)
    text = str(caught.value)
    assert "digits, residual, size 5, seed 0: is there 2 times; expected one record" in text
    assert "better, residual, residual did not learn from the same images" in text
    assert "a record lacks hyper_parameters" in text
    assert len(caught.value.problems) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no records of `vipriors bench`"):
        read_measured(tmp_path / "empty")


def test_a_description_is_what_the_file_says() -> None:
    found = description_of(
        "A thing: with `code`.\n\nSource: A, B, 2020;\n<more>.\n\nWords alone: they stay.\n\n"
        "Deviations from the paper:\n1. First,\n   going on.\n2. Second."
    )
    assert found.summary == "A thing: with <code>code</code>."
    source, words, deviations = found.parts
    assert (source.title, source.text) == ("Source", "A, B, 2020; &lt;more&gt;.")
    assert (words.title, words.text) == ("Words alone", "they stay.")
    assert deviations.title == "Deviations from the paper"
    assert deviations.items == ("First, going on.", "Second.")
    real = read_description("residual")
    assert real is not None
    assert [part.title for part in real.parts] == ["Source", "Shapes", "Deviations from the papers"]
    assert len(real.parts[2].items) == 5
    assert read_description("nowhere") is None


def test_a_method_that_sets_itself_has_no_recipe() -> None:
    runs = [
        record("nearest-neighbour", 5, seed, 0.5, method="nearest-neighbour", challenge="cifar-10")
        | {"hyper_parameters": {"distance": kind}, "precision": "bfloat16"}
        for seed, kind in enumerate(("cosine", "euclidean", "cosine"))
    ]
    found = measurement(runs)
    assert found.settings == {"distance": "cosine, euclidean (searched on each subset)"}
    assert found.recipe == ""
    expected = "vipriors bench cifar-10 nearest-neighbour --sizes 5 --seeds 3 --precision bfloat16"
    assert found.command == f"{expected} --source DIR --out DIR"
    tuned = {"challenge": "digits", "trials": 20, "images_per_class": 10, "subsets": [1000, 1001]}
    assert measurement([record("a", 5, 0, 0.5, tuning=tuned)]).tuning == (
        "20 trials on digits, 10 images a class, 2 subsets of its own"
    )


def points_of(svg: str, kind: str) -> list[tuple[float, float]]:
    (found,) = (e for e in ElementTree.fromstring(svg).iter() if e.get("class") == kind)
    return [tuple(map(float, pair.split(","))) for pair in found.get("points", "").split()]  # type: ignore[misc]


def test_curves_are_drawn_to_scale() -> None:
    curve = Curve("a", [(5, 80, 75, 85), (10, 90, 88, 92), (20, 95, 94, 96)])
    chart = curve_chart("c", "A", "score, %", [Curve("b", [(5, 70, 70, 70)]), curve], (70, 100))
    line = points_of(chart, "curve main")
    assert line[1][0] - line[0][0] == pytest.approx(line[2][0] - line[1][0], abs=0.2)  # even in the logarithm
    assert (line[0][1] - line[1][1]) / (line[1][1] - line[2][1]) == pytest.approx(2, rel=0.02)
    band = points_of(chart, "band main")
    assert [y for _, y in band[:3]] < [y for _, y in line]
    assert band[-1][0] == line[0][0]
    assert "a: 80.0 at 5, 90.0 at 10, 95.0 at 20" in chart


def test_dots_of_cost_keep_their_labels_apart() -> None:
    dots = [Dot(str(number), 1000, 80 + number / 10, number == 3) for number in range(12)]
    chart = cost_chart("c", "A", "score, %", "steps", [*dots, Dot("far", 2000, 90)])
    tree = ElementTree.fromstring(chart)
    circles = [e for e in tree.iter("circle") if "dot" in e.get("class", "")]
    labels = [e for e in tree.iter("text") if "name" in e.get("class", "")]
    assert len(circles) == 13
    assert 2 <= len(labels) < 13
    assert "far" in {e.text for e in labels}
    boxes = [(float(e.get("x", 0)), float(e.get("y", 0))) for e in labels]
    assert len(set(boxes)) == len(boxes)


def test_logarithmic_scales() -> None:
    axis = LogAxis(10, 1000, 0, 100)
    assert [axis(v) for v in (10, 100, 1000)] == pytest.approx([0, 50, 100])
    assert axis.ticks() == pytest.approx([10, 30, 100, 300, 1000])
    assert LogAxis(5, 5, 0, 100)(5) == pytest.approx(50)
    assert len(LogAxis(1e-3, 1e9, 0, 100).ticks()) <= 5
    assert [short(v) for v in (3, 1500, 2e7, 3.5e12, 2e15)] == ["3", "1.5k", "20M", "3.5T", "2e+03T"]
