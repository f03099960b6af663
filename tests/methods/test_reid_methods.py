"""Re-identification: losses, batches and embeddings against slow and plain ones; every method's contract."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from method_cases import CPU, fitted, small
from method_cases.reid import data_set
from sklearn.metrics import average_precision_score
from torch import nn
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods import _fitting, configure, listings, load
from vipriors.methods.protocol import Context, Labelled
from vipriors.methods.reid import _floor
from vipriors.methods.reid._backbones import residual_features, resnet50_features
from vipriors.methods.reid._network import PersonBatches
from vipriors.methods.reid._triplet import batch_hard_triplet
from vipriors.methods.reid._validation import retrieval
from vipriors.methods.reid.embedding import Embedding
from vipriors.methods.reid.mean_colour_distance import MeanColourDistance
from vipriors.methods.reid.pixel_distance import PixelDistance
from vipriors.problems import BadInput

NAMES = [listing.name for listing in listings() if listing.family == "reid"]
FLOORS = ["mean-colour-distance", "pixel-distance"]


# The triplet loss.


def value(scalar: torch.Tensor) -> float:
    return scalar.detach().item()


def plain_triplet(points: torch.Tensor, persons: list[int], margin: float) -> torch.Tensor:
    """The hardest triplet of each image, found by looking at every pair."""
    total = torch.zeros((), dtype=points.dtype)
    for a, person in enumerate(persons):
        same = [(points[a] - points[b]).norm() for b, p in enumerate(persons) if p == person and b != a]
        others = [(points[a] - points[b]).norm() for b, p in enumerate(persons) if p != person]
        farthest = max(same, key=value) if same else torch.zeros(())
        if others:
            total = total + max(farthest - min(others, key=value) + margin, torch.zeros(()), key=value)
    return total / len(persons)


@pytest.mark.parametrize("margin", [0.0, 0.3, 5.0])
@pytest.mark.parametrize(
    "persons", [[0, 0, 1, 1, 2, 2], [3, 1, 3, 3, 1, 0, 2], [4] * 5, [0, 1], list(range(30)) * 2]
)
def test_the_triplet_loss_and_its_gradient(persons, margin):
    generator = torch.Generator().manual_seed(len(persons))
    points = torch.randn(len(persons), 4, generator=generator, dtype=torch.float64, requires_grad=True)
    found = batch_hard_triplet(points, torch.tensor(persons), margin)
    expected = plain_triplet(points, persons, margin)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, points)
    if expected.requires_grad:
        torch.testing.assert_close(gradient, torch.autograd.grad(expected, points)[0])
    else:
        assert not gradient.any()


def test_equal_points_have_finite_gradients():
    points = torch.ones(6, 3, requires_grad=True)
    loss = batch_hard_triplet(points, torch.tensor([0, 0, 0, 1, 1, 1]), 0.3)
    assert loss.item() == pytest.approx(0.3)
    loss.backward()
    assert not points.grad.any()


def test_points_close_together_and_far_from_the_origin():
    points = 500 + 0.01 * torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    persons = [0, 1, 2] * 4
    expected = plain_triplet(points.double(), persons, 0.01)
    assert batch_hard_triplet(points, torch.tensor(persons), 0.01).item() == pytest.approx(
        expected.item(), rel=1e-3
    )


# Retrieval on held-out persons.


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.integers(0, 99))
def test_retrieval_is_that_of_scikit_learn(persons, seed):
    points = np.random.default_rng(seed).normal(size=(len(persons), 2)).astype(np.float32)
    persons, precisions, first = np.array(persons), [], []
    for q, (point, person) in enumerate(zip(points, persons, strict=True)):
        others = np.delete(np.arange(len(persons)), q)
        matches = persons[others] == person
        if matches.any():
            distances = np.linalg.norm(points[others] - point, axis=1)
            precisions.append(average_precision_score(matches, -distances))
            first.append(matches[distances.argmin()])
    expected = {"mAP": np.mean(precisions), "rank1": np.mean(first)} if first else {"mAP": 0.0, "rank1": 0.0}
    assert retrieval(points, persons) == pytest.approx(expected)


# Batches.


def batches(persons, *, images_per_person=4, batch_size=12, seed=0) -> PersonBatches:
    images = np.arange(len(persons), dtype=np.uint8)[:, None, None, None].repeat(2, 1)
    device = torch.device("cpu")
    return PersonBatches(
        images,
        np.array(persons),
        images_per_person=images_per_person,
        batch_size=batch_size,
        seed=seed,
        device=device,
    )


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(2, 4),
    st.integers(0, 50),
    st.integers(0, 1000),
)
def test_what_a_batch_is_made_of(persons, images_per_person, room, seed, step):
    names = [7 * person for person in persons]  # not every number needs to be there
    drawn = batches(
        names, images_per_person=images_per_person, batch_size=room * images_per_person, seed=seed
    )
    indices = drawn.indices(step).tolist()
    groups = [indices[k : k + images_per_person] for k in range(0, len(indices), images_per_person)]
    found = [{names[k] for k in group} for group in groups]
    assert all(len(one) == 1 for one in found)
    assert len(set.union(*found)) == len(groups) == min(room, len(set(persons)))
    for group in groups:
        there = names.count(names[group[0]])
        assert len(set(group)) == min(images_per_person, there)
        assert max(map(group.count, group)) == -(-images_per_person // there)
    images, labels = drawn(step)
    assert labels.tolist() == [names[k] for k in indices]
    assert (images[:, 0, 0, 0] * 255).round().tolist() == indices


def test_batches_depend_on_seed_and_step_alone():
    persons = [k % 7 for k in range(50)]
    first, again, other = batches(persons), batches(persons), batches(persons, seed=1)
    forward = [first.indices(step).tolist() for step in range(20)]
    backward = [again.indices(step).tolist() for step in reversed(range(20))]
    assert forward == backward[::-1]
    assert len(set(map(tuple, forward))) == 20
    assert forward != [other.indices(step).tolist() for step in range(20)]


def test_every_image_is_drawn_about_as_often():
    persons = [k % 8 for k in range(80)]
    drawn = batches(persons)
    count = np.bincount(torch.cat([drawn.indices(step) for step in range(2000)]).numpy(), minlength=80)
    # 24,000 draws of 80 images; four deviations.
    assert abs(count - 300).max() < 4 * 300**0.5


# The network.


def test_what_the_network_gives_in_training_and_what_predicts():
    torch.manual_seed(0)
    network = small("embedding", dimensions=5).network((3, 12, 8), 7).double()
    nn.init.uniform_(network.neck.weight, 0.5, 2)
    network.neck.running_mean.uniform_(-1, 1)
    network.neck.running_var.uniform_(0.5, 2)
    images = torch.rand(6, 3, 12, 8, dtype=torch.float64)
    features, projection = network.points

    network.eval()
    before = features(images) @ projection.weight.T + projection.bias
    scale = network.neck.weight / (network.neck.running_var + 1e-5).sqrt()
    after = (before - network.neck.running_mean) * scale
    points, logits = network(images)
    torch.testing.assert_close(points, before)
    torch.testing.assert_close(logits, after @ network.classifier.weight.T)
    torch.testing.assert_close(network.embedding(images), after)

    network.train()
    points, logits = network(images)
    normal = (points - points.mean(0)) / (points.var(0, correction=0) + 1e-5).sqrt() * network.neck.weight
    torch.testing.assert_close(logits, normal @ network.classifier.weight.T)
    assert {name for name, p in network.named_parameters() if not p.requires_grad} == {"neck.bias"}
    assert not network.neck.bias.any()
    assert network.classifier.weight.std().item() == pytest.approx(0.001, rel=0.3)


def test_embeddings_have_length_1_and_come_after_the_neck():
    data = data_set()
    model = fitted("embedding", data=data).model
    images = data.held_out.images
    found = model.embeddings(images)
    assert found.shape == (12, 6) and found.dtype == np.float32
    with torch.no_grad():
        points = model.network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    assert isinstance(model.network[-1], nn.BatchNorm1d)
    assert np.allclose(found, functional.normalize(points).numpy(), atol=1e-6)
    assert np.allclose((found**2).sum(1), 1, atol=1e-5)
    assert np.allclose(model.embeddings(images, batch_size=5), found, atol=1e-5)


def test_the_loss(monkeypatch):
    """Cross-entropy after the neck, with smoothing, and triplets before it, of augmented images."""
    caught = {}

    def instead_of_train(network, batches, recipe, loss, **options):
        caught.update(network=network, loss=loss, images=batches(0), options=options)
        return network

    monkeypatch.setattr(_fitting, "train", instead_of_train)
    data = data_set()
    method = small("embedding", triplet=0.7, margin=0.4, label_smoothing=0.2)
    method.fit(data, Context(seed=4, execution=CPU))
    network, (images, persons) = caught["network"].train(), caught["images"]
    found = caught["loss"](network, images, persons, torch.Generator().manual_seed(5))

    varied = method.augmentation(data.invariance)(images, torch.Generator().manual_seed(5))
    points, logits = network(varied)
    likelihood = logits.log_softmax(1)
    told = -(0.8 * likelihood[torch.arange(8), persons] + 0.2 * likelihood.mean(1)).mean()
    torch.testing.assert_close(found, told + 0.7 * plain_triplet(points, persons.tolist(), 0.4))
    assert logits.shape == (8, 6)
    assert not torch.equal(varied, images)


@pytest.mark.parametrize(
    ("changes", "invariance", "expected"),
    [
        ({}, Invariance(), ["RandomErasing"]),
        ({"erase": 0.0}, Invariance(flip=True), ["Flip"]),
        ({"erase": 0.0}, Invariance(scale=0.1), ["TurnAndScale"]),
        ({"erase": 0.2}, Invariance(rotate=3, shift=2), ["TurnAndScale", "Shift", "RandomErasing"]),
    ],
)
def test_how_images_are_varied(changes, invariance, expected):
    steps = small("embedding", **{"erase": 0.5} | changes).augmentation(invariance).steps
    assert [type(step).__name__ for step in steps] == expected
    if changes.get("erase"):
        assert steps[-1].p == changes["erase"]


def test_the_resnet_50():
    with torch.device("meta"):
        (features, size), (grey, _) = resnet50_features(3), resnet50_features(1)
        for sides in ((256, 128), (75, 33)):
            assert features(torch.empty(2, 3, *sides)).shape == (2, 2048)
        assert grey(torch.empty(2, 1, 64, 32)).shape == (2, size)
    # Torchvision's has 25,557,032 with its last layer.
    assert sum(p.numel() for p in features.parameters()) == 25_557_032 - 2048 * 1000 - 1000
    for name, module in features.named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            assert module.stride == (1, 1), name


def test_the_resnet_50_averages_where_it_skipped():
    torch.manual_seed(0)
    shortcut = resnet50_features(3)[0][5][0].downsample.eval()
    x = torch.randn(2, 256, 7, 6)
    means = functional.avg_pool2d(functional.pad(x, (0, 0, 0, 1), mode="replicate"), 2)
    torch.testing.assert_close(shortcut[1](shortcut[0](x)), functional.conv2d(means, shortcut[1].weight))


@pytest.mark.parametrize(
    ("sides", "expected"), [((32, 40), 8), ((33, 40), 5), ((64, 64), 8), ((65, 80), 5), ((256, 128), 8)]
)
def test_the_resolution_of_the_last_features(sides, expected):
    shapes = []
    with torch.device("meta"):
        network, size = residual_features(3, 4, 3, 2, min(sides))
        pool = next(module for module in network if isinstance(module, nn.AdaptiveAvgPool2d))
        pool.register_forward_hook(lambda module, inputs, output: shapes.append(inputs[0].shape))
        assert network(torch.empty(2, 3, *sides)).shape == (2, size) == (2, 16)
    assert min(shapes[0][2:]) == expected


@pytest.mark.parametrize("preset", ["tiny", "small", "full"])
def test_networks_of_every_preset(preset):
    method = configure("embedding", preset, {})
    for shape in ((3, 48, 48), (1, 256, 128)):
        with torch.device("meta"):
            network = method.network(shape, 120).eval()
            points, logits = network(torch.empty(2, *shape))
        assert points.shape == (2, method.dimensions) and logits.shape == (2, 120)
        count = sum(p.numel() for p in network.parameters())
        assert 1000 < count < {"tiny": 2e6, "small": 2e7, "full": 2e8}[preset]
    assert method.batch_size == 64 and method.images_per_person == 4
    assert (method.backbone == "resnet-50") == (preset == "full")


@pytest.mark.parametrize("images_per_person", [-1, 0, 3, 8])
def test_images_per_person_that_do_not_fit(images_per_person):
    with pytest.raises(BadInput) as caught:
        Embedding(batch_size=8, images_per_person=images_per_person)
    assert str(caught.value) == (
        f"images_per_person: is {images_per_person}; expected a divisor of batch_size, 8, that leaves room "
        "for two persons"
    )
    with pytest.raises(BadInput, match=r"^steps: is 0; expected 1 or more$"):
        Embedding(steps=0)


# What holds for every method.


def test_the_classifier_is_not_stored(tmp_path):
    fitted("embedding", steps=1).model.save(tmp_path)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not any("classifier" in key for key in state)


def test_training_brings_persons_together():
    data = data_set(persons=10)
    before, after = (fitted("embedding", data=data, steps=steps, width=8, lr=0.05) for steps in (1, 60))
    scores = [
        retrieval(f.model.embeddings(data.train.images), data.train.labels)["mAP"] for f in (before, after)
    ]
    assert scores[1] > scores[0] + 0.2


# Floors.


@pytest.mark.parametrize(
    ("size", "grid"), [((7, 5), (3, 2)), ((4, 4), (4, 4)), ((9, 6), (1, 6)), ((10, 3), (4, 1))]
)
def test_means_of_cells(size, grid):
    values = np.random.default_rng(0).random((2, *size, 3), dtype=np.float32)
    found = _floor.cell_means(values, *grid)
    assert found.shape == (2, *grid, 3) and found.dtype == np.float32
    for row, column in itertools.product(*map(range, grid)):
        top, bottom = (size[0] * (row + k) // grid[0] for k in (0, 1))
        left, right = (size[1] * (column + k) // grid[1] for k in (0, 1))
        expected = values[:, top:bottom, left:right].astype(float).mean((1, 2))
        assert np.allclose(found[:, row, column], expected, atol=1e-6)


def test_colours_of_stripes():
    images = data_set().train.images
    found = MeanColourDistance(stripes=3).features(images)
    stripes = images.reshape(len(images), 3, 4 * 8, 3) / 255
    expected = np.concatenate([stripes.mean(2), stripes.std(2)], axis=2).reshape(len(images), -1)
    assert np.allclose(found, expected, atol=1e-5)
    assert MeanColourDistance(stripes=50).features(images).shape == (len(images), 12 * 2 * 3)
    assert MeanColourDistance().features(images).shape == (len(images), 6 * 2 * 3)


def test_pixels_that_are_averaged_down():
    images = data_set().train.images
    assert np.allclose(PixelDistance(side=12).features(images), images.reshape(len(images), -1) / 255)
    assert np.allclose(PixelDistance().features(images), images.reshape(len(images), -1) / 255)
    blocks = images.reshape(len(images), 6, 2, 4, 2, 3).mean((2, 4)) / 255
    assert np.allclose(PixelDistance(side=6).features(images), blocks.reshape(len(images), -1), atol=1e-6)
    tall = np.zeros((1, 256, 128, 3), np.uint8)
    assert PixelDistance(side=64).features(tall).shape == (1, 64 * 32 * 3)
    assert PixelDistance(side=4).features(np.zeros((1, 100, 2, 1), np.uint8)).shape == (1, 4)


@pytest.mark.parametrize("name", FLOORS)
def test_features_are_scaled_by_their_spread(name):
    data = data_set()
    images = data.train.images.copy()
    images[:, :4] = 9  # a part that never varies
    data = dataclasses.replace(data, train=Labelled(images, data.train.labels))
    method = small(name)
    features = method.features(images)
    spread = features.std(0)
    assert (spread < 1e-6).any()
    points = fitted(name, data).model.embeddings(data.held_out.images)
    expected = method.features(data.held_out.images) / np.where(spread < 1e-6, 1, spread)
    assert np.allclose(points, expected, rtol=1e-4)


@pytest.mark.parametrize("name", FLOORS)
def test_floors_do_not_hold_all_images_as_floats(name, monkeypatch):
    data = data_set()
    whole = fitted(name, data).model.embeddings(data.train.images)
    seen = []
    kind = load(name)
    features = kind.features
    monkeypatch.setattr(
        kind, "features", lambda self, images: seen.append(len(images)) or features(self, images)
    )
    monkeypatch.setattr(_floor, "CHUNK", 7)
    assert np.allclose(fitted(name, data).model.embeddings(data.train.images), whole, rtol=1e-5)
    assert max(seen) == 7


@pytest.mark.parametrize("name", FLOORS)
def test_floors_choose_on_held_out_persons(name):
    (field,) = (f.name for f in dataclasses.fields(load(name)))
    data = data_set(shape=(24, 16, 3))
    chosen = small(name).tuned(data)
    scores = {}
    for value in (1, 2, 3, 6, 12) if name == "mean-colour-distance" else (4, 8, 16, 32, 64):
        points = fitted(name, data, **{field: value}).model.embeddings(data.held_out.images)
        scores[value] = retrieval(points, data.held_out.labels)["mAP"]
    assert getattr(chosen, field) == max(scores, key=scores.get)
    given = small(name, **{field: 5})
    assert given.tuned(data) is given
