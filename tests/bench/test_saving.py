"""The data-saving factor: on known power laws, by hand, and by how often its interval is right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from vipriors.bench.saving import Bound, Saving, data_saving, interpolated, isotonic

SIZES = (5, 10, 20, 50)


def law(images: object) -> np.ndarray:
    """A score that is a power law of the number of images."""
    return 1 - 0.4 * np.asarray(images, dtype=float) ** -0.6


def steady(images: object) -> np.ndarray:
    return np.tile(law(images), (5, 1))


@pytest.mark.parametrize(
    ("size", "factor"), [(10, 1.0), (10, 1.7), (5, 3.0), (20, 2.5), (20, 0.4), (50, 0.3)]
)
def test_a_power_law_gives_its_factor_back(size: int, factor: float) -> None:
    found = data_saving(SIZES, steady(SIZES), steady([size * factor])[:, 0], size)
    assert found.factor.side == ""
    assert found.factor.value == pytest.approx(factor)
    assert (found.low.value, found.high.value) == pytest.approx((factor, factor), rel=3e-3)


@pytest.mark.parametrize(("size", "factor", "text"), [(10, 8, "> 5"), (5, 0.5, "< 1"), (50, 1.5, "> 1")])
def test_beyond_the_curve_a_factor_is_a_bound(size: int, factor: float, text: str) -> None:
    found = data_saving(SIZES, steady(SIZES), steady([size * factor])[:, 0], size)
    assert str(found.factor) == str(found.low) == str(found.high) == text
    assert found.clear


def test_an_interval_can_end_in_a_bound() -> None:
    noise = np.array([-0.02, -0.01, 0, 0.01, 0.02])
    found = data_saving(SIZES, steady(SIZES), law(45) + noise, 10)
    assert str(found.factor) == "4.5"
    assert (found.low.side, found.high.side) == ("", ">")
    assert found.high.value == 5
    assert not data_saving(SIZES, steady(SIZES), law(6) + noise, 5).clear


def test_pairing_narrows_the_interval() -> None:
    """Subsets that are good for both say nothing of the factor."""
    common = np.array([-0.02, -0.01, 0, 0.01, 0.02])
    paired = data_saving(SIZES, steady(SIZES) + common[:, None], law(20) + common, 10)
    crossed = data_saving(SIZES, steady(SIZES) + common[:, None], law(20) + common[::-1], 10)
    assert (str(paired.factor), str(crossed.factor)) == ("2", "2")
    assert paired.high.value - paired.low.value < 0.02
    assert crossed.high.value - crossed.low.value > 0.5


@pytest.mark.parametrize(("size", "factor", "noise"), [(10, 2.0, 0.006), (10, 1.0, 0.01), (5, 3.3, 0.004)])
def test_the_interval_covers_the_factor_as_often_as_it_says(size: int, factor: float, noise: float) -> None:
    generator = np.random.default_rng(0)
    covered, trials = 0, 1500
    for _ in range(trials):
        common = generator.normal(0, noise, (5, 1))
        baseline = law(SIZES) + common + generator.normal(0, noise, (5, 4))
        method = law(size * factor) + common[:, 0] + generator.normal(0, noise, 5)
        found = data_saving(SIZES, baseline, method, size)
        low = 0.0 if found.low.side == "<" else found.low.value
        high = np.inf if found.high.side == ">" else found.high.value
        covered += low <= factor <= high
    assert 0.93 < covered / trials < 0.97


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_isotonic_is_scikit_learn_s(values: list[float]) -> None:
    found = isotonic(np.array(values))
    oracle = IsotonicRegression().fit_transform(np.arange(len(values)), values)
    assert found == pytest.approx(oracle)


def test_a_dip_of_the_baseline_is_evened_out() -> None:
    baseline = np.tile([0.5, 0.7, 0.6, 0.9], (3, 1))  # as 0.5, 0.65, 0.65, 0.9
    assert str(data_saving(SIZES, baseline, [0.65] * 3, 5).factor) == "2"  # the first size that reaches it
    assert str(data_saving(SIZES, baseline, [0.5] * 3, 5).factor) == "1"
    later = data_saving(SIZES, baseline, [0.8] * 3, 5).factor.value
    share = (np.log(0.2) - np.log(0.35)) / (np.log(0.1) - np.log(0.35))
    assert later == pytest.approx(4 * 2.5**share)


def test_between_sizes_log_error_is_straight_in_log_images() -> None:
    middle = float(interpolated(np.array([20.0]), (10, 40), np.array([0.6, 0.9]))[0])
    assert middle == pytest.approx(1 - 0.2)  # the geometric mean of errors 0.4 and 0.1


def test_a_curve_without_error_has_factors_too() -> None:
    baseline = np.tile([0.9, 1.0, 1.0, 1.0], (3, 1))
    assert str(data_saving(SIZES, baseline, [1.0] * 3, 5).factor) == "2"
    assert str(data_saving(SIZES, baseline, [0.8] * 3, 10).factor) == "< 0.5"


def test_a_clear_saving_is_one_whose_interval_is_clear_of_1() -> None:
    assert Saving(Bound(2), Bound(1.1), Bound(5, ">")).clear
    assert Saving(Bound(0.5), Bound(0.2, "<"), Bound(0.9)).clear
    assert not Saving(Bound(2), Bound(0.9), Bound(3)).clear
    assert not Saving(Bound(2), Bound(2, "<"), Bound(3)).clear
    assert not Saving(Bound(0.9), Bound(0.5), Bound(0.99, ">")).clear


@pytest.mark.parametrize(
    ("sizes", "shape", "method"),
    [((5,), (3, 1), 3), ((5, 10), (1, 2), 1), ((5, 10), (3, 2), 2), ((5,), (3, 2), 3)],
)
def test_shapes_that_do_not_fit_are_refused(
    sizes: tuple[int, ...], shape: tuple[int, int], method: int
) -> None:
    with pytest.raises(ValueError, match="expected them to match"):
        data_saving(sizes, np.zeros(shape), np.zeros(method), 5)
