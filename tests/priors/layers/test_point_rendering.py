"""The parts of PointRend, each against a computation of its own."""

import doctest
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.stats import kstest
from torch import Generator
from torch.nn import functional

from vipriors.priors.layers import point_rendering
from vipriors.priors.layers.point_rendering import (
    PointHead,
    biased_points,
    grids,
    least_certain,
    middles,
    nearest,
    render,
    sampled,
    uncertainty,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def by_loops(map_: np.ndarray, x: float, y: float) -> float:
    """The value at a point of a map `(h, w)`, between the middles of its pixels."""
    height, width = map_.shape
    row, column = min(max(y * height - 0.5, 0), height - 1), min(max(x * width - 0.5, 0), width - 1)
    value = 0.0
    for i, j in itertools.product(range(height), range(width)):
        value += max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j)) * map_[i, j]
    return value


def all_middles(count: int, size: tuple[int, int]) -> torch.Tensor:
    return middles(torch.arange(size[0] * size[1]).expand(count, -1), size)


def test_the_example_in_the_docstring():
    assert doctest.testmod(point_rendering) == (0, 4)


# Sampling


def test_samples_are_bilinear_by_loops_and_by_scipy():
    maps = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    points = torch.rand(2, 40, 2, dtype=torch.float64, generator=seeded())
    found = sampled(maps, points)
    assert found.shape == (2, 3, 40)
    for b, c, n in itertools.product(range(2), range(3), range(40)):
        expected = by_loops(maps[b, c].numpy(), *points[b, n].tolist())
        assert found[b, c, n].item() == pytest.approx(expected, abs=1e-12)
    inner = 0.2 + 0.6 * points
    for b, c in itertools.product(range(2), range(3)):
        x, y = inner[b].T.numpy()
        expected = map_coordinates(maps[b, c].numpy(), [y * 5 - 0.5, x * 7 - 0.5], order=1)
        np.testing.assert_allclose(sampled(maps, inner)[b, c].numpy(), expected, atol=1e-12)


def test_gradients_of_samples():
    maps = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    points = 0.3 + 0.4 * torch.rand(1, 6, 2, dtype=torch.float64, generator=seeded(3))
    assert torch.autograd.gradcheck(lambda maps: sampled(maps, points), (maps,))


def test_samples_of_half_precision_are_taken_in_the_points_precision():
    maps = torch.randn(1, 2, 64, 64).bfloat16()
    points = torch.rand(1, 30, 2, generator=seeded())
    assert torch.equal(sampled(maps, points), sampled(maps.float(), points))


@pytest.mark.parametrize("size", [(6, 9), (1, 1), (7, 4)])
def test_pixels_lie_where_they_are(size):
    maps = torch.randint(0, 256, (3, *size)).to(torch.uint8)
    points = all_middles(3, size)
    assert torch.equal(nearest(maps, points), maps.flatten(1))
    torch.testing.assert_close(
        sampled(maps[:, None].float(), points)[:, 0], maps.flatten(1).float(), atol=1e-3, rtol=0
    )
    for i, j in itertools.product(range(size[0]), range(size[1])):
        x, y = points[0, i * size[1] + j].tolist()
        assert (x, y) == pytest.approx(((j + 0.5) / size[1], (i + 0.5) / size[0]))


def test_a_point_has_the_label_of_the_pixel_it_lies_in():
    maps = torch.arange(24).reshape(1, 4, 6)
    points = torch.rand(1, 200, 2, generator=seeded())
    expected = [math.floor(4 * y) * 6 + math.floor(6 * x) for x, y in points[0].tolist()]
    assert nearest(maps, points)[0].tolist() == expected
    corners = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    assert nearest(maps, corners)[0].tolist() == [0, 5, 18, 23]


# What is uncertain


def test_uncertainty_is_the_second_largest_less_the_largest():
    logits = torch.randn(2, 5, 3, 4)
    ordered = np.sort(logits.numpy(), axis=1)
    np.testing.assert_array_equal(uncertainty(logits).numpy(), ordered[:, -2] - ordered[:, -1])
    assert uncertainty(logits.bfloat16()).dtype == torch.float32


def test_of_equals_the_first_are_taken():
    values = torch.tensor([[0.0, -1, -1, 0, -2, 0], [-3.0, -3, -3, -3, -3, -3]])
    assert least_certain(values, 4).tolist() == [[0, 3, 5, 1], [0, 1, 2, 3]]
    assert least_certain(values, 9).shape == (2, 6)


def test_between_two_certain_pixels_nothing_is_certain():
    logits = torch.tensor([[[[1.0, -1.0]], [[-1.0, 1.0]]]])
    between = torch.tensor([[[0.5, 0.5]]])
    assert uncertainty(logits).tolist() == [[[-2.0, -2.0]]]
    assert uncertainty(sampled(logits, between)).item() == 0
    assert sampled(uncertainty(logits)[:, None], between).item() == -2
    # Of many points, the one that is taken is close to there.
    point = biased_points(logits, 1, 500, 1.0, seeded())
    assert point[0, 0, 0].item() == pytest.approx(0.5, abs=0.01)


# Points to learn from


def ramp(size: int = 32) -> torch.Tensor:
    """Logits of two classes that are equal along x + y = 1."""
    x = (torch.arange(size) + 0.5) / size
    logit = x[None, :] + x[:, None] - 1
    return torch.stack([logit, -logit])[None]


def test_points_lie_where_classes_are_equal():
    points = biased_points(ramp().expand(2, -1, -1, -1), 100, 50.0, 1.0, seeded())
    assert points.shape == (2, 100, 2)
    assert (points.sum(-1) - 1).abs().max() < 0.03


def test_unbiased_points_lie_anywhere():
    points = biased_points(ramp(), 2000, 3.0, 0.0, seeded())[0]
    assert kstest(points[:, 0].numpy(), "uniform").pvalue > 0.01
    assert kstest(points[:, 1].numpy(), "uniform").pvalue > 0.01


@pytest.mark.parametrize(("count", "biased"), [(10, 0.75), (7, 0.5), (4, 1.0), (5, 0.0), (1, 0.75)])
def test_the_least_certain_of_the_drawn_and_fresh_ones(count, biased):
    logits = torch.randn(3, 4, 6, 5, generator=seeded(1), requires_grad=True)
    found = biased_points(logits, count, 3.0, biased, seeded(5))
    assert found.shape == (3, count, 2) and not found.requires_grad
    sure = math.floor(biased * count)
    generator = seeded(5)
    drawn = torch.rand(3, 3 * count, 2, generator=generator)
    fresh = torch.rand(3, count - sure, 2, generator=generator)
    for b in range(3):
        maps = logits[b].detach().double().numpy()
        gaps = []
        for x, y in drawn[b].tolist():
            low, high = sorted(by_loops(map_, x, y) for map_ in maps)[-2:]
            gaps.append(high - low)
        expected = drawn[b][np.argsort(gaps)[:sure].tolist()]
        assert torch.equal(found[b], torch.cat([expected, fresh[b]]))


# The head


@pytest.mark.parametrize("again", [False, True])
def test_the_head_is_a_perceptron_for_each_point(again):
    torch.manual_seed(0)
    head = PointHead(6, 3, width=8, depth=2, again=again)
    fine, coarse = torch.randn(2, 6, 5), torch.randn(2, 3, 5)
    found = head(fine, coarse)
    for b, n in itertools.product(range(2), range(5)):
        own = coarse[b, :, n]
        x = torch.cat([fine[b, :, n], own])
        for layer in head.hidden:
            x = torch.relu(layer.weight[:, :, 0] @ x + layer.bias)
            x = torch.cat([x, own]) if again else x
        torch.testing.assert_close(found[b, :, n], head.last.weight[:, :, 0] @ x + head.last.bias)


def test_the_head_starts_with_small_logits():
    torch.manual_seed(0)
    head = PointHead(100, 19)
    assert [layer.out_channels for layer in head.hidden] == [256] * 3
    for layer in head.hidden:
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.03)
        assert (layer.bias == 0).all()
    assert head.last.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert (head.last.bias == 0).all()


# Rendering


def shift_of(fine: torch.Tensor, coarse: torch.Tensor):
    """A head that can be told from enlarging, and that needs to be asked at the right points."""
    return lambda points: sampled(coarse, points).roll(1, 1) + sampled(fine, points)


def features(count: int = 2, classes: int = 3, size: tuple[int, int] = (4, 6), seed: int = 0):
    coarse = torch.randn(count, classes, *size, generator=seeded(seed))
    fine = torch.randn(count, classes, 4 * size[0], 4 * size[1], generator=seeded(seed + 1))
    return coarse, shift_of(fine, coarse)


def enlarged(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)


def slowly(coarse, label, sizes, count):
    """Step by step, image by image and pixel by pixel; no step is left out."""
    images = []
    for number in range(len(coarse)):
        logits = coarse[number : number + 1]
        for height, width in sizes:
            logits = enlarged(logits, (height, width)).clone()
            gaps = {}
            for i, j in itertools.product(range(height), range(width)):
                low, high = sorted(logits[0, :, i, j].tolist())[-2:]
                gaps[i, j] = high - low
            for i, j in sorted(gaps, key=lambda place: (gaps[place], place))[:count]:
                point = torch.tensor([[[(j + 0.5) / width, (i + 0.5) / height]]])
                logits[0, :, i, j] = label(point.expand(len(coarse), -1, -1))[number, :, 0]
        images.append(logits)
    return torch.cat(images)


@pytest.mark.parametrize("count", [1, 20, 100])
@pytest.mark.parametrize(
    ("size", "steps"),
    [
        ((16, 24), [(8, 12), (16, 24)]),
        ((15, 21), [(8, 11), (15, 21)]),
        ((4, 6), [(4, 6)]),
        ((3, 5), [(3, 5)]),
        ((4, 20), [(4, 10), (4, 20)]),
    ],
)
def test_rendering_step_by_step(size, steps, count):
    coarse, label = features()
    assert grids((4, 6), size) == steps
    torch.testing.assert_close(render(coarse, label, size, count), slowly(coarse, label, steps, count))


def test_all_points_are_the_dense_head():
    coarse, label = features()
    dense = label(all_middles(2, (32, 48))).unflatten(2, (32, 48))
    assert torch.equal(render(coarse, label, (32, 48), 32 * 48), dense)
    assert torch.equal(render(coarse, label, (32, 48), 10**6), dense)


def test_no_points_are_repeated_enlarging():
    coarse, label = features()
    expected = enlarged(enlarged(enlarged(coarse, (8, 12)), (16, 24)), (32, 48))
    found = render(coarse, label, (32, 48), 0)
    assert torch.equal(found, expected)
    assert (found - enlarged(coarse, (32, 48))).abs().max() > 0.01


def test_only_the_asked_pixels_are_mended():
    coarse, label = features()
    before = enlarged(coarse, (8, 12))
    found = render(coarse, label, (8, 12), 10)
    changed = (found != before).any(1)
    assert changed.flatten(1).sum(1).tolist() == [10, 10]
    gaps = uncertainty(before)
    for b in range(2):
        assert gaps[b][changed[b]].min() >= gaps[b][~changed[b]].max()


def test_a_head_that_copies_changes_nothing():
    coarse, _ = features()
    found = render(coarse, lambda points: sampled(coarse, points), (20, 27), 20 * 27)
    torch.testing.assert_close(found, enlarged(coarse, (20, 27)))


def test_images_of_a_batch_do_not_touch_one_another():
    coarse, fine = torch.randn(3, 4, 3, 5), torch.randn(3, 4, 12, 20)
    coarse[1] *= 50
    whole = render(coarse, shift_of(fine, coarse), (24, 40), 70)
    for b in range(3):
        own = slice(b, b + 1)
        alone = render(coarse[own], shift_of(fine[own], coarse[own]), (24, 40), 70)
        torch.testing.assert_close(whole[own], alone)


def test_gradients_reach_the_coarse_logits_and_the_head():
    coarse = torch.randn(1, 3, 4, 4, requires_grad=True)
    fine = torch.randn(1, 3, 8, 8, requires_grad=True)
    render(coarse, shift_of(fine, coarse), (16, 16), 30).square().sum().backward()
    assert (coarse.grad != 0).any() and (fine.grad != 0).any()


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 60)] * 2, *[st.integers(1, 900)] * 2)
def test_sizes_on_the_way(height, width, rows, columns):
    found = grids((height, width), (rows, columns))
    assert found[-1] == (rows, columns)
    before = (height, width)
    for after in found:
        for side, next_, first, last in zip(before, after, (height, width), (rows, columns), strict=True):
            assert next_ <= 2 * side
            assert next_ >= min(side, last) and next_ >= min(first, last)
        before = after
    doublings = max(math.ceil(math.log2(rows / height)), math.ceil(math.log2(columns / width)), 1)
    assert len(found) == doublings


def test_powers_of_two_are_doublings():
    assert grids((7, 7), (224, 224)) == [(14, 14), (28, 28), (56, 56), (112, 112), (224, 224)]
    assert grids((12, 12), (192, 192)) == [(24, 24), (48, 48), (96, 96), (192, 192)]
