"""Distances of features against closed forms, scipy and loops; and what they are on average."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from vipriors.tasks.feature_distances import (
    GROUPS,
    covered,
    frechet,
    frechet_corrected,
    frechet_error,
    kernel_distance,
    kernel_distance_to_point,
    mean_kernel,
    nearest,
)


def normal(n: int, d: int, seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) * scale


def exactly(mean: np.ndarray, covariance: np.ndarray, n: int = 50, seed: int = 0) -> np.ndarray:
    """Points whose own mean and covariance are these."""
    x = normal(n, len(mean), seed)
    x = x - x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_frechet_in_closed_form() -> None:
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 0.25, 9.0])
    mean = np.array([0.5, -1.0, 2.0])
    x, y = exactly(np.zeros(3), np.diag(a)), exactly(mean, np.diag(b), seed=1)
    assert frechet(x, y) == pytest.approx(mean @ mean + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum())
    assert frechet(x[:, :1], y[:, :1]) == pytest.approx(0.25 + (1 - 2) ** 2)
    assert frechet(x, exactly(np.zeros(3), np.diag(a), seed=2)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_frechet_by_scipy(seed: int) -> None:
    x, y = normal(30, 6, seed) @ normal(6, 6, seed + 10), normal(20, 6, seed + 20) + 0.3
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    apart = x.mean(0) - y.mean(0)
    assert frechet(x, y) == pytest.approx(apart @ apart + np.trace(a + b - 2 * sqrtm(a @ b).real), rel=1e-6)
    assert frechet(x, y) == pytest.approx(frechet(y, x))
    turn, _ = np.linalg.qr(normal(6, 6, 5))
    assert frechet(x @ turn + 3, y @ turn + 3) == pytest.approx(frechet(x, y))
    assert frechet(5 * x, 5 * y) == pytest.approx(25 * frechet(x, y))


def test_fewer_images_than_features() -> None:
    x, y = normal(5, 12, 0), normal(7, 12, 1)
    assert np.isfinite(frechet(x, y)) and frechet(x, x) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("spread", [0.5, 1.0, 1.5])
def test_the_bias_of_frechet_and_its_correction(spread: float) -> None:
    """By the formula of first order for equal Gaussians; a collapsed generator has less bias than a wide."""
    d, n, m, times = 8, 160, 120, 60
    raw, corrected = [], []
    for seed in range(times):
        x, y = normal(n, d, seed, spread), normal(m, d, 1000 + seed)
        raw.append(frechet(x, y))
        corrected.append(frechet_corrected(x, y, seed))
    truth = d * (1 - spread) ** 2
    if spread == 1:
        bias = d * (1 / n + 1 / m) + d * (d + 1) / 4 * (1 / (n - 1) + 1 / (m - 1))
        assert abs(np.mean(raw) - bias) < 3 * np.std(raw) / times**0.5 + 0.05 * bias
    assert np.mean(raw) - truth > 10 * abs(np.mean(corrected) - truth) or np.mean(raw) - truth > 0.1
    assert abs(np.mean(corrected) - truth) < 3 * np.std(corrected) / times**0.5 + 0.01


def test_the_error_of_frechet() -> None:
    found, errors = [], []
    for seed in range(40):
        x, y = normal(200, 6, seed, 1.3), normal(160, 6, 500 + seed)
        found.append(frechet(x, y))
        errors.append(frechet_error(x, y))
    assert 0.75 < np.mean(errors) / np.std(found) < 1.35
    x, y = normal(2 * GROUPS, 2, 0), normal(2 * GROUPS, 2, 1)
    parts = np.arange(2 * GROUPS) % GROUPS
    sides = (
        [frechet(x[parts != g], y) for g in range(GROUPS)],
        [frechet(x, y[parts != g]) for g in range(GROUPS)],
    )
    expected = sum((GROUPS - 1) * np.var(side) for side in sides) ** 0.5
    assert frechet_error(x, y) == pytest.approx(expected)


def kernel_by_loops(x: np.ndarray, y: np.ndarray) -> float:
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    n, m, total = len(x), len(y), 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                total += k(x[i], x[j]) / (n * (n - 1))
    for i in range(m):
        for j in range(m):
            if i != j:
                total += k(y[i], y[j]) / (m * (m - 1))
    for i in range(n):
        for j in range(m):
            total -= 2 * k(x[i], y[j]) / (n * m)
    return total


def test_kernel_by_loops_and_without_each_image() -> None:
    x, y = normal(7, 4, 0), normal(5, 4, 1) + 0.5
    found = kernel_distance(x, y)
    assert found.value == pytest.approx(kernel_by_loops(x, y))
    for i in range(7):
        assert found.without_x[i] == pytest.approx(kernel_by_loops(np.delete(x, i, 0), y))
    for j in range(5):
        assert found.without_y[j] == pytest.approx(kernel_by_loops(x, np.delete(y, j, 0)))
    variance = 6 * found.without_x.var() + 4 * found.without_y.var()
    assert found.error() == pytest.approx(variance**0.5)
    order = np.random.default_rng(0).permutation(7)
    assert kernel_distance(x[order], y).value == pytest.approx(found.value)


def test_kernel_is_zero_on_average_and_negative_for_the_same_images() -> None:
    values = [kernel_distance(normal(40, 6, s), normal(30, 6, 900 + s)).value for s in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 200**0.5
    assert min(values) < 0
    x = normal(300, 16, 0)
    assert kernel_distance(x, x).value < -0.01


def test_the_error_of_the_kernel_distance() -> None:
    pairs = [kernel_distance(normal(80, 6, s) * 1.2 + 0.3, normal(60, 6, 300 + s)) for s in range(60)]
    assert 0.75 < np.mean([one.error() for one in pairs]) / np.std([one.value for one in pairs]) < 1.5


def test_the_distance_of_one_image() -> None:
    """By the features of the cubic kernel themselves: all products of up to three of (1, x / √d)."""
    y, point = normal(9, 2, 0), np.array([0.5, -2.0])

    def lifted(x: np.ndarray) -> np.ndarray:
        whole = np.concatenate([np.ones((len(x), 1)), x / 2**0.5], axis=1)
        return np.einsum("ni,nj,nk->nijk", whole, whole, whole).reshape(len(x), -1)

    expected = ((lifted(point[None])[0] - lifted(y).mean(0)) ** 2).sum()
    assert kernel_distance_to_point(point, y) == pytest.approx(expected)
    assert kernel_distance_to_point(point, point[None]) == pytest.approx(0, abs=1e-9)


def test_the_mean_of_kernel_distances() -> None:
    x, y = normal(9, 4, 0), normal(8, 4, 1)
    one, other = kernel_distance(x, y), kernel_distance(2 * x, y)
    both = mean_kernel([one, other])
    assert both.value == pytest.approx((one.value + other.value) / 2)
    assert both.without_x == pytest.approx((one.without_x + other.without_x) / 2)
    assert mean_kernel([one, one]).error() == pytest.approx(one.error())


@pytest.mark.parametrize(("n", "m"), [(2, 9), (9, 2), (1, 1)])
def test_too_few_for_a_kernel_distance(n: int, m: int) -> None:
    with pytest.raises(ValueError, match=f"{n} and {m} images; expected at least 3"):
        kernel_distance(normal(n, 3, 0), normal(m, 3, 1))


def test_within_reach_and_nearest() -> None:
    real, fake = normal(20, 3, 0), normal(25, 3, 1) * 1.5
    apart = cdist(real, fake)
    reach = np.sort(cdist(real, real), axis=1)[:, 3]
    assert covered(real, fake).tolist() == (apart <= reach[:, None]).any(0).tolist()
    assert 0 < covered(real, fake).mean() < 1
    found, places = nearest(fake, real)
    np.testing.assert_allclose(found, apart.min(0))
    assert places.tolist() == apart.argmin(0).tolist()
