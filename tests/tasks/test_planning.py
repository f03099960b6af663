"""Walks, their scores, and the files of task planning."""

import json
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipriors.data.maps import GOAL, LINKS, START
from vipriors.problems import BadInput
from vipriors.tasks import planning
from vipriors.tasks.planning import Predictions
from vipriors.tasks.planning_labels import MapIndex, index_of
from vipriors.tasks.walks import Episode, first_is_best, follow, roll_out, success_by_length

# 0 - 1 - 2 in a line, two metres each, and 3 half a metre beside 0 without a link; 0 and 2 see no way.
LINE = Episode(
    np.array([(0.0, 0), (2, 0), (4, 0), (0, 0.5)]),
    np.array([(0, 1, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1), (0, 0, 1, 0)], bool),
    0,
    2,
)


@pytest.mark.parametrize(
    ("tries", "length", "arrived", "spl"),
    [
        ((1, 2), 4, True, 1),
        ((1, 0, 1, 2), 8, True, 0.5),
        ((), 0, False, 0),
        ((1,), 2, False, 0),
        ((2, 1, 2), 6, True, 4 / 6),  # turned back: two metres
        ((3, 1, 2), 5, True, 4 / 5),  # turned back near by: twice half a metre
        ((0, 1, 2), 4, True, 1),  # to stay costs nothing, and is a try
        ((1, 2, 3, 0), 4, True, 1),  # what comes after the goal does not count
        ((0,) * 10 + (1, 2), 4, True, 1),  # the twelfth try is the last
        ((0,) * 11 + (1, 2), 2, False, 0),
        ((2,) * 12, 24, False, 0),
    ],
)
def test_walks_by_hand(tries, length, arrived, spl):
    walk = follow(LINE, tries)
    assert walk.length == pytest.approx(length)
    assert walk.arrived == arrived
    assert success_by_length(LINE, walk) == pytest.approx(spl)


def test_where_one_was():
    walk = follow(LINE, (2, 1, 3, 2))
    assert walk.nodes == (0, 1, 2) and walk.turned_back == ((0, 2), (1, 3))


def random_episode(rng: np.random.Generator, nodes: int) -> Episode:
    places = rng.uniform(0, 10, (nodes, 2))
    while True:
        links = np.triu(rng.uniform(size=(nodes, nodes)) < 0.5, 1)
        links = links | links.T
        if networkx.is_connected(networkx.from_numpy_array(links)):
            start, goal = rng.permutation(nodes)[:2].tolist()
            return Episode(places, links, start, goal)


def as_graph(episode: Episode) -> networkx.Graph:
    graph = networkx.Graph()
    for i, j in np.argwhere(episode.links).tolist():
        graph.add_edge(i, j, weight=float(np.linalg.norm(episode.places[i] - episode.places[j])))
    return graph


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_scores_are_those_of_a_loop_and_of_networkx(nodes, seed):
    rng = np.random.default_rng(seed)
    episodes = [random_episode(rng, nodes) for _ in range(3)]
    tries = [tuple(rng.integers(0, nodes, rng.integers(0, 3 * nodes + 1)).tolist()) for _ in episodes]
    best = networkx.dijkstra_path(as_graph(episodes[0]), episodes[0].start, episodes[0].goal, weight="weight")
    tries[0] = tuple(best[1:])
    spl, success, first = [], [], []
    for one, some in zip(episodes, tries, strict=True):
        graph, here, length = as_graph(one), one.start, 0.0
        ways = networkx.single_source_dijkstra_path_length(graph, one.goal, weight="weight")
        for tried in some:
            if here == one.goal:
                break
            far = float(np.linalg.norm(one.places[here] - one.places[tried]))
            if graph.has_edge(here, tried):
                length, here = length + far, tried
            else:
                length += 2 * far if far < 1 else 2
        arrived = here == one.goal
        success.append(arrived)
        spl.append(arrived * ways[one.start] / max(length, ways[one.start]))
        step = bool(some) and graph.has_edge(one.start, some[0])
        first.append(
            step and abs(graph[one.start][some[0]]["weight"] + ways[some[0]] - ways[one.start]) < 1e-9
        )
    labels = {f"m{k}": one for k, one in enumerate(episodes)}
    found = planning.score(Predictions(tuple(tries)), labels, index_of(labels), ())
    values = {name: estimate.value for name, estimate in found.estimates.items()}
    assert values == pytest.approx(
        {"spl": np.mean(spl), "success": np.mean(success), "first_step": np.mean(first)}
    )
    assert success_by_length(episodes[0], follow(episodes[0], tries[0])) == pytest.approx(1)
    assert first_is_best(episodes[0], tries[0])


def test_a_score_in_full():
    labels = {"a": LINE, "b": LINE}
    found = planning.score(Predictions(((1, 0, 1, 2), (2,))), labels, index_of(labels), ())
    assert (found.task, found.headline) == ("planning", "spl")
    spl = found.estimates["spl"]
    assert (spl.value, spl.low, spl.high) == (0.25, 0, 0.5)
    assert found.details == {
        "n_test": 2,
        "n_predicted": 2,
        "turned_back": 0.5,
        "metres": 5,
        "shortest_metres": 4,
    }


def test_ties_are_right_both_ways():
    square = Episode(
        np.array([(0.0, 0), (1, 0), (0, 1), (1, 1)]),
        np.array([(0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0)], bool),
        0,
        3,
    )
    assert first_is_best(square, (1,)) and first_is_best(square, (2,)) and not first_is_best(square, (3,))


# Walking step by step.


def map_of(episode: Episode, probability: float) -> np.ndarray:
    nodes = len(episode.places)
    found = np.zeros((nodes, LINKS + nodes), np.float32)
    found[:, :2] = episode.places
    found[episode.start, START] = found[episode.goal, GOAL] = 1
    found[:, LINKS:] = probability
    found[range(nodes), range(LINKS, LINKS + nodes)] = 1
    return found


def test_a_planner_learns_only_that_it_was_turned_back():
    maps = np.stack([map_of(LINE, 0.5), map_of(LINE, 0.5)])
    given, asked = maps.copy(), []
    answers = iter([[2, 1], [3, 2], [1], [0], [1], [2]])

    def planner(maps, here):
        asked.append((maps.copy(), here.copy()))
        return np.array(next(answers))

    tries = roll_out(planner, maps, np.stack([LINE.links, LINE.links]))
    assert tries == [(2, 3, 1, 0, 1, 2), (1, 2)]
    assert np.array_equal(maps, given)
    assert [here.tolist() for _, here in asked] == [[0, 0], [0, 1], [0], [1], [0], [1]]
    known = given[0].copy()
    assert np.array_equal(asked[0][0][0], known)
    known[0, LINKS + 2] = known[2, LINKS + 0] = 0
    assert np.array_equal(asked[1][0], np.stack([known, given[1]]))
    known[0, LINKS + 3] = known[3, LINKS + 0] = 0
    for seen, _ in asked[2:]:
        assert np.array_equal(seen[0], known)


def test_who_never_arrives_is_stopped():
    (tries,) = roll_out(lambda maps, here: here, map_of(LINE, 0.5)[None], LINE.links[None])
    assert tries == (0,) * 12


# Files.

INDEX = MapIndex(("a.npy", "b.npy"), (4, 3))


def test_written_and_read(tmp_path):
    file = tmp_path / "new" / "p.csv"
    planning.write(file, INDEX.ids, Predictions(((1, 3, 0), ())))
    assert file.read_bytes() == b"Image IDs,Tries\na.npy,1 3 0\nb.npy,\n"
    assert planning.check(file.read_bytes(), INDEX) == (Predictions(((1, 3, 0), ())), [])
    shuffled = b"\xef\xbb\xbfImage IDs,Tries\r\nb.npy,\r\na.npy,1 3 0\r\n"
    assert planning.check(shuffled, INDEX) == (Predictions(((1, 3, 0), ())), [])
    with pytest.raises(BadInput, match="tries for 1 maps; expected 2"):
        planning.write(file, INDEX.ids, Predictions(((1,),)))
    with pytest.raises(BadInput, match="'-1' is no node of this map"):
        planning.write(file, INDEX.ids, Predictions(((1,), (-1,))))


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        (
            "a.npy,4\nb.npy,\n",
            ["p, row 2: '4' is no node of this map; expected 0 to 3, parted by single spaces"],
        ),
        (
            "a.npy,1\nb.npy,3\n",
            ["p, row 3: '3' is no node of this map; expected 0 to 2, parted by single spaces"],
        ),
        (
            "a.npy,1  2\nb.npy,\n",
            ["p, row 2: '' is no node of this map; expected 0 to 3, parted by single spaces"],
        ),
        (
            "a.npy,01\nb.npy,\n",
            ["p, row 2: '01' is no node of this map; expected 0 to 3, parted by single spaces"],
        ),
        ("a.npy,1\n", ["p: no row for 'b.npy'; expected one per map"]),
        ("a.npy,1\na.npy,1\nb.npy,\n", ["p, row 3: 'a.npy' is given twice, first in row 2; expected once"]),
        ("a.npy,1\nc.npy,1\nb.npy,\n", ["p, row 3: 'c.npy' is not an id of the test set"]),
        (
            "a.npy,\nb.npy,0 1 0 1 0 1 0 1 0 1\n",
            ["p, row 3: 10 tries; expected at most 9, 3 for each of 3 nodes"],
        ),
        (
            "a.npy,1,2\nb.npy,\n",
            ["p, row 2: the row has 3 fields: 'a.npy,1,2'; expected 2 fields"],
        ),
    ],
)
def test_every_problem_has_its_place(rows, problems):
    found, told = planning.check(f"Image IDs,Tries\n{rows}".encode(), INDEX, "p")
    assert found is None and [str(problem) for problem in told] == problems


def test_maps_may_be_left_out_where_that_is_allowed():
    found, problems = planning.check(b"Image IDs,Tries\nb.npy,2\n", INDEX, allow_missing=True)
    assert (found, problems) == (Predictions(((), (2,))), [])


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: b"Image IDs,Tries\na.npy," + b))
def test_no_bytes_are_too_strange(data):
    found, problems = planning.check(data, INDEX)
    assert (found is None) == bool(problems)


def labels(**changes) -> bytes:
    one = {"id": "a", "nodes": [[0, 0], [1.5, 2], [3, 3]], "start": 0, "goal": 2, "links": [[0, 1], [2, 1]]}
    return json.dumps({"maps": [one | changes]}).encode()


def test_labels_are_read(tmp_path):
    (tmp_path / "labels.json").write_bytes(labels())
    truth = planning.open_truth(tmp_path / "labels.json", ("goal",))
    assert truth.index == MapIndex(("a",), (3,)) and truth.classes == ("goal",)
    found = truth.labels["a"]
    assert found.links.tolist() == [[False, True, False], [True, False, True], [False, True, False]]
    assert found.places.tolist() == [[0, 0], [1.5, 2], [3, 3]] and (found.start, found.goal) == (0, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "this is not JSON"),
        (b"[]", "has no list `maps`; expected an object with one map or more"),
        (b'{"maps": [3]}', "it is 3; expected an object"),
        (b'{"maps": [{"id": 3}]}', "maps, entry 0: the id is 3; expected a text of its own"),
        (labels(nodes=[[0, 0]]), "nodes is a list of 1; expected 2 to 1,000 pairs of numbers"),
        (labels(nodes=[[0, 0], [1, "x"]]), "nodes is a list of 2; expected 2 to 1,000 pairs of numbers"),
        (labels(nodes=[[0, 0], [1, float("nan")]]), "NaN occurs"),
        (labels(start=3), "start is 3; expected a node, 0 to 2"),
        (labels(goal=True), "goal is true; expected a node, 0 to 2"),
        (labels(links=[[0, 1, 2]]), "links is a list of 1; expected pairs of nodes"),
        (labels(links=[[0, 3]]), "links is a list of 1; expected pairs of nodes, each 0 to 2"),
        (labels(links=[[0, 1], [1, 0]]), "links is a list of 2; expected each once, of two different nodes"),
        (labels(links=[[1, 1]]), "links is a list of 1; expected each once, of two different nodes"),
        (labels(links=[[0, 1]]), "goal is 2; expected another node than the start, with a way to it"),
        (labels(goal=0), "goal is 0; expected another node than the start, with a way to it"),
        (labels(id="a,b"), "cannot stand in a predictions file"),
    ],
)
def test_wrong_labels(data, message):
    with pytest.raises(BadInput) as caught:
        planning.read_labels(data)
    assert message in str(caught.value)


def test_the_same_map_twice():
    twice = json.loads(labels())
    twice["maps"] *= 2
    with pytest.raises(BadInput, match="maps, entry 1: id 'a' is there twice; expected a text of its own"):
        planning.read_labels(json.dumps(twice).encode())


@pytest.mark.parametrize(
    ("tries", "index", "message"),
    [
        (((1,), ()), ("a",), "predictions: tries for 2 maps; expected 1"),
        (((4,),), ("a",), "predictions: there are nodes that a map has not"),
        (((1,), ()), ("a", "c"), "labels: no label for map 'c'"),
        (((1,),), ("c",), "labels: no label for map 'c'"),
    ],
)
def test_misfits_are_refused(tries, index, message):
    with pytest.raises(BadInput) as caught:
        planning.score(Predictions(tries), {"a": LINE}, MapIndex(index, (4,) * len(index)), ())
    assert message in str(caught.value)


def test_maps_of_another_size_are_refused():
    with pytest.raises(BadInput, match="map 'a' has 4 nodes; expected 5"):
        planning.score(Predictions(((),)), {"a": LINE}, MapIndex(("a",), (5,)), ())


def test_an_index_that_cannot_be():
    for ids, nodes in (((), ()), (("a", "a"), (2, 2)), (("a",), (1,)), (("a",), (2, 3)), (("a",), (1001,))):
        with pytest.raises(BadInput):
            MapIndex(ids, nodes)


def test_the_format_page_shows_this():
    page = Path(__file__).parents[2] / "docs" / "formats" / "planning.md"
    assert planning.HEADER in page.read_text()
