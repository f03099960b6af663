import base64
import json
import re
from html.parser import HTMLParser
from importlib import resources
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from vipriors.problems import BadInput
from vipriors.report import confusion, write_report
from vipriors.report.mistakes import MOST, THUMBNAIL, thumbnail

VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = ('<script>alert("1")</script>', "a&b'\"", "{{ 7 * 7 }}")


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.ids, self.headings, self.data, self.images, self.attributes = (
            text,
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.words, self._open, self._row, self.tables = [], [], None, []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [attributes["id"]] if "id" in attributes else []
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "data":
            self.data.append(float(attributes["value"]))
        if tag == "img":
            self.images.append(attributes)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open and "svg" not in self._open:
            self.words.append(data)

    @property
    def prose(self):
        return " ".join(" ".join(self.words).split())


def page_of(made, with_data=True):
    return Page(write_report(made.run, made.data if with_data else None).read_text())


def problems_of(*arguments):
    with pytest.raises(BadInput) as caught:
        write_report(*arguments)
    return [str(problem) for problem in caught.value.problems]


# Structure


@pytest.mark.parametrize("count", [2, 10, 30, 31, 100, 201])
def test_the_page_is_self_contained_and_well_formed(make, count):
    page = page_of(make([f"class {n}" for n in range(count)], per_class=3))
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", page.text))
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.images)
    assert all(image["alt"] for image in page.images)
    assert len(page.ids) == len(set(page.ids))
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    references = [i for name, value in page.attributes if name == "aria-labelledby" for i in value.split()]
    assert set(references) <= set(page.ids)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert len(page.text.encode()) < 1_000_000


def test_hostile_names_stay_words(make):
    made = make(HOSTILE, method="<b>bold", preset="<i>", hyper_parameters={"<u>": "'; rm -rf $HOME"})
    page = page_of(made)
    assert not {"script", "b", "i", "u"} & set(page.tags)
    for name in (*HOSTILE, "<b>bold"):
        assert name in page.prose
    assert "49" not in page.prose.split()
    assert """--set '<u>='"'"'; rm -rf $HOME'""" in page.prose.replace(" \\ ", " ")


# Numbers


def test_the_scores_are_those_of_the_file(make):
    made = make()
    page = page_of(made)
    record = json.loads((made.run / "scores.json").read_text())
    floor = json.loads((made.run / "floors/svm/scores.json").read_text())
    top1, balanced = record["scores"]["top1"], record["scores"]["balanced_accuracy"]
    assert page.data[:3] == [top1, *record["intervals"]["top1"]]
    assert page.data[3:6] == [balanced, *record["intervals"]["balanced_accuracy"]]
    assert page.data[6] == 0.75  # validation
    assert page.data[7] == pytest.approx(1 / 3)  # always one class
    assert page.data[8:14] == [
        top1, *record["intervals"]["top1"], floor["scores"]["top1"], *floor["intervals"]["top1"]
    ]  # fmt: skip
    recalls = [row["recall"] for row in record["details"]["per_class"]]
    assert page.data[14:17] == recalls
    assert "on 18 test images, 12 right" in page.prose
    assert "66.7\u202f%" in page.text


def test_the_chart_shows_the_scores(make):
    made = make()
    record = json.loads((made.run / "scores.json").read_text())
    low, high = (100 * value for value in record["intervals"]["top1"])
    assert f"residual 66.7\u202f% ({low:.1f} to {high:.1f}); svm 50.0\u202f%" in page_of(made).text


def test_the_matrix_holds_every_count(make):
    made = make()
    page = page_of(made)
    cells = re.findall(r'<td class="(right|wrong|zero)"[^>]*>(\d*)</td>', page.text)
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (made.truth, made.predicted), 1)
    assert [int(count or 0) for _, count in cells] == expected.ravel().tolist()
    assert [kind for kind, _ in cells if kind != "wrong"].count("right") == np.count_nonzero(
        expected.diagonal()
    )


def test_above_thirty_classes_the_pairs_are_listed(make):
    made = make([f"class {n}" for n in range(40)])
    page = page_of(made)
    assert 'id="confusion-map-title"' in page.text
    assert 'class="matrix"' not in page.text
    rows = re.findall(
        r'<tr><td>(.*?)</td><td>(.*?)</td><td class="num">(\d+)</td><td class="num muted">(\d+)</td></tr>',
        page.text,
    )
    assert len(rows) == 20
    for label, predicted, count, images in rows:
        taken = (made.truth == int(label[6:])) & (made.predicted == int(predicted[6:]))
        assert (int(count), int(images)) == (taken.sum(), 6)
    counts = [int(row[2]) for row in rows]
    assert counts == sorted(counts, reverse=True)


def test_pairs_are_in_the_order_of_their_counts():
    matrix = np.array([[5, 1, 0, 9], [3, 0, 2, 0], [0, 0, 4, 0]])
    pairs = confusion.confused_pairs(matrix, ["a", "b", "c"])
    assert [(p.label, p.predicted, p.count, p.images) for p in pairs] == [
        ("b", "a", 3, 5), ("b", "c", 2, 5), ("a", "b", 1, 15)
    ]  # fmt: skip


def test_missing_predictions_have_a_column_of_their_own():
    matrix = np.array([[5, 1, 2], [0, 0, 0]])
    assert confusion.columns(matrix, ["a", "b"]) == ["a", "b", "none"]
    first, second = confusion.class_rows(matrix, ["a", "b"])
    assert [cell.count for cell in first.cells] == [5, 1, 2]
    assert (first.images, first.recall, second.recall) == (8, 0.625, None)
    assert [cell.kind for cell in first.cells] == ["right", "wrong", "wrong"]
    assert confusion.columns(matrix[:, [0, 1, 1]] * 0, ["a", "b"]) == ["a", "b"]


# Pictures


def test_the_worst_mistakes_come_first_with_their_pixels(make):
    made = make(per_class=40)
    page = page_of(made)
    wrong = [n for n in range(120) if made.truth[n] != made.predicted[n]]
    worst = sorted(wrong, key=lambda n: -made.probabilities[n, made.predicted[n]])[:MOST]
    names = ("circle", "square", "star")
    assert [image["alt"] for image in page.images] == [
        f"Test image {made.ids[n]}, label {names[made.truth[n]]}" for n in worst
    ]
    for image, n in zip(page.images, worst, strict=True):
        stored = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(stored))), made.images[n, :, :, 0])
        assert image["class"] == "pixels"
    shares = page.data[-2 * MOST :]
    assert shares[0::2] == pytest.approx([made.probabilities[n, made.predicted[n]] for n in worst], rel=1e-5)
    assert shares[1::2] == pytest.approx([made.probabilities[n, made.truth[n]] for n in worst], rel=1e-5)


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3), (13, 3)])
def test_pictures_of_any_number_of_channels(make, channels, shown):
    made = make(channels=channels)
    image = page_of(made).images[0]
    picture = Image.open(BytesIO(base64.b64decode(image["src"].partition(",")[2])))
    place = made.ids.index(image["alt"].split()[2].rstrip(","))
    expected = (
        made.images[place, :, :, :shown].squeeze(axis=2) if shown == 1 else made.images[place, :, :, :3]
    )
    np.testing.assert_array_equal(np.asarray(picture), expected)


def test_large_pictures_are_reduced():
    picture = thumbnail(np.zeros((300, 600, 3), np.uint8))
    assert picture.size == (THUMBNAIL, THUMBNAIL // 2)


def test_a_single_mistake_is_a_single_picture(make):
    page = page_of(make(mistaken=10**6))  # the first image only
    assert [image["alt"] for image in page.images] == ["Test image img_0.png, label circle"]


def test_a_perfect_run_has_no_pictures(make):
    made = make()
    labels = [f"{id_},{label}\n" for id_, label in zip(made.ids, made.predicted.tolist(), strict=True)]
    (made.data / "labels/test.csv").write_text("Image IDs,Labels\n" + "".join(labels))
    (made.run / "scores.json").unlink()
    assert "None: every test image was named rightly." in page_of(made).prose


def test_without_data_it_says_how_to_get_pictures(make):
    page = page_of(make(), with_data=False)
    assert not page.images
    assert "Pictures of the mistakes need the prepared images: vipriors report RUN --data DIR" in page.prose


# Runs that lack something


def test_a_run_without_scores(make):
    made = make(scored=False)
    (made.data / "labels/test.csv").unlink()
    page = page_of(made)
    assert "Not scored. The test labels are not at hand." in page.prose
    assert "There is no score to compare; the floors were run too." in page.prose
    assert "Pictures of the mistakes need the test labels, which are not at hand." in page.prose
    assert page.data == [0.75]
    assert "polyline" in page.tags


def test_a_run_without_floors_or_logs(make):
    made = make(floor=False)
    (made.run / "log.jsonl").unlink()
    (made.run / "rehearsal/log.jsonl").unlink()
    page = page_of(made)
    assert "No floors were run" in page.prose
    assert "This method keeps no training log." in page.prose
    assert "polyline" not in page.tags


def test_a_log_whose_last_line_is_cut_short(make):
    made = make()
    whole = page_of(made).text
    with (made.run / "log.jsonl").open("a") as log:
        log.write('{"step": 110, "lo')
    assert page_of(made).text == whole


def test_a_log_with_a_loss_that_is_no_number_has_a_gap(make):
    made = make()
    with (made.run / "log.jsonl").open("a") as log:
        log.write('{"step": 110, "loss": NaN, "lr": 0.1}\n')
    page = page_of(made)
    assert "nan" not in page.text.lower().replace("name", "")
    assert "learning rate against step: final run ends at 0.1." in page.text


def test_a_run_fitted_to_train_alone_shows_its_own_validation(make):
    made = make(fit_on="train", rehearse=False)
    (made.run / "rehearsal/log.jsonl").rename(made.run / "log.jsonl")
    page = page_of(made)
    assert "learned from 9 images, 5 a class with validation" in page.prose
    assert "loss against step: training ends at 1; validation ends at 2." in page.text
    assert "in rehearsal" not in page.prose


def test_curves_of_a_rehearsed_run(make):
    text = page_of(make()).text
    assert "loss against step: final run ends at 1; rehearsal ends at 1; validation ends at 2." in text
    assert "top-1 accuracy, % against step: validation ends at 100." in text


def test_it_can_be_written_elsewhere_and_is_the_same_each_time(make, tmp_path):
    made = make()
    first = write_report(made.run, made.data, tmp_path / "new/page.html")
    assert first == tmp_path / "new/page.html"
    assert first.read_bytes() == write_report(made.run, made.data).read_bytes()
    assert not (tmp_path / "new/.page.html.tmp").exists()


def test_a_run_as_the_package_makes_it(tmp_path):
    from vipriors.challenges import find
    from vipriors.challenges.schema import read_challenge
    from vipriors.runs.prepared import find_data
    from vipriors.runs.run import Plan, run, run_floors

    challenge = read_challenge(find("digits"))
    data = find_data(challenge, challenge.rule(), data=tmp_path / "data")
    plan = Plan("residual", overrides={"steps": "5", "width": "8"}, rehearse=True)
    score = run(data, plan, tmp_path / "run")
    floors = run_floors(data, 0, tmp_path / "run")
    page = Page(write_report(tmp_path / "run", tmp_path / "data").read_text())
    assert page.data[0] == score.estimates["top1"].value
    assert {floor.estimates["top1"].value for floor in floors.values()} <= set(page.data)
    assert len(page.images) == MOST
    assert page.tags.count("polyline") == 5  # final run, rehearsal, validation; accuracy; rate
    assert "vipriors run digits residual --preset tiny --seed 0 --rehearse" in page.prose


# The recipe and the command


def test_the_recipe_names_all_that_was_set(make):
    made = make()
    prose = page_of(made).prose
    recipe = json.loads((made.run / "recipe.json").read_text())
    record = json.loads((made.run / "record.json").read_text())
    for key in recipe["hyper_parameters"]:
        assert key in prose
    for value in (recipe["manifest_sha256"], record["predictions_sha256"], "f" * 64, "1 234 567"):
        assert value in prose
    assert "training seconds 12.5" in prose


def command_of(made):
    (code,) = re.findall(r"<pre[^>]*><code>(vipriors run .*?)</code></pre>", page_of(made).text, re.DOTALL)
    return code.replace(" \\\n  ", " ").replace("&#39;", "'")


def test_the_command_states_every_hyper_parameter(make):
    made = make()
    assert command_of(made) == (
        "vipriors run mine/shapes.yaml residual --preset tiny --seed 0 --rehearse --floors "
        "--set steps=100 --set lr=0.05 --set policy=none --set widths=16,32 --set nesterov=true"
    )


def test_the_command_states_what_is_not_usual(make):
    made = make(
        images_per_class=3, subset_seed=7, fit_on="train", rehearse=False, precision="float32", floor=False
    )
    recipe = json.loads((made.run / "recipe.json").read_text())
    recipe["challenge"] |= {"name": "digits", "source": {"kind": "folder"}}
    recipe |= {"hyper_parameters": {}, "challenge_file": "digits"}
    (made.run / "recipe.json").write_text(json.dumps(recipe))
    assert command_of(made) == (
        "vipriors run digits residual --preset tiny --seed 0 --images-per-class 3 --subset-seed 7 "
        "--source DIR --fit train --precision float32"
    )
    assert "<code>vipriors audit run --source DIR</code>" in (made.run / "report.html").read_text()


def test_images_without_classes_are_counted_in_all(make):
    made = make(images_per_class=18)
    recipe = json.loads((made.run / "recipe.json").read_text())
    recipe["challenge"]["subset"] = {"images": 18}
    (made.run / "recipe.json").write_text(json.dumps(recipe))
    assert "--images-per-class" not in command_of(made)
    prose = page_of(made).prose
    assert " images 18 " in prose and "images a class" not in prose


def test_the_page_does_not_tell_where_it_was_made(make, tmp_path):
    assert str(tmp_path) not in page_of(make()).text


# Bad input


def test_no_run(tmp_path):
    assert problems_of(tmp_path) == [f"{tmp_path}: is not a run folder: it has no recipe.json"]


def test_an_unfinished_run(make):
    made = make()
    (made.run / "record.json").unlink()
    expected = "is not a finished run: it has no record.json; finish it with `vipriors run … --resume`"
    assert problems_of(made.run) == [f"{made.run}: {expected}"]


def test_every_damaged_file_is_listed(make):
    made = make()
    recipe = json.loads((made.run / "recipe.json").read_text())
    del recipe["method"]
    recipe["seed"] = "zero"
    (made.run / "recipe.json").write_text(json.dumps(recipe))
    (made.run / "record.json").write_text("{")
    (made.run / "log.jsonl").write_text('nonsense\n{"loss": 1}\n{"step": -1}\n{"step": NaN}\n{"step": 2}\n')
    problems = problems_of(made.run)
    assert [problem.partition(": ")[0] for problem in problems] == [
        f"{made.run}/recipe.json, method",
        f"{made.run}/recipe.json, seed",
        f"{made.run}/record.json",
        f"{made.run}/log.jsonl, line 1",
        f"{made.run}/log.jsonl, line 2",
        f"{made.run}/log.jsonl, line 3",
        f"{made.run}/log.jsonl, line 4",
    ]
    assert problems[-4:-2] == [
        f"{made.run}/log.jsonl, line 1: is not JSON",
        f"{made.run}/log.jsonl, line 2: expected an object with a number from 0 up as `step`",
    ]


def change_details(made, **changes):
    record = json.loads((made.run / "scores.json").read_text())
    record["details"] |= changes
    (made.run / "scores.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"confusion": [[1, 2], [3, 4]]},
            "details.confusion: 2 rows, and has rows of [2] counts; expected 3 of 4",
        ),
        ({"n_test": 19}, "details.confusion: counts 18 images; expected 19, which is n_test"),
        (
            {"n_test": 0},
            "details, n_test: Input should be greater than or equal to 1",
        ),
    ],
)
def test_details_that_do_not_fit(make, changes, expected):
    made = make()
    change_details(made, **changes)
    assert problems_of(made.run) == [f"{made.run}/scores.json, {expected}"]


def test_scores_that_are_no_object(make):
    made = make()
    (made.run / "scores.json").write_text("[]")
    assert problems_of(made.run) == [f"{made.run}/scores.json: is not a JSON object"]


def test_a_floor_on_other_images(make):
    made = make()
    file = made.run / "floors/svm/recipe.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"manifest_sha256": "1" * 64}))
    expected = f"{made.run}/floors/svm: used other images than the run that it stands beside"
    assert problems_of(made.run) == [expected]


def test_labels_of_another_run(make):
    made = make()
    lines = [f"{id_},{label}\n" for id_, label in zip(made.ids, made.predicted.tolist(), strict=True)]
    (made.data / "labels/test.csv").write_text("Image IDs,Labels\n" + "".join(lines))
    expected = "make 0 predictions wrong; expected 6, as in scores.json: these are not the labels of this run"
    assert problems_of(made.run, made.data) == [f"{made.data}/labels/test.csv: {expected}"]


def test_data_that_is_no_prepared_folder(make, tmp_path):
    made = make()
    expected = "does not exist; make it with `vipriors data prepare`"
    assert problems_of(made.run, tmp_path / "nowhere") == [f"{tmp_path}/nowhere: {expected}"]


def test_images_that_changed(make):
    made = make()
    for id_ in made.ids:
        (made.data / "images/test" / id_).write_bytes(b"other")
    problems = problems_of(made.run, made.data)
    assert len(problems) == 6
    assert all("is damaged or changed" in problem for problem in problems)


def test_predictions_that_are_damaged(make):
    made = make()
    (made.run / "predictions.csv").write_text("Image IDs,Predictions\n")
    assert len(problems_of(made.run, made.data)) == len(made.ids)


# Colours


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    """WCAG 2 contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def over(page, rgb, alpha):
    base = np.array([int(page[i : i + 2], 16) for i in (1, 3, 5)])
    return "#" + "".join(f"{round(v):02x}" for v in alpha * np.array(rgb) + (1 - alpha) * base)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_contrasts_reach_wcag_aa(mode):
    css = (resources.files("vipriors.report") / "run.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    values = dict(re.findall(r"--([a-z0-9]+): ([^;]+);", light))
    if mode:
        values |= dict(re.findall(r"--([a-z0-9]+): ([^;]+);", dark))
    page = values["page"]
    for text in ("ink", "muted"):
        assert contrast(values[text], page) >= 4.5
        assert contrast(values[text], values["faint"]) >= 4.5
    for line in ("s0", "s1", "s2"):
        assert contrast(values[line], page) >= 4.5
    for name in ("blue", "orange"):
        rgb = [int(number) for number in values[name].split()]
        for alpha in np.linspace(0, 0.7, 8):
            assert contrast(values["ink"], over(page, rgb, alpha)) >= 4.5
