"""MobileNeXt and MobileNetV2: published sizes, and pairs on equal terms."""

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2

from vipriors import methods
from vipriors.methods import configure
from vipriors.methods.classification._mobile import fitting_strides
from vipriors.train import forward_flops


def size(name: str, preset: str, shape: tuple[int, int, int], classes: int, **settings: str):
    """Parameters and multiply-adds."""
    network = configure(name, preset, settings).network(shape, classes)
    return sum(p.numel() for p in network.parameters()), forward_flops(network, shape) / 2


@pytest.mark.parametrize(
    ("name", "width", "parameters", "millions"),
    [
        ("sandglass", "1.0", 3_535_416, 311.34),
        ("sandglass", "0.75", 2_766_168, 207.93),
        ("sandglass", "0.5", 2_152_304, 103.26),
        ("sandglass", "1.4", 6_126_168, 588.32),
        ("inverted-residual", "1.0", 3_504_872, 300.77),
    ],
)
def test_full_has_the_published_size(name, width, parameters, millions):
    """That of the released code; the papers print 3.4, 2.5, 2.1, 6.1 and 3.5 M parameters."""
    count, operations = size(name, "full", (3, 224, 224), 1000, width=width)
    assert count == parameters and operations / 1e6 == pytest.approx(millions, abs=0.006)


def test_mobilenet_v2_is_torchvisions():
    with torch.device("meta"):
        theirs = mobilenet_v2(weights=None)
        mine = configure("inverted-residual", "full", {}).network((3, 224, 224), 1000)

    def shapes(network: nn.Module) -> list[tuple[int, ...]]:
        return [tuple(p.shape) for p in network.parameters()]

    def strides(network: nn.Module) -> list[tuple[int, ...]]:
        return [m.stride for m in network.modules() if isinstance(m, nn.Conv2d)]

    assert shapes(mine) == shapes(theirs) and strides(mine) == strides(theirs)


@pytest.mark.parametrize(
    ("preset", "shape"),
    [("tiny", (1, 8, 8)), ("tiny", (1, 16, 16)), ("tiny", (1, 28, 28)), ("small", (3, 32, 32))],
)
def test_pairs_are_equal_within_5_percent(preset, shape):
    own, other = (size(name, preset, shape, 10) for name in ("sandglass", "inverted-residual"))
    assert own[0] == pytest.approx(other[0], rel=0.05) and own[1] == pytest.approx(other[1], rel=0.05)


def test_the_pair_of_the_brief():
    parameters, operations = size("sandglass", "tiny", (1, 16, 16), 10)
    assert (parameters, operations) == (46_746, 1_812_128)
    parameters, operations = size("sandglass", "small", (3, 32, 32), 10)
    assert (parameters, operations) == (106_410, 10_256_256)


def test_claims_allow_no_more_than_5_percent():
    card = methods.card_of(methods.listing("sandglass"))
    assert card and [claim.baseline for claim in card.claims] == ["inverted-residual"] * 2
    assert all(
        claim.equal == {"parameters": 1.05, "flops_per_image": 1.05, "steps": 1.0} for claim in card.claims
    )


def test_small_images_keep_maps_of_four_pixels():
    full = (2, 2, 1, 2, 2, 1, 2, 1, 1)
    assert fitting_strides(full, 224) == fitting_strides(full, 128) == full
    assert fitting_strides(full, 100) == (1, 2, 1, 2, 2, 1, 2, 1, 1)
    assert fitting_strides(full, 32) == (1, 1, 1, 2, 2, 1, 2, 1, 1)
    assert fitting_strides((1, 2, 1, 2), 8) == (1, 1, 1, 2)
    assert fitting_strides((1, 2, 1, 2), 16) == (1, 2, 1, 2)
    assert fitting_strides((1, 2, 1, 2), 3) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    "settings", [{"identity": "2"}, {"spatial": "narrow"}, {"spatial": "one"}, {"linear": "false"}]
)
def test_ablations_are_other_networks(settings):
    images = torch.rand(2, 1, 8, 8)
    found = []
    for values in ({}, settings):
        torch.manual_seed(0)
        network = configure("sandglass", "tiny", values).network((1, 8, 8), 10)
        # Of weights of some size, or the last layer hides what is before it.
        nn.init.normal_(list(network.modules())[-1].weight)
        found.append(network(images))
    assert not torch.allclose(found[0], found[1])


def test_weights_start_as_published():
    """Convolutions as He's with all channels out counted, depthwise ones too; the last layer small."""
    torch.manual_seed(0)
    network = configure("sandglass", "full", {}).network((3, 224, 224), 10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            expected = (2 / (module.kernel_size[0] ** 2 * module.out_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.2)
    assert list(network.modules())[-1].weight.std().item() == pytest.approx(0.01, rel=0.1)
