"""What planners may know, what their networks learn from, and the tuned baselines."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import dijkstra

from vipriors.challenges.schema import METHODS
from vipriors.data.maps import GOAL, LINKS, START, Maps
from vipriors.methods import configure, listings, load
from vipriors.methods.planning._network import (
    NeuralPlanner,
    PlannerNetwork,
    drawn,
    next_node_loss,
    validate,
)
from vipriors.methods.planning._planning import next_hops, weighted_success
from vipriors.methods.planning.shortest_path import CANDIDATES, link_costs
from vipriors.methods.protocol import Context, Labelled, TrainingSet
from vipriors.problems import BadInput
from vipriors.tasks.walks import Episode, follow, roll_out
from vipriors.train import Execution, Recipe
from vipriors.worlds.maps import floor

NAMES = [listing.name for listing in listings() if listing.family == "planning"]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]
STEPS = 8
CPU = Execution("cpu")


def labelled(split: str, count: int) -> Labelled:
    floors = [floor(f"maps/10/{split}/{number}") for number in range(count)]
    return Labelled(np.stack([one.map for one in floors]), np.stack([one.links for one in floors]))


DATA = TrainingSet(labelled("train", 24), ("goal",), held_out=labelled("test", 12))


def small(name: str, **changes):
    """The method at its tiny preset but narrow, for a few steps."""
    few = {"steps": STEPS, "batch_size": 6} if name in NETWORKS else {}
    few |= {"neural-planner": {"width": 8, "relaxations": 2}, "estimated-links": {"hidden": (8,)}}.get(
        name, {}
    )
    return dataclasses.replace(configure(name, "tiny", {}), **few | changes)


def fitted(name: str, data: TrainingSet = DATA, folder: Path | None = None, seed: int = 0, **changes):
    return small(name, **changes).fit(data, Context(seed=seed, folder=folder, execution=CPU))


def answers(model, images: np.ndarray = DATA.held_out.images) -> np.ndarray:
    return np.stack([model.next_nodes(images, np.full(len(images), here)) for here in range(images.shape[1])])


def test_the_methods():
    assert NAMES == ["estimated-links", "neural-planner", "shortest-path", "straight-line"]
    assert NETWORKS == ["estimated-links", "neural-planner"]
    assert {METHODS["planning"][0], *METHODS["planning"][1]} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_proved_false_is_not_tried_again(name):
    """All links but one from where one stands are known to be false; then that one is tried."""
    model, maps = fitted(name).model, DATA.held_out.images.copy()
    left = (Maps.of(maps).goal + 3) % 10
    here = (left + 5) % 10
    for number, (stand, only) in enumerate(zip(here, left, strict=True)):
        for other in set(range(10)) - {int(stand), int(only)}:
            maps[number, stand, LINKS + other] = maps[number, other, LINKS + stand] = 0
    assert np.array_equal(model.next_nodes(maps, here), left)


@pytest.mark.parametrize("name", NAMES)
def test_no_planner_is_told_the_start(name):
    """It stands somewhere; where it stood first is of no use, and where the goal is changes what it says."""
    model, maps = fitted(name).model, DATA.held_out.images

    def said(maps: np.ndarray) -> np.ndarray:
        if name != "neural-planner":
            return answers(model, maps)
        with torch.inference_mode():
            return model.network(torch.from_numpy(maps).transpose(1, 2)).numpy()

    moved = maps.copy()
    moved[..., START] = 0
    assert np.array_equal(said(moved), said(maps))
    moved[..., GOAL] = np.roll(maps[..., GOAL], 1, axis=1)
    assert not np.array_equal(said(moved), said(maps))


def test_what_is_set_changes_the_outcome():
    def weights(name: str, **changes) -> str:
        return fitted(name, steps=3, **changes).facts["final_weights_sha256"]

    changes = ({}, {"features": False}, {"reducer": "min"}, {"reducer": "mean"}, {"renumber": False})
    found = [weights("neural-planner", **one) for one in (*changes, {"layers": 2}, {"label_smoothing": 0.1})]
    found += [weights("estimated-links", **one) for one in ({}, {"label_smoothing": 0.1}, {"hidden": (4, 4)})]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("neural-planner", {"width": 0}, "width: is 0; expected 1 or more"),
        ("neural-planner", {"relaxations": 0}, "relaxations: is 0; expected 1 or more"),
        ("estimated-links", {"hidden": (0,)}, r"hidden: is \(0,\); expected sizes of 1 or more"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(name, changes, message):
    with pytest.raises(BadInput, match=message):
        small(name, **changes)


@pytest.mark.parametrize(
    ("shares", "ahead", "expected"),
    [
        # 0 and 1 send each other round: the likeliest way is straight on, or by 2 where that is likelier.
        ({(0, 1): 0.6, (0, 3): 0.4, (1, 0): 1.0}, True, 3),
        ({(0, 1): 0.6, (0, 3): 0.1, (0, 2): 0.3, (2, 3): 0.5, (1, 0): 1.0}, True, 2),
        ({(0, 1): 0.6, (0, 3): 0.4, (1, 0): 1.0}, False, 1),
        # The next ones lead to the goal, though by a way that is less likely than another.
        ({(0, 1): 0.5, (0, 3): 0.4, (1, 2): 0.5, (2, 3): 0.5}, True, 1),
    ],
)
def test_where_next_nodes_lead_in_a_circle_the_likeliest_way_is_gone(shares, ahead, expected):
    class Told(torch.nn.Module):
        def forward(self, maps):
            told = torch.full((1, 4, 4), 0.01)
            for (here, after), share in shares.items():
                told[0, here, after] = share
            return told.log()

    maps = np.full((1, 4, LINKS + 4), 0.5, np.float32)
    maps[..., :LINKS] = 0
    maps[0, 3, GOAL] = maps[0, 0, START] = 1
    planner = NeuralPlanner(Told(), ahead, CPU)
    assert planner.next_nodes(maps, np.array([0])).tolist() == [expected]


# What the networks learn from.


def test_next_hops_are_those_of_scipy():
    hops = next_hops(DATA.train.images, DATA.train.labels)
    for number in range(6):
        links, distances = DATA.train.labels[number], Maps.of(DATA.train.images).distances[number]
        ways, before = dijkstra(np.where(links, distances, 0), return_predecessors=True)
        for i in range(10):
            for t in range(10):
                # Ways are the same both ways: what comes before i on the way from t.
                assert hops[number, i, t] == (i if i == t else before[t, i])
                if i != t:
                    assert links[i, hops[number, i, t]] and ways[hops[number, i, t], t] < ways[i, t]


def test_other_goals_and_numbers_are_of_the_same_map():
    maps = torch.from_numpy(DATA.train.images).transpose(1, 2)
    hops = torch.from_numpy(next_hops(DATA.train.images, DATA.train.labels))
    for renumber in (False, True):
        found, after = drawn(maps, hops, renumber, torch.Generator().manual_seed(0))
        seen = Maps.of(found.transpose(1, 2).numpy())
        moved = 0
        for number, places in enumerate(seen.places):
            own = Maps.of(DATA.train.images[number : number + 1])
            # Which node each one was, by where it is.
            was = [int((own.places[0] == place).all(1).argmax()) for place in places]
            assert sorted(was) == list(range(10))
            moved += was != list(range(10))
            assert np.array_equal(seen.probabilities[number], own.probabilities[0][np.ix_(was, was)])
            assert np.array_equal(seen.features[number], own.features[0][was])
            assert found[number, GOAL].sum() == 1
            goal = was[seen.goal[number]]
            assert [was[k] for k in after[number].tolist()] == [int(hops[number, i, goal]) for i in was]
        assert moved == (0 if not renumber else 24)
        assert len(set(seen.goal.tolist())) > 5


def test_the_loss_by_hand_leaves_out_the_goal():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 3, dtype=torch.float64)
    maps = torch.zeros(2, 8, 3, dtype=torch.float64)
    maps[0, GOAL, 1] = maps[1, GOAL, 2] = 1
    after = torch.tensor([[1, 1, 0], [2, 0, 2]])
    picked = [(0, 0), (0, 2), (1, 0), (1, 1)]
    expected = -np.mean([float(logits[b, i].log_softmax(0)[after[b, i]]) for b, i in picked])
    assert float(next_node_loss(logits, maps, after)) == pytest.approx(expected)


def test_the_share_of_right_next_nodes():
    class Told(torch.nn.Module):
        """Says what is right for all but the first node."""

        def forward(self, maps):
            hops = torch.from_numpy(next_hops(DATA.held_out.images, DATA.held_out.labels)).long()
            goals = maps[:, GOAL].argmax(1)
            after = hops[torch.arange(len(maps)), :, goals]
            after[:, 0] = (after[:, 0] + 1) % 10
            return torch.nn.functional.one_hot(after, 10).float()

    goals = Maps.of(DATA.held_out.images).goal
    expected = 1 - (goals != 0).sum() / (9 * len(goals))
    assert validate(Told(), DATA.held_out, CPU)["val_next_node"] == pytest.approx(expected, abs=1e-6)


def test_what_is_known_of_a_node():
    network = PlannerNetwork(torch.nn.Identity(), 24)
    network.standardise(DATA.train.images)
    found = network.known(torch.from_numpy(DATA.train.images)).numpy()
    parts = Maps.of(DATA.train.images)
    longest = parts.distances.max((1, 2))[:, None, None]
    np.testing.assert_allclose(found[..., :10], parts.distances / longest, atol=1e-6)
    assert np.array_equal(found[..., 10:20], parts.probabilities)
    assert np.array_equal(found[..., 20].argmax(1), parts.goal)
    assert np.array_equal(found[..., 21:31], np.broadcast_to(np.eye(10), (24, 10, 10)))
    np.testing.assert_allclose(found[..., 31:].mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(found[..., 31:].std((0, 1)), 1, atol=1e-4)


def test_without_features_it_does_not_look_at_them():
    blind = fitted("neural-planner", features=False).model
    changed = DATA.held_out.images.copy()
    changed[..., LINKS + 10 :] = 0.5
    assert np.array_equal(answers(blind, changed), answers(blind))
    links = fitted("estimated-links").model
    assert not np.array_equal(links.probabilities(changed), links.probabilities(DATA.held_out.images))


# Shortest ways.


def test_on_the_true_links_the_shortest_path_is_best():
    maps = DATA.held_out.images.copy()
    maps[..., LINKS : LINKS + 10] = DATA.held_out.labels | np.eye(10, dtype=bool)
    sure = Labelled(np.where(maps == 0, np.float32(1e-6), maps), DATA.held_out.labels)
    sure.images[..., [START, GOAL]] = maps[..., [START, GOAL]]
    sure.images[..., :2] = maps[..., :2]
    for changes in ({"cost": "threshold", "weight": 0.5}, {"weight": 30.0}):
        assert weighted_success(fitted("shortest-path", **changes).model, sure) == pytest.approx(1)


@pytest.mark.parametrize("cost", ["penalty", "threshold"])
def test_next_nodes_are_those_of_dijkstra(cost):
    weight = {"penalty": 4.0, "threshold": 0.5}[cost]
    found = answers(fitted("shortest-path", cost=cost, weight=weight).model)
    parts = Maps.of(DATA.held_out.images)
    for number in range(12):
        p, d = parts.probabilities[number], parts.distances[number]
        costs = d - 4 * np.log(p.astype(float)) if cost == "penalty" else d + 1000 * (p < 0.5)
        np.fill_diagonal(costs, 0)
        ways = dijkstra(costs, indices=int(parts.goal[number]))
        for here in set(range(10)) - {int(parts.goal[number])}:
            step = found[here, number]
            assert costs[here, step] + ways[step] == pytest.approx(ways[here])


def test_a_weight_is_searched_on_held_out_maps():
    def score(weight: float) -> float:
        planner = small("shortest-path", weight=weight).fit(DATA, Context()).model
        return weighted_success(planner, DATA.held_out)

    scores = {weight: score(weight) for weight in CANDIDATES["penalty"]}
    assert scores[small("shortest-path").tuned(DATA).weight] == max(scores.values())
    assert small("shortest-path", weight=3.0).tuned(DATA).weight == 3.0
    found = small("estimated-links").tuned(DATA)
    assert found.weight in CANDIDATES["penalty"]
    assert found.fit(DATA, Context(execution=CPU)).model.weight == found.weight


def test_held_out_scores_are_those_of_walks():
    model = fitted("straight-line").model
    tries = roll_out(model.next_nodes, DATA.held_out.images, DATA.held_out.labels)
    parts, found = Maps.of(DATA.held_out.images), []
    for number, some in enumerate(tries):
        links, distances = DATA.held_out.labels[number], parts.distances[number]
        start, goal = int(parts.start[number]), int(parts.goal[number])
        walk = follow(Episode(parts.places[number].astype(float), links, start, goal), some)
        best = dijkstra(np.where(links, distances, 0), indices=start)[goal]
        found.append(best / walk.length if walk.arrived else 0)
    assert 0 < np.mean(found) < 1
    assert weighted_success(model, DATA.held_out) == pytest.approx(np.mean(found))


def test_costs():
    d, p = np.array([1.0, 2.0]), np.array([0.5, 1.0])
    assert link_costs(d, p, "penalty", 2.0) == pytest.approx([1 + 2 * np.log(2), 2])
    assert link_costs(d, p, "threshold", 0.6).tolist() == [1001, 2]


def test_links_are_estimated_better_than_the_map_has_them():
    data = TrainingSet(labelled("train", 150), ("goal",))
    model = fitted("estimated-links", data, steps=250, batch_size=16, hidden=(32,), lr=0.01).model
    rows, columns = np.triu_indices(10, 1)
    truth = DATA.held_out.labels[:, rows, columns]
    own = model.probabilities(DATA.held_out.images)
    np.testing.assert_allclose(own, own.transpose(0, 2, 1), atol=1e-6)
    given = Maps.of(DATA.held_out.images).probabilities
    surprise = [
        -np.log(np.where(truth, one[:, rows, columns], 1 - one[:, rows, columns])).mean()
        for one in (own, given)
    ]
    assert surprise[0] < 0.9 * surprise[1]
