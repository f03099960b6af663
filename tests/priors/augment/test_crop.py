import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from vipriors.priors.augment import ResizedCrop, resized_crop
from vipriors.priors.augment.crop import _all_at_once
from vipriors.problems import BadInput


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    rows=st.integers(1, 40),
    columns=st.integers(2, 40),
    size=st.tuples(st.integers(1, 30), st.integers(2, 30)),
    channels=st.sampled_from([1, 3, 13]),
    antialias=st.booleans(),
)
def test_resized_crop_like_torchvision(data, rows, columns, size, channels, antialias) -> None:
    boxes = []
    for _ in range(3):
        # torch 2.15's antialiased resize of images one pixel wide is wrong: it repeats the first row.
        height, width = data.draw(st.integers(1, rows)), data.draw(st.integers(2, columns))
        boxes.append(
            (
                data.draw(st.integers(0, rows - height)),
                data.draw(st.integers(0, columns - width)),
                height,
                width,
            )
        )
    images = torch.rand(3, channels, rows, columns, generator=torch.Generator().manual_seed(rows))
    found = resized_crop(images, *torch.tensor(boxes).unbind(1), size, antialias)
    expected = torch.stack(
        [
            tv.resized_crop(image, *box, list(size), antialias=antialias)
            for image, box in zip(images, boxes, strict=True)
        ]
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    # What other devices than a CPU do, and what a CPU does where a box is one pixel wide.
    together = _all_at_once(images, torch.tensor(boxes).unbind(1), size, antialias)
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("antialias", [False, True])
def test_boxes_one_pixel_wide(antialias: bool) -> None:
    images = torch.rand(2, 3, 12, 6)
    boxes = torch.tensor([[1, 2, 8, 1], [0, 5, 12, 1]]).unbind(1)
    found = resized_crop(images, *boxes, (4, 3), antialias)
    # The column side by side with itself is two pixels wide, and resizes to as many equal columns.
    for image, crop, top, left, height in zip(images, found, boxes[0], boxes[1], boxes[2], strict=True):
        column = image[:, top : top + height, left, None].expand(-1, -1, 2)
        expected = tv.resize(column, [4, 2], antialias=antialias)[:, :, :1].expand(-1, -1, 3)
        torch.testing.assert_close(crop, expected, atol=1e-5, rtol=0)


def test_the_whole_image_at_its_own_size_is_the_identity() -> None:
    images = torch.rand(2, 3, 9, 14)
    zero, height, width = torch.zeros(2), torch.full((2,), 9), torch.full((2,), 14)
    assert torch.equal(resized_crop(images, zero, zero, height, width, (9, 14)), images)


def test_autocast_leaves_the_precision_alone() -> None:
    images = torch.rand(4, 3, 16, 16)
    crop = ResizedCrop(16)
    expected = crop(images, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = crop(images, torch.Generator().manual_seed(0))
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (28, 40)])
def test_boxes_fit_and_have_the_shares_and_ratios_asked_for(rows: int, columns: int) -> None:
    crop = ResizedCrop(8, scale=(0.3, 0.6), ratio=(0.5, 2.0))
    top, left, height, width = crop.boxes(20_000, rows, columns, torch.Generator().manual_seed(0))
    assert top.min() == 0
    assert left.min() == 0
    assert (top + height).max() == rows
    assert (left + width).max() == columns
    # Sides are rounded by at most half a pixel.
    assert ((height + 0.5) * (width + 0.5) >= 0.3 * rows * columns).all()
    assert ((height - 0.5) * (width - 0.5) <= 0.6 * rows * columns).all()
    assert ((width + 0.5) / (height - 0.5) >= 0.5).all()
    assert ((width - 0.5) / (height + 0.5) <= 2.0).all()


def test_areas_and_log_ratios_are_even() -> None:
    # Boxes that always fit, so that none is drawn again.
    _, _, height, width = ResizedCrop(8, scale=(0.1, 0.3), ratio=(0.5, 2.0)).boxes(
        20_000, 1000, 1000, torch.Generator().manual_seed(1)
    )
    share = (height * width / 1e6 - 0.1) / 0.2
    turn = ((width / height).log2() + 1) / 2
    for values in (share, turn):
        counts = torch.histc(values.clamp(0, 1), bins=20, min=0, max=1)
        # Chi-square with 19 degrees of freedom: 43.8 is passed once in a thousand.
        assert ((counts - 1000) ** 2 / 1000).sum() < 43.8


@pytest.mark.parametrize(
    ("rows", "columns", "ratio", "expected"),
    [
        (2, 100, (1.0, 1.0), (0, 49, 2, 2)),
        (90, 10, (0.5, 2.0), (35, 0, 20, 10)),
        (3, 3, (1.5, 2.0), (0, 0, 2, 3)),
    ],
)
def test_where_no_box_fits_it_is_central(rows, columns, ratio, expected) -> None:
    crop = ResizedCrop(4, scale=(1.0, 1.0), ratio=ratio)
    boxes = crop.boxes(5, rows, columns, torch.Generator().manual_seed(0))
    assert [box.tolist() for box in boxes] == [[number] * 5 for number in expected]


def test_positions_are_even() -> None:
    crop = ResizedCrop(4, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    top, left, height, width = crop.boxes(9000, 8, 8, torch.Generator().manual_seed(4))
    assert set(height.tolist()) == set(width.tolist()) == {4}
    counts = torch.bincount(top * 5 + left, minlength=25).double()
    assert ((counts - 360) ** 2 / 360).sum() < 51.2  # Chi-square, 24 degrees of freedom, once in a thousand.


def test_bad_settings_are_all_named() -> None:
    with pytest.raises(BadInput) as error:
        ResizedCrop(0)
    assert str(error.value) == "ResizedCrop: size is 0; expected at least 1 pixel"
    with pytest.raises(BadInput) as error:
        ResizedCrop(8, scale=(0.5, 0.2))
    assert str(error.value) == "ResizedCrop: scale is (0.5, 0.2); expected (least, most) within 0 to 1"
