"""Images and their objects moved together, against points moved one by one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from vipriors.priors.augment.boxes import (
    IGNORED,
    NO_OBJECT,
    Annotated,
    Mosaic,
    MoveObjects,
    areas,
    boxes_of_masks,
    classes_left,
    clip_boxes,
    mosaic,
    move_boxes,
    move_objects,
)
from vipriors.problems import BadInput

SIZE = (40, 60)


def random_boxes(count: int, places: int, seed: int = 0, size: tuple[int, int] = SIZE) -> Tensor:
    generator = Generator().manual_seed(seed)
    corner = torch.rand(count, places, 2, generator=generator) * torch.tensor([size[1] - 12, size[0] - 12])
    sides = 3 + 9 * torch.rand(count, places, 2, generator=generator)
    return torch.cat((corner.round(), (corner + sides).round()), dim=-1)


def drawn(boxes: Tensor, size: tuple[int, int] = SIZE) -> Tensor:
    """Masks `(…, H, W)` of the pixels whose middles are in boxes."""
    y, x = torch.arange(size[0])[:, None] + 0.5, torch.arange(size[1]) + 0.5
    left, top, right, bottom = boxes[..., None, None].unbind(-3)
    return (x > left) & (x < right) & (y > top) & (y < bottom)


def moved_points(points: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where the warp shows the points `(n, 2)` of the input: solves matrix @ (p, 1) = point for p."""
    centre = np.array([size[1] / 2, size[0] / 2])
    linear, offset = matrix[:, :2].astype(float), matrix[:, 2].astype(float)
    return np.array([np.linalg.solve(linear, point - centre - offset) + centre for point in points])


@settings(max_examples=60, deadline=None)
@given(st.floats(-40, 40), st.floats(0.6, 1.6), st.booleans(), st.integers(-9, 9), st.integers(-9, 9))
def test_boxes_move_as_the_ellipse_that_fills_them(degrees, scale, mirrored, dx, dy):
    angle, shrink = math.radians(degrees), 1 / scale
    mirror = -1 if mirrored else 1
    linear = shrink * np.array(
        [[mirror * math.cos(angle), -mirror * math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    matrix = np.concatenate([linear, -linear @ [[dx], [dy]]], axis=1)
    boxes = random_boxes(1, 3)
    found = move_boxes(boxes, torch.from_numpy(matrix).float()[None], SIZE)[0]
    turns = np.linspace(0, 2 * np.pi, 1441)
    for box, one in zip(boxes[0].numpy(), found.numpy(), strict=True):
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        edge = middle + half * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        points = moved_points(edge, matrix, SIZE)
        np.testing.assert_allclose(one, [*points.min(0), *points.max(0)], atol=2e-3)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_without_a_turn_boxes_and_pixels_agree_exactly(flip):
    boxes = random_boxes(16, 1)
    images = drawn(boxes).float().expand(-1, 3, -1, -1)
    objects = Annotated(torch.zeros(16, 1, dtype=torch.int64), boxes)
    moved, after = MoveObjects(flip=flip, max_pixels=6)(images, objects, Generator().manual_seed(1))
    for image, box, class_ in zip(moved, after.boxes[:, 0], after.classes[:, 0], strict=True):
        # What comes in has the mean colour, which is below one half.
        seen = boxes_of_masks(image[0] > 0.5)
        assert torch.equal(seen, box)
        assert class_ in (0, IGNORED)
    assert len({tuple(box.tolist()) for box in after.boxes[:, 0] - boxes[:, 0]}) > 8


def test_shift_is_in_the_picture_s_directions_and_by_at_most_so_many_pixels():
    boxes = torch.tensor([[[20.0, 10, 30, 25]]]).expand(200, 1, 4)
    objects = Annotated(torch.zeros(200, 1, dtype=torch.int64), boxes)
    images = torch.zeros(200, 1, *SIZE)
    _, after = MoveObjects(max_pixels=4)(images, objects, Generator().manual_seed(0))
    offsets = after.boxes[:, 0, :2] - boxes[:, 0, :2]
    assert offsets.unique().tolist() == list(range(-4, 5))
    assert torch.equal(after.boxes[:, 0, 2:] - boxes[:, 0, 2:], offsets)


def test_turned_and_scaled_pixels_lie_where_the_masks_and_about_where_the_boxes_say():
    boxes = random_boxes(40, 1, seed=3)
    masks = torch.zeros(40, 1, *SIZE, dtype=torch.bool)
    y, x = torch.arange(SIZE[0])[:, None] + 0.5, torch.arange(SIZE[1]) + 0.5
    for mask, (left, top, right, bottom) in zip(masks, boxes[:, 0].tolist(), strict=True):
        across, down = (2 * x - left - right) / (right - left), (2 * y - top - bottom) / (bottom - top)
        mask[0] = across**2 + down**2 < 1
    boxes = boxes_of_masks(masks)
    classes = torch.zeros(40, 1, dtype=torch.int64)
    change = MoveObjects(max_degrees=30, max_scale=0.3, max_pixels=2)
    images = masks.float()
    moved, with_masks = change(images, Annotated(classes, boxes, masks), Generator().manual_seed(2))
    again, without = change(images, Annotated(classes, boxes), Generator().manual_seed(2))
    assert torch.equal(moved, again)
    assert torch.equal(with_masks.boxes, boxes_of_masks(with_masks.masks))
    assert (with_masks.boxes - without.boxes).abs().max() < 1.6
    assert (with_masks.boxes - without.boxes).abs().mean() < 0.6
    differ = (moved > 0.5) != with_masks.masks
    assert differ.float().mean() < 0.005


def test_growth_is_even_in_the_logarithm():
    boxes = torch.tensor([[[25.0, 15, 35, 25]]]).expand(4000, 1, 4)
    objects = Annotated(torch.zeros(4000, 1, dtype=torch.int64), boxes)
    _, after = MoveObjects(max_scale=0.5)(torch.zeros(4000, 1, *SIZE), objects, Generator().manual_seed(0))
    growth = ((after.boxes[:, 0, 2] - after.boxes[:, 0, 0]) / 10).log()
    assert growth.abs().max() <= math.log(1.5) + 1e-5
    assert abs(growth.mean()) < 0.02
    assert abs(growth.std() - 2 * math.log(1.5) / math.sqrt(12)) < 0.01


def test_what_comes_in_has_the_mean_colour():
    images = torch.rand(3, 3, 20, 20, generator=Generator().manual_seed(0))
    none = Annotated(torch.full((3, 1), NO_OBJECT), torch.zeros(3, 1, 4))
    matrix = torch.tensor([[[1.0, 0, 30], [0, 1, 0]]]).expand(3, 2, 3)
    move = MoveObjects()
    object.__setattr__(move, "draw", lambda count, generator: matrix)
    moved, after = move(images, none, Generator())
    torch.testing.assert_close(moved, images.mean((2, 3), keepdim=True).expand_as(images))
    assert (after.classes == NO_OBJECT).all()


def test_boxes_of_masks_by_brute_force():
    rng = np.random.default_rng(0)
    masks = rng.random((2, 5, 9, 11)) < 0.04
    masks[0, 0] = False
    found = boxes_of_masks(torch.from_numpy(masks)).numpy()
    for place in np.ndindex(2, 5):
        rows, columns = np.nonzero(masks[place])
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0] * 4
        assert found[place].tolist() == expected


def test_clipping_and_areas():
    boxes = torch.tensor([[-5.0, -3, 70, 50], [10, 10, 20, 30], [61, 0, 70, 10], [-9, 3, -2, 5]])
    clipped = clip_boxes(boxes, SIZE)
    assert clipped.tolist() == [[0, 0, 60, 40], [10, 10, 20, 30], [60, 0, 60, 10], [0, 3, 0, 5]]
    assert areas(clipped).tolist() == [2400, 200, 0, 0]


@pytest.mark.parametrize("with_masks", [False, True])
def test_objects_that_leave_the_picture(with_masks):
    """A box of ten columns, shifted left: 4 px of it are left, then 2, then none."""
    boxes = torch.tensor([[[6.0, 5, 16, 15], [0, 0, 3, 3], [6, 5, 16, 15]]]).expand(3, 3, 4)
    classes = torch.tensor([[7, NO_OBJECT, IGNORED]]).expand(3, 3)
    masks = drawn(boxes) if with_masks else None
    matrix = torch.eye(2, 3).repeat(3, 1, 1)
    matrix[:, 0, 2] = torch.tensor([12.0, 14, 16])
    after = move_objects(Annotated(classes, boxes, masks), matrix, SIZE, 0.3)
    assert after.classes[:, 0].tolist() == [7, IGNORED, NO_OBJECT]
    assert after.classes[:, 1].tolist() == [NO_OBJECT] * 3
    assert after.classes[:, 2].tolist() == [IGNORED, IGNORED, NO_OBJECT]
    assert after.boxes[0, 0].tolist() == [0, 5, 4, 15]
    assert after.boxes[1, 0].tolist() == [0, 5, 2, 15]
    if with_masks:
        assert after.masks[:, 0].sum((1, 2)).tolist() == [40, 20, 0]


def test_a_grown_mask_is_not_taken_for_a_hidden_one():
    """Growing by two makes four pixels of one: what is left is measured after growth."""
    boxes = torch.tensor([[[25.0, 15, 35, 25]]])
    matrix = torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]])
    after = move_objects(
        Annotated(torch.zeros(1, 1, dtype=torch.int64), boxes, drawn(boxes)), matrix, SIZE, 0.9
    )
    assert after.classes.tolist() == [[0]]
    assert after.boxes.tolist() == [[[20, 10, 40, 30]]]
    # Half of it is beyond the left side.
    moved = torch.tensor([[[0.5, 0, 15.0], [0, 0.5, 0]]])
    after = move_objects(
        Annotated(torch.zeros(1, 1, dtype=torch.int64), boxes, drawn(boxes)), moved, SIZE, 0.6
    )
    assert after.masks.sum() == 200
    assert after.classes.tolist() == [[IGNORED]]


def test_classes_left():
    classes = torch.tensor([[3, 3, 3, IGNORED, NO_OBJECT]])
    seen, area = torch.tensor([[0.5, 0.49, 1.0, 0.1, 1.0]]), torch.tensor([[1.0, 1, 0, 1, 1]])
    assert classes_left(classes, seen, area, 0.5).tolist() == [[3, IGNORED, NO_OBJECT, IGNORED, NO_OBJECT]]


@pytest.mark.parametrize("with_masks", [False, True])
def test_a_mosaic_by_brute_force(with_masks):
    generator = Generator().manual_seed(5)
    images = torch.rand(3, 2, *SIZE, generator=generator)
    boxes = random_boxes(3, 4, seed=6)
    classes = torch.tensor([[0, 1, 2, NO_OBJECT], [3, 4, IGNORED, 5], [6, 7, 8, 9]])
    masks = drawn(boxes) if with_masks else None
    sources = torch.tensor([[0, 1, 2, 0], [1, 0, 0, 2], [2, 2, 2, 2]])
    column, row = torch.tensor([30, 17, 60]), torch.tensor([20, 11, 40])
    mixed, after = mosaic(images, Annotated(classes, boxes, masks), sources, column, row, 0.3)
    height, width = SIZE
    for image in range(3):
        for y in range(height):
            for x in range(width):
                part = 2 * int(y >= row[image]) + int(x >= column[image])
                assert torch.equal(mixed[image, :, y, x], images[sources[image, part], :, y, x])
        for part in range(4):
            left, right = (0, int(column[image])) if part % 2 == 0 else (int(column[image]), width)
            top, bottom = (0, int(row[image])) if part < 2 else (int(row[image]), height)
            for place in range(4):
                at = 4 * part + place
                source = int(sources[image, part])
                x0, y0, x1, y1 = boxes[source, place].tolist()
                cut = [max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)]
                seen = max(0, cut[2] - cut[0]) * max(0, cut[3] - cut[1]) / ((x1 - x0) * (y1 - y0))
                before = int(classes[source, place])
                expected = NO_OBJECT if seen == 0 else IGNORED if before >= 0 and seen < 0.3 else before
                assert after.classes[image, at] == expected
                if expected != NO_OBJECT:
                    assert after.boxes[image, at].tolist() == cut
                if with_masks:
                    assert torch.equal(boxes_of_masks(after.masks[image, at]), after.boxes[image, at])
                    assert after.masks[image, at].sum() == seen * (x1 - x0) * (y1 - y0)


def test_mosaics_are_drawn_for_some_images_only():
    images = torch.arange(400.0).view(400, 1, 1, 1).expand(400, 1, 16, 24).contiguous()
    objects = Annotated(torch.arange(400)[:, None], torch.tensor([[[0.0, 0, 24, 16]]]).expand(400, 1, 4))
    mixed, after = Mosaic(p=0.3, least_seen=0.0)(images, objects, Generator().manual_seed(0))
    whole = (mixed == images).flatten(1).all(1)
    assert abs(whole.float().mean().item() - 0.7) < 0.08
    assert after.classes.shape == (400, 4)
    assert (after.classes[whole, 1:] == NO_OBJECT).all()
    assert torch.equal(after.classes[whole, 0], objects.classes[whole, 0])
    right = after.boxes[~whole, 0, 2]
    assert (right >= 6).all()
    assert (right <= 18).all()
    assert len(right.unique()) > 8
    for image, classes, boxes in zip(mixed[~whole], after.classes[~whole], after.boxes[~whole], strict=True):
        assert classes[0] == image[0, 0, 0]
        for class_, (left, top, _, _) in zip(classes, boxes.int().tolist(), strict=True):
            assert image[0, top, left] == class_


@pytest.mark.parametrize("change", [MoveObjects(0.5, 3, 10, 0.2), Mosaic(0.8)])
@pytest.mark.parametrize("with_masks", [False, True])
def test_the_seed_decides_and_nothing_is_changed_in_place(change, with_masks):
    boxes = random_boxes(6, 3)
    objects = Annotated(torch.randint(0, 4, (6, 3)), boxes, drawn(boxes) if with_masks else None)
    images = torch.rand(6, 3, *SIZE).to(memory_format=torch.channels_last)
    before = [images.clone(), boxes.clone()]
    results = [change(images, objects, Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1].boxes, results[1][1].boxes)
    assert not torch.equal(results[0][0], results[2][0])
    assert results[0][0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before[0])
    assert torch.equal(boxes, before[1])
    assert (results[0][1].masks is not None) == with_masks


def test_parameters_out_of_range_are_all_listed():
    with pytest.raises(BadInput) as caught:
        MoveObjects(max_pixels=-1, max_degrees=-2, max_scale=1, least_seen=1.5)
    assert str(caught.value).splitlines() == [
        "MoveObjects: max_pixels is -1; expected 0 or more",
        "MoveObjects: max_degrees is -2; expected 0 or more",
        "MoveObjects: max_scale is 1; expected 0 to less than 1",
        "MoveObjects: least_seen is 1.5; expected 0 to 1",
    ]
    with pytest.raises(BadInput, match=r"^MoveObjects: p is 2; expected 0 to 1$"):
        MoveObjects(flip=2)
    with pytest.raises(BadInput, match=r"^Mosaic: p is -1; expected 0 to 1$"):
        Mosaic(p=-1)
    with pytest.raises(BadInput, match=r"^Mosaic: least_seen is -1; expected 0 to 1$"):
        Mosaic(least_seen=-1)
