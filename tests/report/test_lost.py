"""The report's section on lost AP: its numbers, which errors are drawn, and what is drawn and said."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from test_pictures_objects import BOX, NAMES, SIZE, TESTS, made, shape_of, task  # noqa: F401

from vipriors.diagnose.predictions import diagnose_files
from vipriors.pictures.objects import LEAST_SCORE, PANEL, Thing
from vipriors.report import write_report
from vipriors.report.finished import read_run
from vipriors.report.lost import COUNT, FOUND, TRUTH, draw, lost_of, worst

# In the made run an ant in image n is found moved by n pixels: badly placed from n = 5 on. A faint cat lies
# wherever an ant is.


def test_numbers_and_kinds(made):  # noqa: F811
    run, data = made
    lost = lost_of(read_run(run), data)
    assert lost is not None
    assert lost.diagnosis.counts == {"Cls": 10, "Loc": 5, "Both": 0, "Dupe": 0, "Bkg": 0, "Miss": 0}
    costs = [kind.cost for kind in lost.kinds]
    assert costs == sorted(costs, reverse=True)
    assert {kind.name: (kind.count, len(kind.pictures)) for kind in lost.kinds} == {
        "Cls": (10, COUNT),
        "Loc": (5, COUNT),
    }
    for kind in lost.kinds:
        assert f">{kind.words}: {kind.count}<" in lost.bars


def test_what_is_drawn_and_said(made):  # noqa: F811
    run, data = made
    lost = lost_of(read_run(run), data)
    kinds = {kind.name: kind for kind in lost.kinds}
    first = kinds["Loc"].pictures[0]
    assert first.caption == "img_5.png: ant with a score of 0.80 overlaps the object by only 0.41."
    pixels = np.asarray(Image.open(io.BytesIO(first.png)))
    assert pixels.shape == (PANEL * SIZE[0] // SIZE[1], PANEL, 3)
    scale = PANEL // SIZE[1]
    row = pixels[scale * (BOX[1] + 4)]  # through both boxes, below the words
    for shade, x in ((TRUTH, BOX[0]), (FOUND, BOX[0] + 5)):
        places = np.flatnonzero((row == shade).all(axis=1))
        assert places.min() == scale * x
        assert places.max() in range(scale * (x + BOX[2]) - 2, scale * (x + BOX[2]))
    assert kinds["Cls"].pictures[0].caption == (
        f"img_0.png: cat with a score of {LEAST_SCORE - 0.01:.2f} is ant; they overlap by 1.00."
    )


def test_the_worst_are_the_surest_one_of_an_image_and_the_largest_missed(made, task):  # noqa: F811
    run, data = made
    labels_file, file = data / "labels/test/labels.json", run / "predictions.json"
    results = json.loads(file.read_text())
    for number, result in enumerate(results):
        result["score"] = 0.5 + 0.01 * number
    results.append({"image_id": 59, "category_id": 1, "score": 0.9, **shape_of(task, *BOX)})
    results.append({"image_id": 51, "category_id": 1, "score": 0.8, **shape_of(task, 0, 25, 3, 3)})
    file.write_text(json.dumps(results))
    diagnosed = diagnose_files(task, file, labels_file)
    assert worst(diagnosed, "Cls") == [2 * TESTS, 17, 15]
    assert worst(diagnosed, "Bkg") == [2 * TESTS + 1]
    assert worst(diagnosed, "Miss") == []
    labels = json.loads(labels_file.read_text())
    for number, annotation in enumerate(labels["annotations"]):
        annotation["area"] = 100 + 10 * (number % 7)
    labels_file.write_text(json.dumps(labels))
    file.write_text("[]")
    assert worst(diagnose_files(task, file, labels_file), "Miss") == [6, 5, 4]


@pytest.mark.parametrize(
    ("kind", "result", "sentence"),
    [
        ("Bkg", (1, 0, 25, 3, 3), "cat with a score of 0.90 overlaps no object by more than 0.1."),
        ("Dupe", (2, *BOX), "ant with a score of 0.79 overlaps by 1.00 what a surer result has found."),
        ("Both", (1, BOX[0] + 6, *BOX[1:]), "cat with a score of 0.90 overlaps an object by at most 0.33"),
    ],
)
def test_sentences(made, task, kind, result, sentence):  # noqa: F811
    run, data = made
    category, *box = result
    score = 0.79 if kind == "Dupe" else 0.9
    more = {"image_id": 50, "category_id": category, "score": score, **shape_of(task, *box)}
    first = {"image_id": 50, "category_id": 2, "score": 0.8, **shape_of(task, *BOX)}
    (run / "predictions.json").write_text(json.dumps([first, more]))
    kinds = {one.name: one for one in lost_of(read_run(run), data).kinds}
    assert sentence in kinds[kind].pictures[0].caption
    assert kinds["Miss"].pictures[0].caption == "img_1.png: ant was not found."
    assert kinds["Miss"].count == TESTS - 1


def test_the_page_shows_it_and_only_where_there_are_labels(made, tmp_path):  # noqa: F811
    run, data = made
    page = write_report(run, data, tmp_path / "report.html").read_text()
    assert "Where AP is lost" in page
    assert "badly placed: " in page
    without = write_report(run, None, tmp_path / "without.html").read_text()
    assert "Where AP is lost" not in without
    (data / "labels/test/labels.json").unlink()
    (data / "labels/test").rmdir()
    assert lost_of(read_run(run), data) is None


def test_objects_at_the_edges_and_larger_than_the_image_are_drawn():
    image = np.zeros((20, 30, 3), np.uint8)
    things = [Thing(0, (-5, -5, 4, 6), 0.5), Thing(1, (2, 3, 60, 40))]
    pixels = draw(image, things[0], things[1], [Thing(0, (29, 19, 30, 20))], NAMES)
    assert (pixels == TRUTH).all(axis=2).any()
    assert (pixels == FOUND).all(axis=2).any()
