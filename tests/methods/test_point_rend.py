"""PointRend as a method, and label maps that are finer than the images."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from vipriors.challenges import find
from vipriors.challenges.schema import read_challenge
from vipriors.methods import card_of, configure, listing, listings, load
from vipriors.methods.protocol import IGNORED, Context, Labelled, TrainingSet
from vipriors.methods.segmentation._segmenter import RenderingSegmenter
from vipriors.methods.segmentation.point_rend import PointRend, PointRendNetwork
from vipriors.priors.layers.point_rendering import biased_points, middles, sampled
from vipriors.problems import BadInput
from vipriors.runs.bridges.segmentation import labelled
from vipriors.runs.prepared import find_data
from vipriors.train import Execution, Recipe

CPU = Execution("cpu")
NAMES = [one.name for one in listings() if one.family == "segmentation"]


def small(**changes) -> PointRend:
    values = {"width": 4, "head_width": 8, "points": 20, "render_points": 50, "steps": 3, "batch_size": 2}
    return PointRend(**values | changes)


def network(size=(16, 24), classes=3, **changes) -> PointRendNetwork:
    torch.manual_seed(0)
    made = small(**changes).network((3, *size), classes)
    assert isinstance(made, PointRendNetwork)
    return made.eval()


def fine_data(scale: int = 2, count: int = 4) -> TrainingSet:
    """A bright disc on dark noise, its map `scale` times as fine."""
    rng = np.random.default_rng(0)
    size = np.array([16, 24])
    centres = rng.uniform(0.3, 0.7, (count, 2)) * size
    rows, columns = (np.arange(scale * side) / scale + 0.5 / scale for side in size)
    maps = np.stack([(np.add.outer((rows - y) ** 2, (columns - x) ** 2) < 25) for y, x in centres])
    shown = maps[:, scale // 2 :: scale, scale // 2 :: scale]
    images = rng.integers(0, 60, (count, *size, 3)) + 180 * shown[..., None]
    whole = Labelled(images.astype(np.uint8), maps.astype(np.uint8))
    return TrainingSet(whole, ("nothing", "disc"), held_out=whole)


# The network


def test_the_baseline_is_the_same_backbone():
    with_head, without = network(), network(points=0)
    assert with_head.head is not None and without.head is None
    own, other = with_head.state_dict(), without.state_dict()
    assert {name for name in own if not name.startswith("head.")} == set(other)
    assert all(torch.equal(own[name], other[name]) for name in other)


def test_logits_of_every_size():
    images = torch.rand(2, 3, 16, 24)
    rendered, plain = network(), network(points=0)
    fine = rendered.fine(images)
    coarse = rendered.coarse(rendered.deep(fine))
    assert fine.shape == (2, 4, 8, 12) and coarse.shape == (2, 3, 2, 3)
    for size in ((16, 24), (32, 48), (37, 50), (5, 3), (1, 1)):
        assert plain(images, size=size).shape == rendered(images, size=size).shape == (2, 3, *size)
        enlarged = functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        torch.testing.assert_close(plain(images, size=size), enlarged)
    assert torch.equal(rendered(images), rendered(images, size=(16, 24)))
    # With points for every pixel the result is the head's, from fine features and coarse logits.
    rendered.render_points = 10**6
    points = middles(torch.arange(16 * 24).expand(2, -1), (16, 24))
    expected = rendered.head(sampled(fine, points), sampled(coarse, points)).unflatten(2, (16, 24))
    torch.testing.assert_close(rendered(images), expected)


def test_images_of_odd_sizes_are_resized_so_that_maps_cover_them():
    model = network(size=(13, 30))
    images = torch.rand(1, 3, 13, 30)
    larger = functional.interpolate(images, (16, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(images), model(larger, size=(13, 30)))


def test_one_class_is_refused():
    with pytest.raises(BadInput, match=r"^classes: are 1; point-rend needs 2 or more$"):
        small().network((3, 16, 16), 1)


# Learning


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_coarse_logits_and_of_points(smoothing):
    method = small(label_smoothing=smoothing)
    model, images = network().train(), torch.rand(2, 3, 16, 24)
    maps = torch.randint(3, (2, 32, 48), dtype=torch.uint8)
    maps[:, :9] = IGNORED
    weights = torch.tensor([1.0, 0.3, 2.0])
    found = method.loss(model, images, maps, weights, torch.Generator().manual_seed(3))

    fine = model.fine(images)
    coarse = model.coarse(model.deep(fine))
    points = biased_points(coarse, 20, 3.0, 0.75, torch.Generator().manual_seed(3))
    logits = model.head(sampled(fine, points), sampled(coarse, points))
    labels = torch.stack(
        [
            torch.tensor([int(map_[int(y * 32), int(x * 48)]) for x, y in own.tolist()])
            for map_, own in zip(maps, points, strict=True)
        ]
    )
    enlarged = functional.interpolate(coarse, (32, 48), mode="bilinear", align_corners=False)
    expected = torch.zeros(())
    for these, truth in ((enlarged, maps.long()), (logits, labels)):
        logs = these.log_softmax(1).flatten(2).transpose(1, 2).reshape(-1, 3)
        truth = truth.flatten()
        logs, truth = logs[truth != IGNORED], truth[truth != IGNORED]
        right = logs.gather(1, truth[:, None])[:, 0]
        each = -(1 - smoothing) * right - smoothing * logs.mean(1)
        expected = expected + (each * weights[truth]).sum() / weights[truth].sum()
    torch.testing.assert_close(found, expected)


def test_points_teach_the_coarse_head_and_the_encoder():
    model = network().train()
    _, points, logits = model(torch.rand(2, 3, 16, 24), lambda coarse: torch.rand(len(coarse), 9, 2))
    assert points.shape == (2, 9, 2) and logits.shape == (2, 3, 9)
    torch.nn.init.normal_(model.head.last.weight)
    _, _, logits = model(torch.rand(2, 3, 16, 24), lambda coarse: points)
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), name


def test_without_points_the_loss_is_that_of_coarse_logits():
    method, model = small(points=0), network(points=0)
    images, maps = torch.rand(2, 3, 16, 24), torch.randint(3, (2, 32, 48), dtype=torch.uint8)
    found = method.loss(model, images, maps, torch.ones(3), torch.Generator())
    torch.testing.assert_close(found, functional.cross_entropy(model(images, size=(32, 48)), maps.long()))


def test_what_changes_the_outcome():
    data = fine_data()
    changes = ({}, {"points": 0}, {"points": 21}, {"oversampling": 2.0}, {"biased": 0.5}, {"convolutions": 0})
    hashes = [
        small(**change).fit(data, Context(execution=CPU)).facts["final_weights_sha256"] for change in changes
    ]
    assert len(set(hashes)) == len(changes)


def test_operations_are_counted_at_the_size_of_the_maps():
    def flops(scale: int) -> int:
        found = small(steps=1, render_points=10**6).fit(fine_data(scale), Context(execution=CPU)).facts
        return int(found["flops_per_image"])

    head = sum(2 * a * b for a, b in ((4 + 2, 8), (8, 8), (8, 8), (8, 2)))
    # With so many points only the last grid is labelled.
    assert flops(2) - flops(1) == head * 3 * 16 * 24


def test_the_claim_is_against_as_many_operations():
    card = card_of(listing("point-rend"))
    assert card is not None
    (claim,) = (claim for claim in card.claims if "flops_per_image" in claim.equal)
    name, *values = claim.baseline.split(",")
    other = configure(name, "tiny", dict(value.split("=") for value in values))
    own = configure("point-rend", "tiny", {})
    spent = [one.flops(one.network((3, 96, 96), 2), (3, 96, 96), (192, 192)) for one in (own, other)]
    assert 0.9 * spent[1] < spent[0] <= spent[1]


def test_hyper_parameters_that_make_no_sense():
    wrong = {"width": "0", "convolutions": "-1", "points": "-1", "oversampling": "0.5", "biased": "2"}
    with pytest.raises(BadInput) as caught:
        configure("point-rend", "tiny", {**wrong, "head_width": "0", "render_points": "-3"})
    assert [str(problem) for problem in caught.value.problems] == [
        "width: is 0; expected 1 or more",
        "convolutions: is -1; expected 0 or more",
        "points: is -1; expected 0 or more",
        "oversampling: is 0.5; expected 1 to 100",
        "biased: is 2.0; expected 0 to 1",
        "head_width: is 0; expected 1 or more",
        "render_points: is -3; expected 0 or more",
    ]


# Maps finer than the images


@pytest.mark.parametrize("name", NAMES)
def test_every_method_learns_from_finer_maps(name, tmp_path):
    data, method = fine_data(), load(name)()
    if isinstance(method, Recipe):
        method = configure(name, "tiny", {"steps": "2", "batch_size": "2", "width": "4"})
        method = dataclasses.replace(method, crop=0.7, mix="classmix", scale=0.2)
    elif hasattr(method, "tuned"):
        method = method.tuned(data)
    model = method.fit(data, Context(folder=tmp_path, execution=CPU)).model
    sizes = [(32, 48), (32, 48), (20, 31), (32, 48)]
    assert [map_.shape for map_ in model.maps(data.train.images, sizes)] == sizes


def test_a_floor_sees_the_labels_of_the_pixels():
    fine, plain = fine_data(3), fine_data(3)
    plain = dataclasses.replace(plain, train=Labelled(fine.train.images, fine.train.labels[:, 1::3, 1::3]))
    found = [load("mean-colour")(1.0).fit(data, Context()).model for data in (fine, plain)]
    assert np.array_equal(found[0].mean, found[1].mean)
    assert np.array_equal(found[0].log_frequency, found[1].log_frequency)


def test_maps_of_mixed_sizes_are_those_one_by_one():
    images = np.random.default_rng(1).integers(0, 256, (12, 16, 24, 3), np.uint8)
    sizes = [(16, 24)] * 10 + [(31, 40), (16, 24)]
    model = RenderingSegmenter(network(), CPU)
    found = list(model.maps(images, sizes))
    assert [map_.shape for map_ in found] == sizes
    for image, size, map_ in zip(images, sizes, found, strict=True):
        (alone,) = model.maps(image[None], [size])
        assert (alone == map_).mean() > 0.99


def test_a_challenge_whose_maps_are_finer(tmp_path: Path):
    challenge = read_challenge(find("digits-boundaries"))
    assert challenge.input.size == (96, 96) and challenge.input.map_scale == 2
    rule = dataclasses.replace(challenge.rule(10), test_per_class=2)
    data = find_data(challenge, rule, data=tmp_path / "data", cache=False)
    found = labelled(data, "train", "val")
    assert found.images.shape == (10, 96, 96, 3) and found.labels.shape == (10, 192, 192)
    assert set(np.unique(found.labels)) == {0, 1}
    # Maps at the input's size would lose what lies between its pixels.
    blocks = found.labels.reshape(10, 96, 2, 96, 2).sum(axis=(2, 4))
    assert np.isin(blocks, (1, 2, 3)).mean() > 0.02
