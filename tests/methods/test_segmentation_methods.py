"""Methods of segmentation: what the battery over all tasks does not ask, and their parts."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from method_cases import CPU, fitted, small
from method_cases.segmentation import CLASSES, data_set, maps_of
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.metrics import jaccard_score
from torch import nn
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure, listings, load
from vipriors.methods.protocol import IGNORED, Context, Labelled, TrainingSet
from vipriors.methods.segmentation._iou import mean_iou
from vipriors.methods.segmentation._loss import class_weights, pixel_cross_entropy
from vipriors.methods.segmentation._network import augmentation
from vipriors.methods.segmentation._segmenter import BATCH, NetworkSegmenter
from vipriors.methods.segmentation.mean_colour import PRIORS, MeanColour, fit_gaussians
from vipriors.priors.augment.dense import DenseMove
from vipriors.problems import BadInput
from vipriors.train import Recipe

NAMES = [listing.name for listing in listings() if listing.family == "segmentation"]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]


# Every method


@pytest.mark.parametrize("name", NAMES)
def test_every_image_has_its_size(name):
    data = data_set()
    sizes = [(9, 7), (48, 32), (24, 16), (1, 1)]
    model = fitted(name, data, steps=1).model
    assert [map_.shape for map_ in model.maps(data.held_out.images, sizes)] == sizes
    assert list(model.maps(data.held_out.images[:0], [])) == []
    with pytest.raises(ValueError, match="shorter"):
        list(model.maps(data.held_out.images, sizes[:3]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 255])
def test_images_of_one_colour_and_maps_of_nothing(name, value):
    images = np.full((5, 16, 16, 3), value, np.uint8)
    nothing = Labelled(images, np.full((5, 16, 16), IGNORED, np.uint8))
    fit = fitted(name, TrainingSet(nothing, CLASSES, Invariance(scale=0.2), nothing), steps=3)
    assert maps_of(fit.model, images).max() < 3
    assert maps_of(fit.model, data_set((3, 16, 16)).held_out.images).max() < 3


@pytest.mark.parametrize("name", NAMES)
def test_classes_that_never_occur_are_not_predicted_by_chance(name):
    data = dataclasses.replace(data_set(), classes=("nothing", "bright", "dark", "never"))
    assert (maps_of(fitted(name, data, steps=20).model, data.train.images) == 3).mean() < 0.05


# Every network


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_learns_and_every_pixel_is_seen(name):
    torch.manual_seed(0)
    network = small(name).network((3, 32, 32), 3).train()
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    logits = network(images)
    functional.cross_entropy(logits, torch.randint(3, (2, *logits.shape[2:]))).backward()
    for where, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, where
    assert (images.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_single_image_and_batch(name):
    data = data_set(count=1)
    found = maps_of(fitted(name, data, steps=2, batch_size=1).model, data.train.images)
    assert found.max() < 3


@pytest.mark.parametrize("name", NETWORKS)
def test_scales_are_the_wider_of_what_challenge_and_recipe_say(name):
    def reach(recipe: float, challenge: float) -> float:
        method = small(name, scale=recipe, bend=0.0, jitter=0.0, invert=0.0, mix="none")
        steps = augmentation(method, Invariance(scale=challenge), (20, 20)).steps
        return max([step.max_scale for step in steps], default=0.0)

    assert [reach(*pair) for pair in ((0.0, 0.0), (0.3, 0.1), (0.1, 0.3))] == [0.0, 0.3, 0.3]


def test_moves_are_those_that_the_challenge_allows():
    method = small("u-net", bend=0.0, jitter=0.0, invert=0.0, mix="none")
    for allowed in (Invariance(flip=True), Invariance(shift=3, rotate=20, scale=0.2)):
        (step,) = augmentation(method, allowed, (20, 20)).steps
        assert step == DenseMove(allowed.flip, allowed.shift, allowed.rotate, allowed.scale)
    assert augmentation(method, Invariance(), (20, 20)).steps == []


def test_bends_grow_with_the_image():
    (step,) = augmentation(small("u-net", bend=2.0, mix="none"), Invariance(), (200, 300)).steps
    assert step == DenseMove(bend=4.0)


def test_a_share_of_the_image_is_seen_at_a_step():
    images, maps = torch.rand(2, 3, 40, 60), torch.zeros(2, 40, 60, dtype=torch.uint8)
    augment = augmentation(small("u-net", crop=0.75), Invariance(flip=True), (40, 60))
    found, labels = augment(images, maps, torch.Generator())
    assert found.shape == (2, 3, 30, 45)
    assert labels.shape == (2, 30, 45)


@pytest.mark.parametrize(
    ("name", "settings", "messages"),
    [
        (
            "u-net",
            {
                "scale": "1",
                "bend": "-1",
                "crop": "0",
                "jitter": "-1",
                "invert": "2",
                "mix_share": "-0.5",
                "class_balance": "2",
            },
            [
                "scale: is 1.0; expected 0 to less than 1",
                "bend: is -1.0; expected 0 or more",
                "crop: is 0.0; expected more than 0, at most 1",
                "jitter: is -1.0; expected 0 or more",
                "invert: is 2.0; expected 0 to 1",
                "mix_share: is -0.5; expected 0 to 1",
                "class_balance: is 2.0; expected 0 to 1",
            ],
        ),
        (
            "u-net",
            {"width": "0", "levels": "1", "stem": "3"},
            [
                "width: is 0; expected 1 or more",
                "levels: is 1; expected 2 to 8",
                "stem: is 3; expected 1 or 2",
            ],
        ),
        ("u-net", {"steps": "0"}, ["steps: is 0; expected 1 or more"]),
        (
            "deep-lab",
            {"width": "0", "blocks": "0", "stem": "0", "rates": "2,0"},
            [
                "width: is 0; expected 1 or more",
                "blocks: is 0; expected 1 or more",
                "stem: is 0; expected 1 or 2",
                "rates: is (2, 0); expected whole numbers from 1 on",
            ],
        ),
    ],
)
def test_hyper_parameters_that_make_no_sense(name, settings, messages):
    with pytest.raises(BadInput) as caught:
        configure(name, "tiny", settings)
    assert [str(problem) for problem in caught.value.problems] == messages


# The published networks


def test_the_u_net_is_the_published_one():
    method = configure("u-net", "full", {})
    assert (method.steps * method.batch_size, method.batch_size) == (200 * 200, 5)
    assert (method.lr, method.momentum, method.weight_decay) == (1e-2, 0.9, 1e-4)
    assert (method.scale, method.jitter, method.crop * 512, method.crop * 1024) == (0.3, 0.3, 384, 768)
    with torch.device("meta"):
        network = method.network((3, 384, 768), 19)
    found = [
        (module.in_channels, module.out_channels, module.kernel_size[0])
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    pairs = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512)]
    pairs += [(1024, 256), (512, 128), (256, 64), (128, 64)]
    expected = [(a, b, 3) for inputs, outputs in pairs for a, b in ((inputs, outputs), (outputs, outputs))]
    assert found == [*expected, (64, 19, 1)]


def test_the_u_net_step_by_step():
    torch.manual_seed(1)
    network = (
        configure("u-net", "tiny", {"width": "4", "levels": "3", "stem": "1"}).network((3, 9, 14), 5).eval()
    )
    images = torch.rand(2, 3, 9, 14)
    fine = network.down[0](images)
    middle = network.down[1](functional.max_pool2d(fine, 2, ceil_mode=True))
    coarse = network.down[2](functional.max_pool2d(middle, 2, ceil_mode=True))
    assert [x.shape[1:] for x in (fine, middle, coarse)] == [(4, 9, 14), (8, 5, 7), (8, 3, 4)]
    up = functional.interpolate(coarse, (5, 7), mode="bilinear")
    up = network.up[0](torch.cat([middle, up], 1))
    up = functional.interpolate(up, (9, 14), mode="bilinear")
    expected = network.head(network.up[1](torch.cat([fine, up], 1)))
    torch.testing.assert_close(network(images), expected)


def test_the_pyramid_step_by_step():
    from vipriors.methods.segmentation.deep_lab import Pyramid

    torch.manual_seed(0)
    pyramid = Pyramid(6, 4, (2, 3)).eval()
    x = torch.rand(2, 6, 9, 7)
    parts = []
    for branch, dilation in zip(pyramid.branches, (1, 2, 3), strict=True):
        weight = branch[0].weight
        parts.append(
            functional.conv2d(x, weight, padding=dilation * (weight.shape[2] // 2), dilation=dilation)
        )
    # Fresh normalisations shift nothing and scale by almost 1.
    parts = [part.relu() / math.sqrt(1 + 1e-5) for part in parts]
    mean = x.mean((2, 3)) @ pyramid.image.weight[:, :, 0, 0].T + pyramid.image.bias
    parts.append(mean.relu()[:, :, None, None].expand(-1, -1, 9, 7))
    merged = functional.conv2d(torch.cat(parts, 1), pyramid.merge[0].weight).relu() / math.sqrt(1 + 1e-5)
    torch.testing.assert_close(pyramid(x), merged)


# Loss


def slow_loss(logits, maps, weights, smoothing):
    """Pixel by pixel."""
    total = count = 0.0
    classes = logits.shape[1]
    for b, row, column in itertools.product(*map(range, maps.shape)):
        label = int(maps[b, row, column])
        if label == IGNORED:
            continue
        scores = logits[b, :, row, column].double()
        logs = scores - torch.logsumexp(scores, 0)
        value = -(1 - smoothing) * logs[label] - smoothing / classes * logs.sum()
        total, count = total + float(weights[label]) * value, count + float(weights[label])
    return total / count


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, [1.0, 0.25, 4.0]])
def test_the_loss_and_its_gradient(weights, smoothing):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    maps = torch.randint(3, (2, 4, 5), dtype=torch.uint8)
    maps[:, 1] = IGNORED
    tensor = None if weights is None else torch.tensor(weights)
    found = pixel_cross_entropy(logits, maps, tensor, smoothing)
    expected = slow_loss(logits, maps, weights or [1.0] * 3, smoothing)
    torch.testing.assert_close(found, expected.float())
    (gradient,) = torch.autograd.grad(found, logits)
    (by_hand,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, by_hand.float())
    assert (gradient[:, :, 1] == 0).all()
    assert (gradient[:, :, 0] != 0).any()


def test_the_loss_of_smaller_logits_is_that_of_enlarged_ones():
    logits, maps = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 9, 10))
    enlarged = functional.interpolate(logits, (9, 10), mode="bilinear", align_corners=False)
    torch.testing.assert_close(pixel_cross_entropy(logits, maps), functional.cross_entropy(enlarged, maps))


def test_ignored_maps_cost_nothing_and_teach_nothing():
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    loss = pixel_cross_entropy(logits, torch.full((2, 4, 5), IGNORED), torch.ones(3))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


def test_the_loss_of_half_precision_logits_is_finite():
    logits = torch.tensor([60000.0, -60000.0]).half()[None, :, None, None].expand(1, 2, 3, 3)
    assert pixel_cross_entropy(logits, torch.ones(1, 3, 3).long()).item() == pytest.approx(120000)


def test_weights_of_classes():
    maps = np.repeat(np.array([0, 1, IGNORED], np.uint8), [90, 10, 50]).reshape(1, 10, 15)
    assert class_weights(maps, 3, 0.0).tolist() == [1, 1, 1]
    found = class_weights(maps, 3, 1.0)
    # Each class that occurs counts half; the third as much a pixel as the rarest.
    assert found.tolist() == pytest.approx([0.5 / 0.9, 0.5 / 0.1, 0.5 / 0.1])
    root = class_weights(maps, 3, 0.5)
    assert (root[1] / root[0]).item() == pytest.approx(3)
    assert (0.9 * root[0] + 0.1 * root[1]).item() == pytest.approx(1)
    assert class_weights(np.full((1, 2, 2), IGNORED, np.uint8), 3, 1.0).tolist() == [1, 1, 1]


# Maps


class Fixed(nn.Module):
    """Logits at half the size of the images, made of their pixels."""

    def forward(self, images):
        small = images[:, :, ::2, ::2]
        return torch.cat([small, 1 - small], 1)


def test_maps_are_resized_logits_at_their_largest():
    images = np.random.default_rng(0).integers(0, 256, (BATCH + 3, 8, 10, 3), np.uint8)
    sizes = [(8, 10), (4, 5), (17, 23)] * 4
    model = NetworkSegmenter(Fixed(), CPU)
    found = list(model.maps(images, sizes[: len(images)]))
    for image, size, map_ in zip(images, sizes, found, strict=False):
        logits = Fixed()(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
        expected = functional.interpolate(logits, size, mode="bilinear", align_corners=False)[0].argmax(0)
        assert np.array_equal(map_, expected.numpy())
    assert len(found) == len(images)


def test_maps_leave_the_callers_autograd_alone():
    images = np.zeros((3, 8, 8, 3), np.uint8)
    for _ in NetworkSegmenter(Fixed(), CPU).maps(images, [(8, 8)] * 3):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("seed", range(3))
def test_mean_iou_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 3, (2, 4, 9, 8), np.uint8)
    truth[:, :2] = IGNORED
    counts = truth != IGNORED
    expected = jaccard_score(truth[counts], found[counts], average="macro")
    assert mean_iou(zip(truth, found, strict=True), ("a", "b", "c", "never")) == pytest.approx(expected)


# Floors


def test_the_majority_class_is_that_of_the_labelled_pixels():
    maps = np.repeat(np.array([2, 1, IGNORED, 3], np.uint8), [3, 4, 10, 5]).reshape(1, 2, 11)
    data = TrainingSet(Labelled(np.zeros((1, 2, 11, 3), np.uint8), maps), tuple("abcd"))
    model = load("majority-class")().fit(data, Context()).model
    assert (maps_of(model, data.train.images, (4, 6)) == 3).all()


@pytest.mark.parametrize(("prior", "priors"), [(1.0, None), (0.0, [1 / 3] * 3)])
def test_mean_colour_is_quadratic_discriminant_analysis(prior, priors):
    data = data_set((3, 12, 14))
    images, truth = data.held_out.images, data.held_out.labels
    places = np.stack(np.meshgrid(np.arange(12) / 12, np.arange(14) / 14, indexing="ij"), -1)

    def features(images):
        spots = np.broadcast_to(places, (len(images), *places.shape))
        return np.concatenate([images / 255, spots], -1).reshape(-1, 5)

    labels = data.train.labels.ravel()
    known = labels != IGNORED
    oracle = QuadraticDiscriminantAnalysis(priors=priors)
    oracle.fit(features(data.train.images)[known], labels[known])
    expected = oracle.predict(features(images)).reshape(truth.shape)
    found = maps_of(MeanColour(prior).fit(data, Context()).model, images)
    # They differ in the ridge and by n - 1.
    assert (found == expected).mean() > 0.99
    assert len(np.unique(expected)) == 3
    gaussians = fit_gaussians(data.train.images, data.train.labels, 3)
    assert np.allclose(gaussians.mean, oracle.means_)


def faint(count: int, seed: int) -> Labelled:
    """Few pixels of a second class, a little brighter than the others."""
    rng = np.random.default_rng(seed)
    maps = (rng.random((count, 16, 16)) < 0.05).astype(np.uint8)
    images = rng.normal(120, 20, (count, 16, 16, 3)) + 25 * maps[..., None]
    return Labelled(images.round().clip(0, 255).astype(np.uint8), maps)


def test_the_prior_is_chosen_on_the_held_out_images():
    chosen = set()
    for data in (data_set(), TrainingSet(faint(20, 0), ("a", "b"), held_out=faint(10, 1))):
        truth, images = data.held_out.labels, data.held_out.images
        models = [MeanColour(prior).fit(data, Context()).model for prior in PRIORS]
        scores = [mean_iou(zip(truth, maps_of(model, images), strict=True), data.classes) for model in models]
        best = PRIORS[int(np.argmax(scores))]
        assert MeanColour().tuned(data) == MeanColour(best)
        chosen.add(best)
    assert len(chosen) == 2
    assert MeanColour(0.3).tuned(data) == MeanColour(0.3)
