import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vipriors.priors.augment import Cutout, RandomErasing, cutout, erase_box
from vipriors.problems import BadInput


@settings(max_examples=50, deadline=None)
@given(
    boxes=st.lists(
        st.tuples(st.integers(-5, 12), st.integers(-5, 12), st.integers(0, 14), st.integers(0, 14)),
        min_size=1,
        max_size=5,
    ),
    channels=st.sampled_from([1, 3, 13]),
)
def test_erase_fills_the_box_cut_off_at_the_border(boxes, channels: int) -> None:
    images = torch.rand(len(boxes), channels, 8, 11) + 0.1
    expected, other = images.clone(), torch.rand(len(boxes), channels, 8, 11)
    shown = images.clone()
    for i, (top, left, height, width) in enumerate(boxes):
        inside = (
            i,
            slice(None),
            slice(max(top, 0), max(top + height, 0)),
            slice(max(left, 0), max(left + width, 0)),
        )
        expected[inside], shown[inside] = 0.25, other[inside]
    numbers = torch.tensor(boxes).unbind(1)
    assert torch.equal(erase_box(images, *numbers, fill=0.25), expected)
    assert torch.equal(erase_box(images, *numbers, fill=other), shown)


@pytest.mark.parametrize("size", [0, 4, 5, 40])
def test_cutout_is_a_square_about_the_centre(size: int) -> None:
    images = torch.ones(4, 3, 10, 12)
    rows, columns = torch.tensor([0, 5, 9, 4]), torch.tensor([0, 6, 11, 3])
    found = cutout(images, rows, columns, size)
    for i in range(4):
        first = [int(centre) - size // 2 for centre in (rows[i], columns[i])]
        for row in range(10):
            for column in range(12):
                inside = first[0] <= row < first[0] + size and first[1] <= column < first[1] + size
                assert (found[i, :, row, column] == (0 if inside else 1)).all()


def test_cutout_centres_are_even() -> None:
    holes = Cutout(size=1)(torch.ones(6000, 1, 4, 6), torch.Generator().manual_seed(0)) == 0
    counts = torch.bincount(holes.flatten(1).long().argmax(1), minlength=24).double()
    assert (holes.flatten(1).sum(1) == 1).all()
    # Chi-square with 23 degrees of freedom: 49.7 is passed once in a thousand.
    assert ((counts - 250) ** 2 / 250).sum() < 49.7


def test_random_erasing_boxes() -> None:
    erasing = RandomErasing(scale=(0.1, 0.4), ratio=(0.5, 2.0))
    top, left, height, width = erasing.boxes(20_000, 30, 40, torch.Generator().manual_seed(0))
    assert ((top >= 0) & (top + height <= 30) & (left >= 0) & (left + width <= 40)).all()
    assert ((height + 0.5) * (width + 0.5) >= 120).all()
    assert ((height - 0.5) * (width - 0.5) <= 480).all()
    assert ((height + 0.5) / (width - 0.5) >= 0.5).all()
    assert ((height - 0.5) / (width + 0.5) <= 2.0).all()


def test_random_erasing_gives_up_where_no_box_fits() -> None:
    images = torch.rand(50, 3, 2, 100)
    assert torch.equal(RandomErasing(p=1, scale=(1, 1))(images, torch.Generator().manual_seed(0)), images)


def test_random_erasing_rate_and_noise() -> None:
    images = torch.full((3000, 1, 16, 16), 2.0)
    for fill in (0.5, "noise"):
        found = RandomErasing(p=0.4, fill=fill)(images, torch.Generator().manual_seed(3))
        erased = (found != 2).flatten(1)
        assert abs(erased.any(1).sum().item() - 1200) < 4 * (3000 * 0.4 * 0.6) ** 0.5
        values = found[found != 2]
        if fill == "noise":
            assert values.std() == pytest.approx(12**-0.5, rel=0.02)
            assert values.mean() == pytest.approx(0.5, abs=0.01)
        else:
            assert (values == 0.5).all()


def test_bad_settings_are_named() -> None:
    with pytest.raises(BadInput) as error:
        Cutout(-3)
    assert str(error.value) == "Cutout: size is -3; expected 0 or more pixels"
    with pytest.raises(BadInput) as error:
        RandomErasing(scale=(0.2, 1.5))
    assert str(error.value) == "RandomErasing: scale is (0.2, 1.5); expected (least, most) within 0 to 1"
