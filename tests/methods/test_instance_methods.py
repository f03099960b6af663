"""What holds for every method of instance segmentation, and the parts that make masks, against loops."""

import math

import numpy as np
import pytest
import torch
from method_cases import CPU, NETWORKS, small
from method_cases._objects import data_set, labelled
from object_battery import ObjectBattery

from vipriors.methods import listing
from vipriors.methods.detection._regions import Regions
from vipriors.methods.detection._variation import gather
from vipriors.methods.instances._masks import MaskHead, mask_loss, mask_targets, paste, with_objects
from vipriors.methods.protocol import Context
from vipriors.priors.augment.boxes import NO_OBJECT, Annotated


@pytest.fixture(params=[name for name in NETWORKS if listing(name).family == "instances"])
def name(request):
    return request.param


class TestInstances(ObjectBattery):
    with_masks = True


def some_regions() -> tuple[Regions, Annotated]:
    labels = labelled(3, (3, 32, 40), 4, True).labels
    objects = gather(labels, [0, 1, 2], CPU.resolved_device())
    images, boxes, places = [], [], []
    for image, one in enumerate(labels):
        for place, (left, top, right, bottom) in enumerate(one.boxes.tolist()):
            images += [image, image]
            boxes += [[left, top, right, bottom], [left - 2.5, top + 1.25, right + 1, bottom + 3.5]]
            places += [place, place]
    return Regions(torch.tensor(images), torch.tensor(boxes), torch.tensor(places)), objects


def bilinear(grid: np.ndarray, x: float, y: float) -> float:
    """The value between the middles of cells; beyond the border its own, as RoIAlign has it."""
    height, width = grid.shape
    x, y = x - 0.5, y - 0.5
    if not (-1 <= x <= width and -1 <= y <= height):
        return 0.0
    x, y = max(x, 0.0), max(y, 0.0)
    left, top = min(int(x), width - 1), min(int(y), height - 1)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    a, b = min(x, width - 1) - left, min(y, height - 1) - top
    upper = grid[top, left] * (1 - a) + grid[top, right] * a
    lower = grid[bottom, left] * (1 - a) + grid[bottom, right] * a
    return float(upper * (1 - b) + lower * b)


def test_targets_by_brute_force():
    regions, objects = some_regions()
    side = 6
    found = mask_targets(regions, objects.masks, side)
    assert found.shape == (len(regions.places), side, side)
    for number, target in enumerate(found):
        mask = objects.masks[regions.images[number], regions.places[number]].numpy().astype(float)
        left, top, right, bottom = regions.boxes[number].tolist()
        for row in range(side):
            for column in range(side):
                samples = [
                    bilinear(
                        mask,
                        left + (column + (i + 0.5) / 2) * (right - left) / side,
                        top + (row + (j + 0.5) / 2) * (bottom - top) / side,
                    )
                    for i in range(2)
                    for j in range(2)
                ]
                assert target[row, column].item() == pytest.approx(np.mean(samples), abs=1e-5)
    # In its own box a rectangle is everything, but for the fading of its border.
    assert (found[::2] >= 0.5).all()


def test_the_loss_of_masks_by_brute_force():
    regions, objects = some_regions()
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(regions.places), 2, 5, 5, generator=generator, requires_grad=True)
    found = mask_loss(logits, regions, objects)
    targets, terms = mask_targets(regions, objects.masks, 5), []
    for number in range(len(regions.places)):
        class_ = int(objects.classes[regions.images[number], regions.places[number]])
        p = logits[number, class_].sigmoid()
        terms.append(-(targets[number] * p.log() + (1 - targets[number]) * (1 - p).log()).mean())
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(found, expected)
    (one,), (other,) = (torch.autograd.grad(value, logits) for value in (found, expected))
    torch.testing.assert_close(one, other)
    classes = objects.classes[regions.images, regions.places]
    assert (one[torch.arange(len(classes)), 1 - classes] == 0).all()


def test_regions_without_objects_have_no_mask():
    regions = Regions(torch.tensor([0, 1, 1]), torch.arange(12.0).view(3, 4), torch.tensor([NO_OBJECT, 2, 0]))
    known = with_objects(regions)
    assert (known.images.tolist(), known.places.tolist()) == ([1, 1], [2, 0])
    assert torch.equal(known.boxes, regions.boxes[1:])
    head = MaskHead(3, 4, 1, 2)
    nothing = Regions(torch.zeros(0).long(), torch.zeros(0, 4), torch.zeros(0).long())
    loss = mask_loss(head(torch.zeros(0, 3, 4, 4)), nothing, some_regions()[1])
    assert loss.item() == 0
    loss.backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


@pytest.mark.parametrize("depth", [0, 2])
def test_the_head_doubles_the_resolution(depth):
    logits = MaskHead(6, 8, depth, 3)(torch.rand(5, 6, 14, 14))
    assert logits.shape == (5, 3, 28, 28)


def test_pasting_by_brute_force():
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(4, 7, 7, generator=generator)
    boxes = torch.tensor([[3.0, 4, 17, 18], [2.5, 1.25, 9.75, 20], [-6, -3, 8, 30], [10, 10, 10.5, 11]])
    size = (22, 25)
    found = paste(masks, boxes, size)
    for mask, (left, top, right, bottom), pasted in zip(masks, boxes.tolist(), found, strict=True):
        for row in range(size[0]):
            for column in range(size[1]):
                x = (column + 0.5 - left) / (right - left) * 7 - 0.5
                y = (row + 0.5 - top) / (bottom - top) * 7 - 0.5
                value = 0.0
                for j, i in ((math.floor(y) + b, math.floor(x) + a) for a in (0, 1) for b in (0, 1)):
                    if 0 <= i < 7 and 0 <= j < 7:
                        value += float(mask[j, i]) * (1 - abs(x - i)) * (1 - abs(y - j))
                if abs(value - 0.5) > 1e-4:
                    assert pasted[row, column].item() == (value > 0.5), (row, column, value)


def test_a_mask_survives_its_target_and_pasting():
    """An ellipse and a rectangle, in boxes off the pixels: but for the border, what goes in comes out."""
    y, x = torch.arange(60)[:, None] + 0.5, torch.arange(80) + 0.5
    ellipse = ((x - 33) / 22) ** 2 + ((y - 28) / 17) ** 2 < 1
    rectangle = (x > 40) & (x < 71) & (y > 7) & (y < 51)
    masks = torch.stack((ellipse, rectangle))[None]
    boxes = torch.tensor([[10.7, 10.6, 55.4, 45.2], [39.6, 6.7, 71.5, 51.4]])
    regions = Regions(torch.tensor([0, 0]), boxes, torch.tensor([0, 1]))
    pasted = paste(mask_targets(regions, masks, 28), boxes, (60, 80))
    for one, mask in zip(pasted, masks[0], strict=True):
        assert (one & mask).sum() / (one | mask).sum() > 0.97


def test_masks_are_pasted_where_the_boxes_are(name):
    data = data_set(with_masks=True)
    model = small(name, steps=16, lr=1e-2).fit(data, Context(execution=CPU)).model
    inside = []
    for one in model.detect(data.held_out.images):
        for mask, (left, top, right, bottom) in zip(one.masks, one.boxes.tolist(), strict=True):
            rows, columns = np.nonzero(mask)
            if len(rows):
                inside += [left - 1 <= columns.min(), columns.max() <= right, top - 1 <= rows.min()]
                inside += [rows.max() <= bottom]
    assert all(inside)
    assert len(inside) > 20
