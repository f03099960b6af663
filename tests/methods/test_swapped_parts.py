"""Methods that swap one part of the residual network: what that part does in the whole network."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from vipriors.methods import configure, listings, load
from vipriors.methods.classification._pretrained import PreTrained
from vipriors.methods.classification.blur_pool import BlurBlock
from vipriors.methods.classification.full_convolution import FullBlock
from vipriors.methods.classification.group_p4 import group_neck
from vipriors.methods.classification.harmonic import Harmonic, HarmonicBlock
from vipriors.methods.classification.residual import Block, Residual
from vipriors.priors.layers import P4, P4M, BlurPool2d
from vipriors.priors.losses import cosine_loss, orthogonal_low_rank, positive_class_loss

NAMES = [
    listing.name
    for listing in listings()
    if listing.family == "classification"
    and issubclass(load(listing.name), Residual)
    and not issubclass(load(listing.name), PreTrained)
]
GENERATOR = torch.Generator()


def tiny(name: str, **changes):
    return dataclasses.replace(configure(name, "tiny", {}), **{"width": 8} | changes)


def tried(network: nn.Module) -> nn.Module:
    """With statistics and scales as if it had been trained."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("preset", ["tiny", "small", "full"])
def test_all_are_on_equal_terms_with_the_floor(name, preset):
    """The same steps, batches, recipe, augmentation and backbone; only the strong wide network is wider."""
    method, floor = configure(name, preset, {}), configure("residual", preset, {})
    for field in dataclasses.fields(Residual):
        if not (name == "strong-wide" and field.name == "width"):
            assert getattr(method, field.name) == getattr(floor, field.name), field.name
    assert len(NAMES) == 17
    own = set(method.tuning) - set(Residual.tuning)
    assert own <= {field.name for field in dataclasses.fields(method)}
    assert all(low <= getattr(method, field) <= high for field, (low, high) in method.tuning.items())
    assert name == "strong-wide" or method.tuning.items() >= Residual.tuning.items()


@pytest.mark.parametrize("side", [8, 9, 70])
@pytest.mark.parametrize(("name", "group"), [("group-p4", P4), ("group-p4m", P4M)])
def test_the_answer_of_a_group_network_does_not_change_with_the_group(name, group, side):
    torch.manual_seed(0)
    network = tried(tiny(name).network((3, side, side), 5))
    images = torch.randn(2, 3, side, side)
    logits = network(images)
    for g in range(len(group)):
        torch.testing.assert_close(network(group.act(g, images).contiguous()), logits, atol=1e-5, rtol=1e-5)
    if name == "group-p4":
        assert (network(images.flip(-1)) - logits).abs().max() > 1e-3


def test_a_network_of_full_convolutions_does_not_see_where_an_object_is():
    """Moved by multiples of the strides over an empty canvas, up to its border."""
    torch.manual_seed(0)
    networks = {name: tiny(name).network((1, 16, 16), 4).eval() for name in ("full-convolution", "residual")}
    patch = torch.rand(1, 1, 4, 4)

    def changes(network):
        found = []
        for row, column in [(4, 8), (0, 0), (12, 12), (0, 12)]:
            canvas = torch.zeros(1, 1, 16, 16)
            canvas[:, :, row : row + 4, column : column + 4] = patch
            found.append(network(canvas))
        return max((other - found[0]).abs().max().item() for other in found[1:])

    assert changes(networks["full-convolution"]) < 1e-5
    assert changes(networks["residual"]) > 1e-3


@pytest.mark.parametrize(("inputs", "stride"), [(4, 1), (4, 2), (3, 2)])
def test_a_full_block_keeps_path_and_shortcut_aligned(inputs, stride):
    """Where convolutions copy the middle pixel, a block doubles what it is given."""
    block = FullBlock(inputs, 4, stride)
    for convolution in (block.conv1, block.conv2, block.shortcut):
        if convolution is not None:
            nn.init.dirac_(convolution.weight)
    block.norm1, block.norm2 = nn.Identity(), nn.Identity()
    x = torch.rand(2, inputs, 7, 8)
    skip = torch.zeros(2, 4, *block(x).shape[2:])
    border = 2 if stride == 1 else 3
    padded = functional.pad(x, (border,) * 4)[:, :, ::stride, ::stride]
    skip[:, :inputs] = padded
    torch.testing.assert_close(block(x), 2 * skip)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_harmonic_block_is_a_block_with_those_filters(stride):
    torch.manual_seed(0)
    harmonic, plain = HarmonicBlock(4, 6, stride, level=5), Block(4, 6, stride)
    plain.load_state_dict(
        {name: value for name, value in harmonic.state_dict().items() if "conv" not in name}
        | {f"{name}.weight": getattr(harmonic, name).filters() for name in ("conv1", "conv2")}
    )
    x = torch.randn(2, 4, 7, 6)
    torch.testing.assert_close(harmonic(x), plain(x))
    layers = [m for m in Harmonic(level=2).network((1, 8, 8), 3).modules() if isinstance(m, HarmonicBlock)]
    assert {layer.conv1.weight.shape[2] for layer in layers} == {3}


@pytest.mark.parametrize("stride", [1, 2])
def test_a_blurring_block_by_hand(stride):
    torch.manual_seed(0)
    block = BlurBlock(4, 6, stride, size=3)
    x = torch.randn(2, 4, 7, 6)
    blur = BlurPool2d(3, stride) if stride > 1 else nn.Identity()
    active = block.norm1(x).clamp(min=0)
    y = functional.conv2d(active, block.conv1.weight, padding=1)
    y = functional.conv2d(blur(block.norm2(y).clamp(min=0)), block.conv2.weight, padding=1)
    torch.testing.assert_close(block(x), y + functional.conv2d(blur(active), block.shortcut.weight))


@pytest.mark.parametrize("scales", [1, 2])
def test_scattering_takes_the_place_of_the_first_reductions(scales):
    method = tiny("scattering", scales=scales)
    network = method.network((1, 32, 24), 4)
    shapes = []
    pool = next(m for m in network.modules() if isinstance(m, nn.AdaptiveAvgPool2d))
    pool.register_forward_hook(lambda module, inputs, output: shapes.append(inputs[0].shape))
    network(torch.rand(2, 1, 32, 24))
    assert shapes == [(2, 32, 8, 6)]
    assert network[1].num_features == (9 if scales == 1 else 81)


IMAGES = torch.rand(6, 2, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 2, 1, 1, 0, 2])


def fixed(name: str, **changes):
    """A method and its network in training mode."""
    torch.manual_seed(0)
    method = tiny(name, **changes)
    return method, method.network((2, 8, 8), 3).train()


def test_the_loss_of_cosine_and_its_probabilities():
    method, network = fixed("cosine", label_smoothing=0.1)
    found = method.loss(network, IMAGES, LABELS, GENERATOR)
    torch.testing.assert_close(found, cosine_loss(network(IMAGES), LABELS, 0.1))
    logits = network(IMAGES)
    torch.testing.assert_close(logits.norm(dim=1), torch.full((6,), 7.0))
    perfect = torch.tensor([7.0] + [0.0] * 9).softmax(0)[0]
    assert perfect.item() == pytest.approx(0.99, abs=0.002)


def test_the_loss_of_cosine_with_cross_entropy():
    method, network = fixed("cosine-cross-entropy", cross_entropy=0.3)
    logits, directions = network(IMAGES)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(6))
    cosine = sum(1 - d[y] for d, y in zip(directions, LABELS, strict=True)) / 6
    expected = cosine + 0.3 * functional.cross_entropy(logits, LABELS)
    torch.testing.assert_close(method.loss(network, IMAGES, LABELS, GENERATOR), expected)
    layer = network[-1][1].head
    torch.testing.assert_close(logits, directions @ layer.weight.T + layer.bias)


def test_the_loss_of_ole():
    method, network = fixed("ole", low_rank=0.7)
    features = network[:-1](IMAGES)
    expected = functional.cross_entropy(network(IMAGES)[0], LABELS)
    expected = expected + 0.7 * orthogonal_low_rank(features, LABELS)
    torch.testing.assert_close(method.loss(network, IMAGES, LABELS, GENERATOR), expected)
    assert network.eval()(IMAGES).shape == (6, 3)


def test_the_loss_of_selective_kernels():
    method, network = fixed("selective-kernels", positive_class=0.7)
    logits = network.eval()(IMAGES)
    expected = functional.cross_entropy(logits, LABELS) + 0.7 * positive_class_loss(logits, LABELS)
    torch.testing.assert_close(method.loss(network, IMAGES, LABELS, GENERATOR), expected)


def test_the_similarities_of_t_vmf():
    method, network = fixed("t-vmf", kappa=4.0)
    features, weight = network[:-1](IMAGES), network[-1].weight
    cosine = (features / features.norm(dim=1, keepdim=True)) @ (weight / weight.norm(dim=1, keepdim=True)).T
    scale = 1 + math.log(2)
    torch.testing.assert_close(network(IMAGES), scale * ((1 + cosine) / (1 + 4 * (1 - cosine)) - 1))
    found = method.loss(network, IMAGES, LABELS, GENERATOR)
    torch.testing.assert_close(found, functional.cross_entropy(network(IMAGES), LABELS))


def test_the_penalty_of_gradient_l2_against_differences():
    method, network = fixed("gradient-l2", penalty=0.5)
    network.double()
    images = IMAGES.double()
    found = method.loss(network, images, LABELS, GENERATOR)
    losses = functional.cross_entropy(network(images), LABELS, reduction="sum")
    traced = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        functional.cross_entropy(network(traced), LABELS, reduction="sum"), traced
    )
    with torch.no_grad():
        for place in [(0, 0, 1, 1), (5, 1, 7, 0)]:
            moved = images.clone()
            moved[place] += 1e-6
            difference = (functional.cross_entropy(network(moved), LABELS, reduction="sum") - losses) / 1e-6
            assert gradient[place].item() == pytest.approx(difference.item(), rel=1e-3, abs=1e-6)
    torch.testing.assert_close(found, (losses + 0.5 * gradient.square().sum()) / 6)


def test_a_group_network_takes_the_mean_of_the_plane_and_then_the_largest_response():
    norm, *rest = group_neck(2, P4)
    x = torch.randn(3, 8, 5, 4)
    expected = norm(x).clamp(min=0).reshape(3, 2, 4, 20).mean(3).amax(2)
    torch.testing.assert_close(nn.Sequential(norm, *rest)(x), expected)
