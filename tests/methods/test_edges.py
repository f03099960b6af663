"""Edges as the detectors see them: what changes them, what does not, and loops over pixels."""

import math

import numpy as np
import pytest
import torch

from vipriors.methods.detection._edges import Edges, Sight
from vipriors.train import Standardise


def picture(seed: int = 0, channels: int = 3, size: tuple[int, int] = (18, 23)) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    image = 0.4 + 0.02 * rng.standard_normal((1, channels, *size))
    image[:, :, 4:12, 5:14] += rng.uniform(-0.2, 0.2, (channels, 1, 1))
    return torch.from_numpy(image)


def box_mean(plane: np.ndarray, window: int) -> np.ndarray:
    half, found = window // 2, np.zeros_like(plane)
    for y, x in np.ndindex(plane.shape):
        found[y, x] = plane[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1].mean()
    return found


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_edges_by_brute_force(channels):
    image = picture(1, channels)
    found = Edges(window=7, faint=0.02, blurs=2)(image)[0].numpy()
    planes = [box_mean(box_mean(plane, 3), 3) for plane in image[0].numpy()]
    tensor = np.zeros((3, *planes[0].shape))
    for plane in planes:
        wide = np.pad(plane, 1, mode="edge")
        for y, x in np.ndindex(plane.shape):
            across = (wide[y + 1, x + 2] - wide[y + 1, x]) / 2
            down = (wide[y + 2, x + 1] - wide[y, x + 1]) / 2
            tensor[:, y, x] += across**2, down**2, across * down
    xx, yy, xy = (box_mean(plane, 3) for plane in tensor)
    strength = np.sqrt(xx + yy)
    around = box_mean(strength, 7) + 0.02
    expected = np.stack([strength, (xx - yy) / strength, 2 * xy / strength]) / around
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_turn_of_the_colour_space_and_an_offset_change_nothing():
    image = picture(2)
    turn, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))
    turned = torch.einsum("ij,bjhw->bihw", torch.from_numpy(turn), image) + 0.3
    torch.testing.assert_close(Edges()(turned), Edges()(image))
    torch.testing.assert_close(Edges()(1 - image), Edges()(image))  # light on dark, dark on light


def test_contrast_changes_little_and_faint_noise_is_no_edge():
    image = picture(4)
    strong, weak = Edges()(image), Edges()(0.4 + 0.5 * (image - 0.4))
    assert (strong - weak).abs().mean() < 0.2 * strong.abs().mean()
    unchanged = Edges(faint=0.0)
    torch.testing.assert_close(unchanged(0.4 + 0.5 * (image - 0.4)), unchanged(image), rtol=1e-4, atol=1e-6)
    flat = torch.full((1, 3, 20, 20), 0.4)
    assert Edges()(flat).abs().max() < 1e-3
    noise = flat + 1e-4 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    assert Edges()(noise).abs().max() < 0.05


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120])
def test_the_doubled_angle_of_a_ramp(degrees):
    angle = math.radians(degrees)
    y, x = torch.arange(31.0)[:, None], torch.arange(31.0)
    ramp = (0.01 * (math.cos(angle) * x + math.sin(angle) * y)).expand(1, 2, 31, 31)
    strength, cos, sin = Edges(faint=0.0)(ramp)[0, :, 15, 15].tolist()
    assert strength == pytest.approx(1, abs=0.03)
    assert cos == pytest.approx(strength * math.cos(2 * angle), abs=1e-3)
    assert sin == pytest.approx(strength * math.sin(2 * angle), abs=1e-3)


def test_what_is_seen():
    images = torch.rand(2, 4, 12, 10, generator=torch.Generator().manual_seed(0))
    colours, edges, both = (Sight(sees, 4) for sees in ("colours", "edges", "both"))
    assert (colours.channels, edges.channels, both.channels) == (4, 3, 7)
    assert torch.equal(colours(images), images)  # before it is told of means and deviations
    assert torch.equal(edges(images), Edges()(images))
    assert torch.equal(both(images), torch.cat((images, Edges()(images)), dim=1))
    both.standardise = Standardise(torch.full((4,), 0.5), torch.full((4,), 2.0))
    torch.testing.assert_close(both(images)[:, :4], (images - 0.5) / 2)
    assert not edges.state_dict()


def test_gradients_are_finite_where_there_is_no_edge():
    image = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    Edges()(image).sum().backward()
    assert image.grad.isfinite().all()
