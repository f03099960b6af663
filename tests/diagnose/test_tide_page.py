"""The command, its text, page and tables."""

import csv
import json
import re
from xml.etree import ElementTree

import pytest
from tide_cases import case, ours, theirs, truth_of

from vipriors.cli import main
from vipriors.diagnose.charts import bars, ring, special_bars
from vipriors.diagnose.errors import KINDS, LABELS, Settings


@pytest.fixture
def files(tmp_path):
    """A labels file and a predictions file with all kinds of errors, and their contents."""
    labels, results = case(3)
    for name, content in (("labels", labels), ("found", results)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path, labels, results


def run(folder, *options):
    given = [str(folder / "found.json"), "--labels", str(folder / "labels.json"), *options]
    return main(["diagnose", "tide", *given])


def test_the_command_gives_the_package_s_numbers(files, capsys):
    folder, labels, results = files
    assert run(folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    ap, main_errors, special, counts = theirs(labels, results)
    assert found["ap"] == pytest.approx(ap, abs=1e-9)
    assert found["delta_ap"] == pytest.approx(main_errors, abs=1e-9)
    assert found["special"] == pytest.approx(special, abs=1e-9)
    assert found["counts"] == counts
    assert run(folder, "--threshold", "0.75", "--background", "0.2", "--corrected", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ap"] == ours(labels, results, Settings(0.75, 0.2, corrected=True)).ap
    assert (found["foreground"], found["background"], found["corrected"]) == (0.75, 0.2, True)


def test_masks(tmp_path, capsys):
    labels, results = case(5, masks=True)
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    (tmp_path / "found.json").write_text(json.dumps(results))
    assert run(tmp_path, "--task", "instances", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ap"] == pytest.approx(theirs(labels, results, masks=True)[0])
    assert run(tmp_path) == 1  # they hold no boxes
    assert "labels.json, annotations, entry 0" in capsys.readouterr().err


def test_the_text_has_a_line_for_each_error(files, capsys):
    folder, labels, results = files
    diagnosis = ours(labels, results)
    assert run(folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"AP {diagnosis.ap:.2f} at an overlap of 0.5"
    told = {words[0]: words for line in lines[3:] if (words := line.split())}
    assert list(told) == [*KINDS, "FalsePos", "FalseNeg"]
    for kind in KINDS:
        assert told[kind][1:3] == [f"{diagnosis.delta_ap[kind]:.2f}", str(diagnosis.counts[kind])]
    longest = max(line.count("█") for line in lines)
    assert longest == 24


def test_tables_of_results_and_missed_objects(files, capsys):
    folder, labels, results = files
    diagnosis = ours(labels, results)
    assert run(folder, "--out", str(folder / "out"), "--json") == 0
    assert [file.rpartition("/")[2] for file in json.loads(capsys.readouterr().out)["files"]] == [
        "tide.html",
        "results.csv",
        "missed.csv",
    ]
    with (folder / "out/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results)
    names = {category["id"]: category["name"] for category in labels["categories"]}
    for entry, (row, result) in enumerate(zip(rows, results, strict=True)):
        assert row["entry"] == str(entry)
        assert (row["image_id"], row["category"]) == (
            str(result["image_id"]),
            names[result["category_id"]],
        )
        assert float(row["score"]) == pytest.approx(result["score"])
        assert row["is"] == LABELS[diagnosis.labels[entry]]
        assert row["in_crowd"] == ("yes" if diagnosis.ignored[entry] else "no")
        if row["object"]:  # in the same image
            assert labels["annotations"][int(row["object"])]["image_id"] == result["image_id"]
        assert bool(row["object"]) == (row["is"] in ("hit", "Loc", "Cls"))
    with (folder / "out/missed.csv").open() as file:
        missed = list(csv.DictReader(file))
    assert len(missed) == diagnosis.counts["Miss"]
    for row in missed:
        annotation = labels["annotations"][int(row["object"])]
        assert row["image_id"] == str(annotation["image_id"])
        assert row["category"] == names[annotation["category_id"]]
        assert float(row["area"]) == annotation["bbox"][2] * annotation["bbox"][3]


def test_the_page_fetches_nothing_and_escapes_names(files, capsys):
    folder, *_ = files
    (folder / "found.json").rename(folder / "<b>.json")
    given = ["diagnose", "tide", str(folder / "<b>.json"), "--labels", str(folder / "labels.json")]
    assert main([*given, "--out", str(folder / "out")]) == 0
    page = (folder / "out/tide.html").read_text()
    assert "<b>" not in page and "&lt;b&gt;.json" in page
    assert not re.search(r"https?:|<script|<img|url\(", page)
    assert set(re.findall(r'href="([^"]*)"', page)) == {"results.csv", "missed.csv"}


def test_bad_input_is_listed(files, capsys):
    folder, *_ = files
    (folder / "found.json").write_text('[{"image_id": 1000, "category_id": 1, "score": 2}]')
    assert run(folder) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "found.json" in printed.err and "image_id 1000" in printed.err
    assert run(folder, "--threshold", "0.05") == 1
    assert "expected 0 < background <= foreground <= 1" in capsys.readouterr().err


def test_charts_say_their_numbers_and_keep_their_proportions():
    diagnosis = ours(*case(3))
    for chart in (bars(diagnosis), special_bars(diagnosis), ring(diagnosis)):
        ElementTree.fromstring(chart)  # well formed
    described = bars(diagnosis).split("<desc", 1)[1]
    for kind in KINDS:
        assert f"{kind} {diagnosis.delta_ap[kind]:.1f} by {diagnosis.counts[kind]} errors" in described
    widths = dict(re.findall(r'class="bar (\w+)" x="0" y="\d+" width="([\d.]+)"', bars(diagnosis)))
    largest = max(*diagnosis.delta_ap.values(), *diagnosis.special.values())
    for kind in KINDS:
        assert float(widths[kind]) == pytest.approx(360 * diagnosis.delta_ap[kind] / largest, abs=0.06)
    order = re.findall(r'class="bar (?!empty)(\w+)"', bars(diagnosis))
    assert order == sorted(KINDS, key=lambda kind: -diagnosis.delta_ap[kind])


def test_charts_of_nothing_lost_and_of_one_kind_alone():
    box = {"image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20]}
    labels = truth_of([box | {"id": 1, "iscrowd": 0}], [1], [1])
    assert "nothing is lost" in ring(ours(labels, [box | {"score": 0.9}]))
    alone = ours(labels, [])
    assert "Miss 100%" in ring(alone)
    assert ring(alone).count('class="slice Miss"') == 2
