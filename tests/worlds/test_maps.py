"""The world of maps: floors, true links, what the maps tell of them, and how hard they are."""

import json
import math
from fractions import Fraction

import networkx
import numpy as np
import pytest

from vipriors.data.maps import GOAL, LINKS, START, Maps, read_map
from vipriors.problems import BadInput
from vipriors.worlds import load_source
from vipriors.worlds.maps import COLOURS, COUNTS, HOPS, LINK_LOGIT, RAYS, REACH, SIDE, UNIT, floor, linked

FLOORS = [floor(f"maps/16/train/{number}") for number in range(150)]


def crosses(one, other, wall) -> bool:
    """Whether two segments meet, by solving for where, with fractions."""
    px, py, qx, qy = int(one[0]), int(one[1]), int(other[0]), int(other[1])
    ax, ay, bx, by = map(int, wall)
    d = (qx - px) * (by - ay) - (qy - py) * (bx - ax)
    if d == 0:
        return (
            False  # along each other: never on one line, for nodes are at odd places and walls at even ones
        )
    t = Fraction((ax - px) * (by - ay) - (ay - py) * (bx - ax), d)
    u = Fraction((ax - px) * (qy - py) - (ay - py) * (qx - px), d)
    return 0 <= t <= 1 and 0 <= u <= 1


@pytest.mark.parametrize("number", range(6))
def test_links_are_what_one_sees_within_reach(number):
    found = FLOORS[number]
    for i, one in enumerate(found.places):
        for j, other in enumerate(found.places):
            near = i != j and math.dist(one, other) <= REACH
            seen = near and not any(crosses(one, other, wall) for wall in found.walls)
            assert found.links[i, j] == seen


def test_links_by_hand():
    walls = np.array([(0, -200, 0, -20), (0, 20, 0, 200)])
    places = np.array([(-101, 1), (101, 1), (-101, 51), (101, 51), (REACH - 101 + 1, 1)])
    found = linked(places, walls)
    # Through the door, along the wall's side, past the edge of the door, and too far.
    assert found[0, 1] and found[0, 2] and found[1, 3] and not found[2, 3] and not found[0, 4]
    edge = np.array([(-1, 19), (1, 21)])
    assert not linked(edge, walls).any() and linked(edge - (0, 2), walls)[0, 1]


def test_floors_are_whole():
    for found in FLOORS:
        assert (found.places % 2 == 1).all() and (found.walls % 2 == 0).all()
        assert found.places.min() > 0 and found.places.max() < SIDE
        graph = networkx.from_numpy_array(found.links)
        assert networkx.is_connected(graph) and not found.links.diagonal().any()
        start, goal = (int(found.map[:, column].argmax()) for column in (START, GOAL))
        assert networkx.shortest_path_length(graph, start, goal) >= HOPS
        assert (found.map[:, [START, GOAL]].sum(0) == 1).all()


def test_maps_are_read_as_they_are():
    source = load_source("maps", "planning", "10")
    sample = source.samples[3]
    suffix, content = source.content(sample)
    assert suffix == ".npy"
    found = read_map(content, channels=LINKS + 10 + COLOURS + RAYS, nodes=10)
    assert np.array_equal(found, floor("maps/10/train/3").map)
    assert np.array_equal(found[:, :2] * UNIT, floor("maps/10/train/3").places)
    assert (source.samples[COUNTS["train"]].key, len(source.samples)) == ("maps/10/test/0", 5500)


def test_numbers_are_those_that_they_were():
    """A change of what is drawn must be meant: it changes every stored result."""
    found = floor("maps/10/train/0")
    assert found.places[:2].tolist() == PLACES
    assert np.argwhere(np.triu(found.links))[:4].tolist() == PAIRS


PLACES, PAIRS = [[779, 497], [1021, 33]], [[0, 1], [0, 9], [1, 3], [1, 6]]


def test_the_probability_of_a_link_is_right_on_average():
    """By logistic regression on the distance alone, where the noise is left out."""
    from sklearn.linear_model import LogisticRegression

    rows, columns = np.triu_indices(16, 1)
    distances = Maps.of(np.stack([found.map for found in FLOORS])).distances[:, rows, columns].ravel()
    links = np.stack([found.links for found in FLOORS])[:, rows, columns].ravel()
    fitted = LogisticRegression(C=1e6).fit(distances[:, None], links)
    assert fitted.intercept_[0] == pytest.approx(LINK_LOGIT[0], abs=0.25)
    assert -fitted.coef_[0, 0] == pytest.approx(LINK_LOGIT[1], abs=0.08)


def test_walls_are_invisible_in_probabilities_and_visible_in_features():
    maps = Maps.of(np.stack([found.map for found in FLOORS]))
    rows, columns = np.triu_indices(16, 1)
    links = np.stack([found.links for found in FLOORS])[:, rows, columns]
    distances = maps.distances[:, rows, columns]
    near = (distances > 2.5) & (distances < 3.5)
    p = maps.probabilities[:, rows, columns]
    assert abs(p[near & links].mean() - p[near & ~links].mean()) < 0.03
    colours = maps.features[..., :COLOURS]
    apart = np.abs(colours[:, rows] - colours[:, columns]).mean(2)
    assert apart[near & links].mean() < 0.7 * apart[near & ~links].mean()


def test_rays_meet_the_nearest_wall():
    found = FLOORS[0]
    rays = Maps.of(found.map[None]).features[0, :, COLOURS:] * SIDE
    for node in (0, 7):
        x, y = found.places[node]
        for ray in range(RAYS):
            angle = 2 * math.pi * (ray + 0.25) / RAYS
            far = (int(x + 4 * SIDE * math.cos(angle)), int(y + 4 * SIDE * math.sin(angle)))
            steps = []
            for ax, ay, bx, by in found.walls.tolist():
                if crosses((x, y), far, (ax, ay, bx, by)):
                    t = (ax - x) / (far[0] - x) if ax == bx else (ay - y) / (far[1] - y)
                    steps.append(t * 4 * SIDE)
            assert rays[node, ray] == pytest.approx(min(steps), rel=0.5)


def test_labels_and_what_is_told_of_the_test():
    source = load_source("maps", "planning")
    samples = [("a.npy", source.samples[0]), ("b.npy", source.samples[1])]
    ((name, content),) = source.annotations(samples)
    maps = json.loads(content)["maps"]
    assert name == "labels.json" and [one["id"] for one in maps] == ["a.npy", "b.npy"]
    for one, found in zip(maps, FLOORS, strict=False):
        assert one["nodes"] == (found.places / UNIT).tolist()
        linked_ = np.zeros((16, 16), bool)
        linked_[tuple(np.array(one["links"]).T)] = True
        assert np.array_equal(linked_ | linked_.T, found.links)
        assert found.map[one["start"], START] == found.map[one["goal"], GOAL] == 1
    assert list(source.test_index(samples)) == []


@pytest.mark.parametrize(
    ("task", "variant", "message"),
    [
        ("points", "10", "world maps: has no labels for points; expected task planning"),
        ("planning", "11", "world maps: has no variant '11'; expected one of 10, 16, 32"),
    ],
)
def test_other_tasks_and_variants(task, variant, message):
    with pytest.raises(BadInput) as caught:
        load_source("maps", task, variant)
    assert str(caught.value) == message
