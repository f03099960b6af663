"""The embedded challenge of planning, from the world to a checked and scored submission and its pictures."""

import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors.challenges import find, hidden, public
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.data.maps import LINKS, Maps
from vipriors.data.subset import cut
from vipriors.data.verify import verify
from vipriors.methods.planning.shortest_path import ShortestPath
from vipriors.methods.protocol import Context
from vipriors.problems import BadInput
from vipriors.report import write_report
from vipriors.report.finished import read_run
from vipriors.report.pictures import pictures_of
from vipriors.report.pictures import planning as drawn
from vipriors.runs import bridges
from vipriors.runs.audit import audit
from vipriors.runs.predict import predict
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.run import Plan, run
from vipriors.tasks import planning
from vipriors.tasks.walks import Episode, follow, roll_out
from vipriors.worlds.maps import floor

bridge = bridges.find("planning")


def test_the_embedded_challenge():
    challenge = read_challenge(find("maps-planning"))
    assert (challenge.task, challenge.form.shape, challenge.form.media) == ("planning", (10, 38), "maps")
    assert (challenge.baseline, challenge.floors) == ("estimated-links", ("straight-line", "shortest-path"))
    picks = cut(challenge.open(), challenge.rule())
    assert [sum(pick.split == split for pick in picks) for split in ("train", "val", "test")] == [
        2000,
        500,
        500,
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": {"size": [8, 8]}}, "input.nodes is for maps, which task planning is about"),
        ({"task": "classification"}, "input.nodes is for maps, which task planning is about"),
        ({"input": {"nodes": 1}}, "greater than or equal to 2"),
    ],
)
def test_what_fits_together(changes, message, tmp_path):
    content = {
        "name": "mine",
        "title": "Mine",
        "task": "planning",
        "source": {"world": "maps", "variant": "16"},
        "input": {"nodes": 16, "channels": 44},
    }
    file = tmp_path / "challenge.yaml"
    file.write_text(json.dumps(content))
    assert read_challenge(file).baseline == "estimated-links"
    file.write_text(json.dumps(content | changes))
    with pytest.raises(BadInput, match=message):
        read_challenge(file)


CHALLENGE = Challenge.model_validate(
    {
        "name": "few-maps",
        "title": "A few maps",
        "task": "planning",
        "source": {"world": "maps", "variant": "10"},
        "subset": {"images": 12, "validation": 0.5, "test_per_class": 10},
        "input": {"nodes": 10, "channels": 38},
    }
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return find_data(CHALLENGE, CHALLENGE.rule(), data=tmp_path_factory.mktemp("maps") / "data")


@pytest.fixture(scope="module")
def finished(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    score = run(data, Plan("shortest-path"), out)
    assert score is not None and (score.task, score.headline) == ("planning", "spl")
    return out


def without_labels(data: RunData, folder: Path) -> RunData:
    shutil.copytree(data.root, folder / "data")
    shutil.rmtree(folder / "data" / "labels")
    return find_data(CHALLENGE, CHALLENGE.rule(), data=folder / "data")


def test_the_prepared_folder(data):
    assert verify(data.root) == [] and data.classes == ("goal",)
    for split in ("train", "val"):
        found = bridge.labelled(data, split)
        for row, map_, links in zip(data.select(split), found.images, found.labels, strict=True):
            assert np.array_equal(map_, floor(row.source).map) and np.array_equal(
                links, floor(row.source).links
            )
    assert len(bridge.labelled(data, "train", "val").labels) == 12
    # Of the test there is nothing but the maps, outside of the hidden labels.
    told = [file.name for file in (data.root / "annotations" / "test").glob("*")]
    assert told == [] and all(row.source == "" for row in data.select("test"))


def test_a_smaller_subset_has_the_labels_of_the_larger(data):
    part = find_data(CHALLENGE, CHALLENGE.rule(6), data=data.root)
    assert len(bridge.labelled(part, "train").labels) == 3
    assert bridge.truth(part, "val").index.ids == tuple(sorted(row.id for row in part.select("val")))


def test_scored_as_by_hand(data, finished):
    """The tries are those of the planner, walked once more one map after the other."""
    lines = (finished / "predictions.csv").read_text().splitlines()
    tries = {id_: tuple(map(int, nodes.split())) for id_, nodes in (line.split(",") for line in lines[1:])}
    labels = planning.read_labels((data.root / "labels/test/labels.json").read_bytes())
    hyper = json.loads((finished / "recipe.json").read_text())["hyper_parameters"]
    planner = ShortestPath(**hyper).fit(None, Context()).model
    weighted = []
    for id_, map_ in zip(data.load("test").ids, data.load("test").images, strict=True):
        truth, known, here, length, made = labels[id_], map_.copy(), labels[id_].start, 0.0, []
        while here != truth.goal and len(made) < 30:
            made.append(tried := int(planner.next_nodes(known[None], np.array([here]))[0]))
            far = float(np.linalg.norm(truth.places[here] - truth.places[tried]))
            if truth.links[here, tried]:
                here, length = tried, length + far
            else:
                known[here, LINKS + tried] = known[tried, LINKS + here] = 0
                length += 2 * min(far, 1)
        assert tries[id_] == tuple(made)
        weighted.append(truth.ways[truth.start] / length if here == truth.goal else 0)
    score = json.loads((finished / "scores.json").read_text())
    assert score["scores"]["spl"] == pytest.approx(np.mean(weighted))
    assert 0 < np.mean(weighted) < 1


def test_the_public_index_is_that_of_the_hidden_test(data, finished):
    index = public.public_index(data.challenge, data.prepared)
    assert index == bridge.truth(data, "test").index and index.nodes == (10,) * 10
    found, problems = planning.check((finished / "predictions.csv").read_bytes(), index)
    assert problems == [] and len(found.tries) == 10


def test_the_hidden_test_needs_no_folder(tmp_path):
    test = hidden.find_hidden_test("maps-planning")
    ids, labels = test.truth.index.ids, test.truth.labels
    assert len(ids) == 500
    best = planning.Predictions(tuple(tuple(drawn.way(labels[id_])[1:]) for id_ in ids))
    planning.write(tmp_path / "best.csv", ids, best)
    score = test.score(tmp_path / "best.csv")
    assert {name: one.value for name, one in score.estimates.items()} == {
        "spl": 1,
        "success": 1,
        "first_step": 1,
    }


def test_nobody_walks_without_the_true_links(data, finished, tmp_path):
    other = without_labels(data, tmp_path)
    planner = ShortestPath(weight=4.0).fit(None, Context()).model
    assert bridge.truth(other, "test") is None
    with pytest.raises(BadInput, match="has no true links of the test's maps, which walking takes"):
        bridge.write(other, "test", planner, tmp_path / "p.csv")
    bridge.write(other, "val", planner, tmp_path / "p.csv")
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 7
    with pytest.raises(BadInput, match="is about planning"):
        predict(finished, tmp_path)
    assert pictures_of(read_run(finished), other.root) == []


def test_labels_of_other_maps_are_refused(data, tmp_path):
    shutil.copytree(data.root, tmp_path / "data")
    other = find_data(CHALLENGE, CHALLENGE.rule(), data=tmp_path / "data")
    file = other.prepared.labels_of("test")
    maps = json.loads(file.read_bytes())["maps"]
    file.write_text(json.dumps({"maps": maps[1:]}))
    with pytest.raises(BadInput, match=f"lacks 1 maps of the manifest, such as {maps[0]['id']}"):
        bridge.truth(other, "test")


def test_the_run_is_audited(data, finished):
    found = audit(finished, data=data.root)
    assert found.verdict == "same" and found.foreign_reads == []


def test_pictures_from_the_worst_to_the_best(data, finished):
    found = pictures_of(read_run(finished), data.root)
    scores = [int(one.caption.split("SPL ")[1].split(" ")[0]) for one in found]
    assert len(found) == drawn.COUNT and scores == sorted(scores)
    page = write_report(finished, data.root).read_text()
    assert all(one.source in page for one in found) and "10 test maps" in page
    assert "nodes of a map" in page and "success weighted by path length" in page.lower()
    assert Image.open(BytesIO(found[0].png)).size == (drawn.SIDE, drawn.SIDE)


def test_pictures_of_other_predictions_are_refused(data, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    ids = [row.id for row in data.select("test")]
    planning.write(tmp_path / "run" / "predictions.csv", ids, planning.Predictions(((),) * len(ids)))
    with pytest.raises(BadInput, match="these are not the labels of this run"):
        pictures_of(read_run(tmp_path / "run"), data.root)


def test_what_is_in_a_picture():
    """Colours along the lines of a square: the walk goes round, the shortest way straight down."""
    places = np.array([(0.0, 0), (4, 0), (4, 4), (0, 4)])
    links = np.zeros((4, 4), bool)
    for i, j in ((0, 1), (1, 2), (2, 3), (0, 3)):
        links[i, j] = links[j, i] = True
    episode = Episode(places, links, 0, 3)
    likely = np.zeros((4, 4), bool)
    likely[0, 2] = likely[2, 0] = likely[0, 1] = likely[1, 0] = True
    walk = follow(episode, (2, 1, 2, 3))
    assert walk.arrived and drawn.way(episode) == [0, 3]
    page = drawn.drawing(episode, walk, likely).astype(int)
    low, high = drawn.EDGE, drawn.SIDE - drawn.EDGE
    middle = (low + high) // 2

    def near(x: int, y: int, colour: tuple[int, int, int]) -> bool:
        part = page[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3)
        return bool((np.abs(part - colour).max(1) < 60).any())

    assert near(low, middle, drawn.WAY) and not near(low, middle, drawn.WALK)
    for x, y in ((middle, low), (high, middle), (middle, high)):
        assert near(x, y, drawn.WALK) and not near(x, y, drawn.WAY)
    back = low + round((high - low) / 4 / 2**0.5)
    assert near(back, back, drawn.BACK) and not near(middle, middle, drawn.BACK)
    assert near(middle, middle, drawn.FALSE)


def test_a_walk_that_no_link_allows_leads_nowhere(data):
    """Whatever is handed in, one arrives over true links alone."""
    maps, truth = data.load("test"), bridge.truth(data, "test")
    links = np.stack([truth.labels[id_].links for id_ in maps.ids])
    straight = roll_out(lambda known, here: Maps.of(known).goal, maps.images, links)
    score = planning.score(
        planning.Predictions(tuple(straight[maps.ids.index(id_)] for id_ in truth.index.ids)),
        truth.labels,
        truth.index,
        (),
    )
    assert score.estimates["success"].value == 0
