"""Reading one map, and lengths of shortest ways."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import dijkstra

from vipriors.data.maps import GOAL, LINKS, START, Maps, read_map, shortest, straight
from vipriors.problems import BadInput


def a_map(nodes: int = 3, features: int = 2) -> np.ndarray:
    found = np.zeros((nodes, LINKS + nodes + features), np.float32)
    found[:, :2] = np.arange(2 * nodes).reshape(nodes, 2)
    found[0, START] = found[2, GOAL] = 1
    found[:, LINKS : LINKS + nodes] = 0.25
    found[range(nodes), range(LINKS, LINKS + nodes)] = 1
    found[:, LINKS + nodes :] = 7
    return found


def content(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def test_the_parts_of_a_map():
    found = read_map(content(a_map()), channels=9, nodes=3)
    parts = Maps.of(found[None])
    assert parts.places[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert (parts.start[0], parts.goal[0]) == (0, 2)
    assert parts.probabilities[0].tolist() == [[1, 0.25, 0.25], [0.25, 1, 0.25], [0.25, 0.25, 1]]
    assert parts.features.shape == (1, 3, 2) and (parts.features == 7).all()
    assert parts.distances[0, 0].tolist() == pytest.approx([0, 8**0.5, 32**0.5])


def changed(row: int, column: int, value: float) -> np.ndarray:
    found = a_map()
    found[row, column] = value
    return found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged map"),
        (b"\x93NUMPY\x01\x00", "damaged map"),
        (content(a_map())[:-1], "damaged map"),
        (content(np.array([object()]), allow_pickle=True), "found object of shape"),
        (content(a_map().astype(np.float64)), "found float64 of shape"),
        (content(a_map()[:1]), "found float32 of shape"),
        (content(np.zeros((1001, 2), np.float32)), "found float32 of shape"),
        (content(a_map(4)), "has 4 nodes of 10 numbers; expected 3 nodes of 9 numbers"),
        (content(changed(1, 0, np.nan)), "has numbers that are not finite"),
        (content(changed(1, START, 1)), "has no start or no goal; expected one 1 for each"),
        (content(changed(2, START, 0.5)), "has no start or no goal; expected one 1 for each"),
        (content(changed(2, GOAL, 0)), "has no start or no goal; expected one 1 for each"),
        (content(changed(0, LINKS + 1, 0.5)), "has wrong probabilities of links; expected 0 to 1, the same"),
        (content(changed(1, LINKS + 1, 0.5)), "has wrong probabilities of links; expected 0 to 1, the same"),
    ],
)
def test_what_is_no_map(data, message):
    with pytest.raises(BadInput, match=message) as caught:
        read_map(data, channels=9, nodes=3, name="here")
    assert caught.value.problems[0].place == "here"


def test_start_and_goal_are_two_nodes():
    both = changed(0, START, 0)
    both[2, START] = 1
    with pytest.raises(BadInput, match="has no start or no goal"):
        read_map(content(both), channels=9)


@given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_shortest_ways_are_dijkstras(nodes, share, seed):
    rng = np.random.default_rng(seed)
    lengths = straight(rng.uniform(0, 9, (2, nodes, 2)))
    lengths[rng.uniform(size=lengths.shape) < share] = np.inf
    expected = [dijkstra(np.where(np.isfinite(one), one, 0)) for one in lengths]
    np.testing.assert_allclose(shortest(lengths), expected)
