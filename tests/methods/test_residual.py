"""The residual networks: blocks against plain functional calls, sizes against the papers'."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from vipriors.methods import configure
from vipriors.methods.classification.residual import Block, Residual, residual_network
from vipriors.methods.classification.wide_residual import WideResidual, wide_residual_network
from vipriors.problems import BadInput


def plain_block(x: torch.Tensor, block: Block, stride: int) -> torch.Tensor:
    """The pre-activation block of He et al. 2016b by hand: conv(relu(bn(conv(relu(bn(x)))))) + shortcut."""

    def normalise(x: torch.Tensor, norm: nn.BatchNorm2d) -> torch.Tensor:
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt() * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)

    active = normalise(x, block.norm1).clamp(min=0)
    y = functional.conv2d(active, block.conv1.weight, stride=stride, padding=1)
    y = functional.conv2d(normalise(y, block.norm2).clamp(min=0), block.conv2.weight, padding=1)
    weights = dict(block.named_parameters())
    if "shortcut.weight" in weights:
        return y + functional.conv2d(active, weights["shortcut.weight"], stride=stride)
    return y + x


@pytest.mark.parametrize("size", [(6, 6), (7, 10)])
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 1), (4, 8, 2), (4, 4, 2)])
def test_a_block_and_its_gradients(inputs, outputs, stride, size):
    torch.manual_seed(0)
    block = Block(inputs, outputs, stride).double()
    for norm in (block.norm1, block.norm2):
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    assert (block.shortcut is None) == (inputs == outputs and stride == 1)
    x = torch.randn(3, inputs, *size, dtype=torch.float64, requires_grad=True)
    found, expected = block(x), plain_block(x, block, stride)
    assert found.shape == (3, outputs, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
    torch.testing.assert_close(found, expected)
    into, wanted = torch.randn_like(found), [x, *block.parameters()]
    for one, other in zip(
        torch.autograd.grad(found, wanted, into), torch.autograd.grad(expected, wanted, into), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_dropout_acts_between_the_convolutions_and_in_training_only():
    torch.manual_seed(0)
    block, x = Block(4, 4, dropout=0.999999), torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    same = Block(4, 4)
    same.load_state_dict(block.state_dict())
    assert torch.equal(block.eval()(x), same.eval()(x))
    assert not torch.equal(block(x), x)


def expected_parameters(depth: int, k: int, channels: int, classes: int) -> int:
    blocks = (depth - 4) // 6
    total, inputs = 9 * channels * 16, 16
    for outputs in (16 * k, 32 * k, 64 * k):
        for _ in range(blocks):
            convolutions = 9 * inputs * outputs + 9 * outputs**2
            shortcut = inputs * outputs if inputs != outputs else 0
            total += convolutions + shortcut + 2 * inputs + 2 * outputs
            inputs = outputs
    return total + 2 * inputs + (inputs + 1) * classes


@pytest.mark.parametrize(
    ("depth", "factor", "published"),
    [(16, 8, 11.0), (40, 4, 8.9), (28, 10, 36.5), (40, 1, 0.6), (40, 2, 2.2), (22, 8, 17.2), (16, 10, 17.1)],
)
def test_parameters_of_wide_residual_networks(depth, factor, published):
    """The millions in table 4 of the paper, for CIFAR-10."""
    with torch.device("meta"):
        network = wide_residual_network(depth, factor, 3, 10)
    found = sum(p.numel() for p in network.parameters())
    assert found == expected_parameters(depth, factor, 3, 10)
    assert round(found / 1e6, 1) == published
    # Depth counts the convolutions, the three 1x1 shortcuts among them; factor 1 needs only two of these.
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == (depth if factor > 1 else depth - 1)


def test_the_full_preset_is_wrn_16_8():
    with torch.device("meta"):
        network = configure("wide-residual", "full", {}).network((3, 32, 32), 10)
    assert sum(p.numel() for p in network.parameters()) == expected_parameters(16, 8, 3, 10)


@pytest.mark.parametrize("depth", [-2, 4, 9, 12, 15])
def test_depths_that_do_not_divide_into_stages(depth):
    expected = rf"^depth: is {depth}; expected 6n \+ 4: 10, 16, 22, …$"
    with pytest.raises(BadInput, match=expected):
        wide_residual_network(depth, 1, 3, 10)
    with pytest.raises(BadInput, match=expected):
        configure("wide-residual", "tiny", {"depth": str(depth)})
    with pytest.raises(BadInput, match=r"^steps: is 0; expected 1 or more$"):
        WideResidual(steps=0)


@pytest.mark.parametrize(
    ("size", "stages", "expected"),
    [
        ((32, 32), 3, (8, 8)),
        ((64, 64), 4, (8, 8)),
        ((65, 65), 3, (5, 5)),
        ((224, 160), 4, (7, 5)),
        ((28, 100), 2, (14, 50)),
    ],
)
def test_resolution_of_the_last_features(size, stages, expected):
    shapes = []
    with torch.device("meta"):
        network = Residual(width=4, stages=stages).network((3, *size), 5)
        pool = next(m for m in network if isinstance(m, nn.AdaptiveAvgPool2d))
        pool.register_forward_hook(lambda module, inputs, output: shapes.append(inputs[0].shape))
        network(torch.empty(2, 3, *size))
    assert shapes == [(2, 4 * 2 ** (stages - 1), *expected)]


def test_large_images_pass_a_stem_that_reduces_by_four():
    stems = {}
    for size in (64, 65):
        with torch.device("meta"):
            network = residual_network(3, 2, stem=4, widths=(4,), blocks=1, image_size=size)
        (first,) = (i for i, module in enumerate(network) if isinstance(module, Block))
        stems[size] = network[:first]
    assert [type(layer) for layer in stems[64]] == [nn.Conv2d]
    assert [type(layer) for layer in stems[65]] == [nn.Conv2d, nn.MaxPool2d]
    for side in (64, 224):
        images = torch.empty(1, 3, side, side, device="meta")
        assert stems[64](images).shape[2] == side
        assert stems[65](images).shape[2] == side // 4


def test_initial_weights():
    torch.manual_seed(0)
    network = wide_residual_network(10, 4, 3, 10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 2000:
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)
            assert abs(module.weight.mean().item()) < 0.1 * math.sqrt(2 / fan_out)
            assert module.bias is None
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
    assert (network[-1].bias == 0).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_cross_entropy(smoothing):
    logits, labels = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    soft = torch.rand(5, 4).softmax(1)
    method = Residual(label_smoothing=smoothing)
    for targets, probabilities in ((labels, torch.eye(4)[labels]), (soft, soft)):
        probabilities = (1 - smoothing) * probabilities + smoothing / 4
        expected = -(probabilities * logits.log_softmax(1)).sum(1).mean()
        found = method.loss(nn.Identity(), logits, targets, torch.Generator())
        torch.testing.assert_close(found, expected)
