"""Methods of action recognition: each network against a library's, the floors against plain loops."""

import itertools

import numpy as np
import pytest
import torch
from method_cases import CPU, fitted, small
from method_cases.actions import data_set
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from torch.nn import functional
from torchvision.models.video import resnet as library

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure, listings, load
from vipriors.methods.actions._layers import Norm, Spatial, Temporal, to_clips, to_frames
from vipriors.methods.actions._network import ClipClassifier, StandardiseClips, augmentation, validate
from vipriors.methods.actions.c3d import C3D, POOLED, WIDTHS, Cubic, c3d_network
from vipriors.methods.actions.class_prior import ClassPrior
from vipriors.methods.actions.frame_nearest_neighbour import FrameNearestNeighbour
from vipriors.methods.actions.two_plus_one import (
    Differences,
    TwoPlusOne,
    TwoStreams,
    WithDifferences,
    differences,
    factorised_network,
    middle_channels,
)
from vipriors.methods.protocol import Context, Labelled, TrainingSet
from vipriors.problems import BadInput
from vipriors.train import Recipe

NAMES = [listing.name for listing in listings() if listing.family == "actions"]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]


@pytest.mark.parametrize("name", NETWORKS)
def test_facts(name) -> None:
    data = data_set()
    facts = fitted(name, data, steps=1, frames=3, views=2, strides=(1,)).facts
    once = fitted(name, data, steps=1, frames=3, views=1, strides=(1,)).facts
    network = small(name).network((3, 3, 9, 12), 3)
    assert facts["parameters"] == sum(p.numel() for p in network.parameters())
    assert facts["steps"] == 1
    assert facts["flops_per_image"] == 2 * once["flops_per_image"] > 2 * facts["parameters"]
    assert facts["seconds"] >= 0


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 0}, "frames is 0; expected 1 or more"),
        ({"strides": (0,)}, r"strides is \(0,\); expected numbers from 1 up"),
        ({"views": 0}, "is 0; expected 1 or more"),
        ({"crop": 1.5}, r"scale is \(1.5, 1.0\); expected \(least, most\) within 0 to 1"),
        ({"jitter": -1.0}, "brightness is -1.0; expected 0 or more"),
        ({"lr": 0.0}, "is 0.0; expected more than 0"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(name, changes, message) -> None:
    with pytest.raises(BadInput, match=message):
        small(name, **changes)


# What the networks share.


@pytest.mark.parametrize(
    ("frames", "strides", "views", "total", "parts"),
    [
        (8, (2,), 2, 16, [[0, 2, 4, 6, 8, 10, 12, 14], [1, 3, 5, 7, 9, 11, 13, 15]]),
        (3, (4, 1), 3, 5, [[0, 1, 2], [1, 2, 3], [2, 3, 4]]),
        (3, (9,), 4, 5, [[0, 2, 4]]),
        (8, (2,), 2, 3, [[0, 1, 2]]),
        (1, (1,), 3, 3, [[0], [1], [2]]),
        (2, (1,), 1, 7, [[2, 3]]),
        (5, (3,), 2, 1, [[0]]),
    ],
)
def test_the_parts_by_which_a_clip_is_predicted(frames, strides, views, total, parts) -> None:
    method = TwoPlusOne(frames=frames, strides=strides, views=views)
    assert [list(part) for part in method.parts(total)] == parts


def test_probabilities_are_the_mean_over_the_parts() -> None:
    class Sums(nn.Module):
        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            return clips.sum((1, 3, 4))

    clips = np.random.default_rng(0).integers(0, 256, (70, 5, 2, 2, 3), dtype=np.uint8)
    parts = [range(0, 3), range(0, 5, 2), range(2, 5)]
    found = ClipClassifier(Sums(), parts, CPU).probabilities(clips)
    sums = clips.sum((2, 3, 4)) / 255
    each = [np.exp(sums[:, part]) / np.exp(sums[:, part]).sum(1, keepdims=True) for part in map(list, parts)]
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-4)


def test_validation_weighs_all_classes_alike() -> None:
    class Known:
        def probabilities(self, clips: np.ndarray) -> np.ndarray:
            return np.array([[0.9, 0.1, 0]] * 3 + [[0.2, 0.8, 0]] + [[1, 0, 0]], np.float32)

    found = validate(Known(), Labelled(np.zeros((5, 1, 1, 1, 1), np.uint8), np.array([0, 0, 0, 1, 1])))
    assert found["val_top1"] == pytest.approx((3 / 3 + 1 / 2) / 2)
    expected = -(3 * np.log(0.9) + np.log(0.8) + np.log(1e-12)) / 5
    assert found["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_clips_are_standardised_by_channel() -> None:
    clips = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 7, 3), dtype=np.uint8)
    clips[..., 1] //= 4
    layer = StandardiseClips.of(clips.reshape(-1, 6, 7, 3))
    found = layer(torch.from_numpy(clips).movedim(-1, 1) / 255)
    scaled = clips / 255
    expected = (scaled - scaled.mean((0, 1, 2, 3))) / scaled.std((0, 1, 2, 3))
    np.testing.assert_allclose(found.movedim(1, -1), expected, atol=1e-4)


def test_frames_and_clips_are_views_where_channels_come_last() -> None:
    clips = torch.rand(2, 3, 4, 5, 6).contiguous(memory_format=torch.channels_last_3d)
    frames = to_frames(clips)
    assert frames.data_ptr() == clips.data_ptr()
    assert frames.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(frames[4 + 2], clips[1, :, 2])
    back = to_clips(frames, 4)
    assert back.data_ptr() == clips.data_ptr()
    assert torch.equal(back, clips)
    assert torch.equal(to_clips(to_frames(clips.contiguous()), 4), clips)


def test_clips_are_varied_as_the_challenge_says() -> None:
    clips = torch.rand(4, 3, 6, 12, 10)
    plain = augmentation(TwoPlusOne(frames=6), (3, 6, 12, 10), Invariance())
    assert torch.equal(plain(clips, torch.Generator().manual_seed(0)), clips)
    flips = augmentation(TwoPlusOne(frames=6), (3, 6, 12, 10), Invariance(flip=True))
    flipped = flips(clips, torch.Generator().manual_seed(3))
    for before, after in zip(clips, flipped, strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(3))
    assert not torch.equal(flipped, clips)


# R(2+1)D


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_convolutions_over_space_and_over_time_are_3d_ones(size, stride, layout) -> None:
    torch.manual_seed(0)
    for ours, kernel, steps in (
        (Spatial(3, 5, size, stride), (1, size, size), (1, stride, stride)),
        (Temporal(3, 5, size, stride), (size, 1, 1), (stride, 1, 1)),
    ):
        padding = tuple(side // 2 for side in kernel)
        theirs = nn.Conv3d(3, 5, kernel, steps, padding=padding, bias=False)
        theirs.weight.data = ours.weight.data.view(theirs.weight.shape)
        inputs = [torch.randn(2, 3, 5, 7, 6).contiguous(memory_format=layout).requires_grad_()]
        inputs.append(inputs[0].detach().clone().requires_grad_())
        found, expected = ours(inputs[0]), theirs(inputs[1])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        weights = torch.randn_like(expected)
        (found * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, atol=1e-5, rtol=1e-5)
        grad = ours.weight.grad.view(theirs.weight.shape)
        torch.testing.assert_close(grad, theirs.weight.grad, atol=1e-4, rtol=1e-4)


def test_normalisation_is_that_of_3d() -> None:
    ours, theirs, clips = Norm(3), nn.BatchNorm3d(3), torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(ours(clips), theirs(clips))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(clips), theirs.eval()(clips))


class LibraryConvolution(library.Conv2Plus1D):
    """The library's, but with the paper's channels between: the library takes a block's first for both."""

    def __init__(self, inputs: int, outputs: int, middle: int, stride: int = 1, padding: int = 1) -> None:
        super().__init__(inputs, outputs, middle_channels(inputs, outputs), stride, padding)


def test_r2plus1d_18_is_the_library_s() -> None:
    torch.manual_seed(0)
    theirs = library.VideoResNet(
        library.BasicBlock, [LibraryConvolution] * 4, [2, 2, 2, 2], library.R2Plus1dStem, num_classes=5
    )
    method = configure("two-plus-one", "full", {"differences": "none"})
    ours = method.network((3, 8, 80, 72), 5)
    weights = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict({k: w.view(ours.state_dict()[k].shape) for k, w in weights.items()})
    clips = torch.randn(1, 3, 8, 80, 72)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        with torch.no_grad():
            torch.testing.assert_close(ours(clips), theirs(clips), atol=1e-3, rtol=1e-3)


def test_channels_between_space_and_time_keep_the_number_of_weights() -> None:
    assert middle_channels(64, 64) == 144
    assert middle_channels(64, 128) == 230
    for inputs, outputs in ((16, 16), (16, 32), (64, 128), (512, 512)):
        weights = (9 * inputs + 3 * outputs) * middle_channels(inputs, outputs)
        assert 0.98 * 27 * inputs * outputs < weights <= 27 * inputs * outputs


def test_the_small_network_halves_space_and_time() -> None:
    network = factorised_network(1, 3, widths=[4, 8, 16], blocks=2, large=False)
    sizes = []
    for module in network:
        module.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[1:])))
    network(torch.zeros(2, 1, 8, 24, 20))
    assert sizes[5:12] == [
        (4, 8, 12, 10),
        (4, 8, 6, 5),
        (4, 8, 6, 5),
        (8, 4, 3, 3),
        (8, 4, 3, 3),
        (16, 2, 2, 2),
        (16, 2, 2, 2),
    ]


def test_differences() -> None:
    clips = torch.rand(2, 3, 4, 2, 2)
    found = differences(clips)
    assert torch.equal(found[:, :, 0], torch.zeros(2, 3, 2, 2))
    for frame in range(1, 4):
        assert torch.equal(found[:, :, frame], clips[:, :, frame] - clips[:, :, frame - 1])
    assert torch.equal(differences(clips[:, :, :1]), torch.zeros(2, 3, 1, 2, 2))


def test_differences_are_shown_at_unit_deviation() -> None:
    clips = torch.rand(6, 3, 4, 5, 5)
    changes = differences(clips)
    scaled = changes - changes.mean((0, 2, 3, 4), keepdim=True)
    scaled /= changes.var((0, 2, 3, 4), unbiased=False, keepdim=True).add(1e-5).sqrt()
    torch.testing.assert_close(Differences(3)(clips), scaled)
    torch.testing.assert_close(WithDifferences(3)(clips), torch.cat((clips, scaled), 1))
    assert not list(WithDifferences(3).parameters())


def test_two_streams_are_averaged() -> None:
    clips = torch.rand(2, 3, 4, 2, 2)
    found = TwoStreams(nn.Identity(), nn.Threshold(0.5, 7.0))(clips)
    torch.testing.assert_close(found, (clips + torch.where(clips > 0.5, clips, 7.0)) / 2)


def test_what_the_networks_are_shown() -> None:
    """Steady light is no motion; without frames a clip and its brighter self are the same."""
    torch.manual_seed(0)
    clips = torch.rand(2, 3, 8, 16, 16)
    same = {}
    for kind in ("none", "channels", "stream", "only"):
        network = TwoPlusOne(width=4, differences=kind).network((3, 8, 16, 16), 5).eval()
        logits = network(clips)
        assert logits.shape == (2, 5)
        same[kind] = torch.allclose(logits, network(clips + 1), atol=1e-5)
    assert same == {"none": False, "channels": False, "stream": False, "only": True}


# C3D


def published_c3d(shape: tuple[int, ...], classes: int, width: int, features: int) -> nn.Sequential:
    """The table of the paper in the library's layers; what is left of a clip is found by trying."""
    channels = shape[0]
    layers: list[nn.Module] = []
    for outputs, pool in [(1, 1), (2, 2), (4, 0), (4, 2), (8, 0), (8, 2), (8, 0), (8, 2)]:
        layers += [nn.Conv3d(channels, outputs * width, 3, padding=1), nn.ReLU()]
        channels = outputs * width
        if pool:
            layers.append(nn.MaxPool3d((pool, 2, 2), (pool, 2, 2), ceil_mode=True))
    layers.append(nn.Flatten())
    with torch.no_grad():
        left = nn.Sequential(*layers)(torch.zeros(1, *shape)).shape[1]
    for inputs, outputs in ((left, features), (features, features)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(features, classes))


@pytest.mark.parametrize("shape", [(3, 16, 32, 32), (1, 5, 20, 33), (2, 1, 3, 1)])
def test_c3d_is_the_published_table(shape) -> None:
    torch.manual_seed(0)
    theirs = published_c3d(shape, 7, width=4, features=12).eval()
    ours = c3d_network(shape, 7, width=4, features=12).eval()
    weights = zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict({name: w.view(mine.shape) for (name, mine), w in weights})
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        clips = torch.randn(3, *shape).contiguous(memory_format=layout)
        found, expected = ours(clips), theirs(clips)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    for network, logits in ((ours, found), (theirs, expected)):
        functional.cross_entropy(logits, torch.arange(3)).backward()
        assert network[0].weight.grad.abs().max() > 0
    for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, their.grad.view(mine.shape), atol=1e-5, rtol=1e-3)


def test_c3d_at_its_published_size() -> None:
    with torch.device("meta"):
        network = configure("c3d", "full", {}).network((3, 16, 112, 112), 101)
    hidden = [module for module in network if isinstance(module, nn.Linear)]
    assert [(one.in_features, one.out_features) for one in hidden] == [
        (8192, 4096),
        (4096, 4096),
        (4096, 101),
    ]
    widths = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    assert [m.weight.shape[0] for m in network if isinstance(m, Cubic)] == widths[1:]
    convolved = sum(27 * a * b + b for a, b in itertools.pairwise(widths))
    linear = 8192 * 4096 + 4096 * 4096 + 4096 * 101 + 2 * 4096 + 101
    assert sum(p.numel() for p in network.parameters()) == convolved + linear
    assert sum(isinstance(m, nn.Dropout) and m.p == 0.5 for m in network) == 2
    assert not any(isinstance(m, Norm) for m in network)
    assert len(WIDTHS) == 8
    assert len(POOLED) == 5


def test_c3d_normalises_if_told_to() -> None:
    network = c3d_network((1, 4, 8, 8), 3, width=2, features=4, normalise=True)
    assert sum(isinstance(module, Norm) for module in network) == 8
    assert C3D(normalise=True).normalise


# The floors.


def test_the_class_prior() -> None:
    labels = np.array([2, 2, 1, 3, 3, 2, 1, 2])
    data = TrainingSet(Labelled(np.zeros((8, 2, 2, 2, 1), np.uint8), labels), tuple("abcde"))
    found = ClassPrior().fit(data, Context()).model.probabilities(np.zeros((3, 2, 2, 2, 1), np.uint8))
    np.testing.assert_allclose(found, [[0, 2 / 8, 4 / 8, 2 / 8, 0]] * 3)
    assert np.argsort(-found[0], kind="stable").tolist() == [2, 1, 3, 0, 4]


def neighbours_case(seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    train, held_out = rng.integers(0, 5, 40), rng.integers(0, 5, 90)

    def clips(labels: np.ndarray) -> np.ndarray:
        return rng.integers(0, 200, (len(labels), 5, 3, 4, 2), dtype=np.uint8) + 10 * labels[
            :, None, None, None, None
        ].astype(np.uint8)

    return TrainingSet(
        Labelled(clips(train), train), tuple("abcdef"), held_out=Labelled(clips(held_out), held_out)
    )


def test_the_nearest_frame_is_scikit_learn_s() -> None:
    data = neighbours_case()
    found = FrameNearestNeighbour().fit(data, Context()).model.probabilities(data.held_out.images)
    x, y = (part.images[:, 2].reshape(len(part.images), -1) / 255 for part in (data.train, data.held_out))
    assert np.array_equal(found.argmax(1), KNeighborsClassifier(1).fit(x, data.train.labels).predict(y))


def test_classes_are_ranked_by_their_nearest_frame() -> None:
    data = neighbours_case(1)
    found = FrameNearestNeighbour().fit(data, Context()).model.probabilities(data.held_out.images)
    for clip, row in zip(data.held_out.images, found, strict=True):
        nearest = {}
        for known, label in zip(data.train.images, data.train.labels.tolist(), strict=True):
            distance = np.sqrt((((clip[2] / 255.0) - (known[2] / 255.0)) ** 2).sum())
            nearest[label] = min(distance, nearest.get(label, np.inf))
        assert np.argsort(-row)[: len(nearest)].tolist() == sorted(nearest, key=nearest.__getitem__)
        weights = np.array([np.exp(-nearest.get(label, np.inf)) for label in range(6)])
        np.testing.assert_allclose(row, weights / weights.sum(), rtol=1e-4)
    assert (found[:, 5] == 0).all()
