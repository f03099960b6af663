"""The parts of the two-stage detectors, against torchvision and against loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou, nms

from vipriors.methods.detection._boxes import best, decode, encode, intersections, overlaps
from vipriors.methods.detection._proposals import (
    RATIOS,
    Proposed,
    Proposer,
    anchors,
    draw,
    level_of,
    match,
    proposal_loss,
    propose,
)
from vipriors.methods.detection._regions import (
    WEIGHTS,
    BoxHead,
    Regions,
    draw_regions,
    find_in_regions,
    pool,
    region_loss,
)
from vipriors.priors.augment.boxes import IGNORED, NO_OBJECT, Annotated

CPU = torch.device("cpu")
SIZE = (48, 64)


def random_boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([40.0, 28.0])
    return torch.cat((corner, corner + 3 + 20 * torch.rand(count, 2, generator=generator)), dim=1)


boxes_strategy = st.tuples(
    st.floats(-50, 50), st.floats(-50, 50), st.floats(0.5, 80), st.floats(0.5, 80)
).map(lambda b: torch.tensor([b[0], b[1], b[0] + b[2], b[1] + b[3]], dtype=torch.float64))


@given(boxes_strategy, boxes_strategy, st.sampled_from([(1, 1, 1, 1), WEIGHTS]))
def test_decoding_undoes_encoding(box, anchor, weights):
    # Growth is limited, and these boxes may be more than 62 times larger.
    if (box[2:] - box[:2] <= 60 * (anchor[2:] - anchor[:2])).all():
        torch.testing.assert_close(decode(encode(box, anchor, weights), anchor, weights), box)


def test_deltas_by_hand():
    anchor, box = torch.tensor([0.0, 0, 10, 20]), torch.tensor([5.0, 10, 25, 50])
    expected = [1.0, 1.0, math.log(2), math.log(2)]
    assert encode(box, anchor).tolist() == pytest.approx(expected)
    assert encode(box, anchor, WEIGHTS).tolist() == pytest.approx([10, 10, 5 * math.log(2), 5 * math.log(2)])
    huge = decode(torch.tensor([0.0, 0, 50, 50]), anchor)
    assert (huge[2:] - huge[:2]).tolist() == pytest.approx([625, 1250], rel=1e-5)


def test_overlaps_are_torchvision_s():
    first, second = random_boxes(30, 0), random_boxes(20, 1)
    torch.testing.assert_close(overlaps(first, second), box_iou(first, second))
    same = intersections(first, first).diagonal()
    torch.testing.assert_close(same, (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1]))
    assert overlaps(torch.zeros(1, 4), torch.zeros(1, 4)).item() == 0


def test_the_best_boxes_are_torchvision_s_in_each_group():
    boxes, scores = random_boxes(200, 2), torch.rand(200, generator=torch.Generator().manual_seed(3))
    groups = torch.arange(200) % 3
    found = best(boxes, scores, groups, 0.3, 25)
    kept = torch.cat([(groups == g).nonzero().flatten()[nms(boxes[groups == g], scores[groups == g], 0.3)]
                      for g in range(3)])  # fmt: skip
    expected = kept[scores[kept].argsort(descending=True)][:25]
    assert found.tolist() == expected.tolist()
    assert len(expected) == 25


@pytest.mark.parametrize("scales", [(8,), (4, 6)])
def test_anchors_are_torchvision_s_but_in_the_middle_of_cells_and_not_rounded(scales):
    images = ImageList(torch.zeros(1, 3, *SIZE), [SIZE])
    features = [torch.zeros(1, 1, SIZE[0] // s, SIZE[1] // s) for s in (8, 16)]
    theirs = AnchorGenerator(
        tuple(tuple(scale * stride for scale in scales) for stride in (8, 16)), (RATIOS,) * 2
    )(images, features)[0]
    ours = [anchors(SIZE[0] // s, SIZE[1] // s, s, scales, CPU) - s / 2 for s in (8, 16)]
    torch.testing.assert_close(torch.cat(ours), theirs, atol=0.51, rtol=0)
    first = anchors(1, 1, 8, (4,), CPU)
    sides = first[:, 2:] - first[:, :2]
    torch.testing.assert_close(sides.prod(1), torch.full((3,), 32.0**2))
    torch.testing.assert_close(sides[:, 1] / sides[:, 0], torch.tensor(RATIOS))


def slow_match(boxes, classes, candidates, low, high, rescue):
    iou = box_iou(boxes, candidates)
    found = []
    for index, (l1, t1, r1, b1) in enumerate(candidates.tolist()):
        covered = 0.0
        for (l0, t0, r0, b0), class_ in zip(boxes.tolist(), classes.tolist(), strict=True):
            if class_ == IGNORED:
                shared = max(0, min(r0, r1) - max(l0, l1)) * max(0, min(b0, b1) - max(t0, t1))
                covered = max(covered, shared / ((r1 - l1) * (b1 - t1)))
        places = [place for place, class_ in enumerate(classes.tolist()) if class_ >= 0]
        most, place = max(((float(iou[p, index]), -p) for p in places), default=(0.0, 0))
        best_for = [p for p in places if rescue and float(iou[p, index]) == float(iou[p].max()) > 0]
        if places and most >= high:
            found.append(-place)
        elif best_for:
            found.append(max(best_for, key=lambda p: (float(iou[p, index]), -p)))
        elif covered >= 0.5 or most >= low:
            found.append(IGNORED)
        else:
            found.append(NO_OBJECT)
    return found


@pytest.mark.parametrize("rescue", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.3, 0.7), (0.5, 0.5)])
def test_matching_by_brute_force(low, high, rescue):
    candidates = torch.cat([anchors(SIZE[0] // s, SIZE[1] // s, s, (3,), CPU) for s in (4, 8)])
    seen = set()
    for seed in range(6):
        boxes = random_boxes(6, seed)
        classes = torch.tensor([0, 3, NO_OBJECT, IGNORED, 1, 2])
        found = match(boxes, classes, candidates, low=low, high=high, rescue=rescue)
        assert found.tolist() == slow_match(boxes, classes, candidates, low, high, rescue)
        seen |= set(found.tolist())
        if rescue:
            assert len({0, 1, 4, 5} & set(found.tolist())) >= 3
    assert {NO_OBJECT, IGNORED} <= seen <= {NO_OBJECT, IGNORED, 0, 1, 4, 5}


def test_without_objects_nothing_matches():
    candidates = anchors(3, 3, 8, (3,), CPU)
    boxes = torch.tensor([[0.0, 0, 64, 48], [1, 1, 5, 5]])
    none = torch.full((2,), NO_OBJECT)
    assert (match(boxes, none, candidates, low=0.3, high=0.7, rescue=True) == NO_OBJECT).all()
    crowd = torch.tensor([IGNORED, NO_OBJECT])
    assert (match(boxes, crowd, candidates, low=0.3, high=0.7, rescue=True) == IGNORED).any()


def test_drawing():
    found = torch.tensor([NO_OBJECT] * 50 + [3] * 20 + [IGNORED] * 10)
    picked = [draw(found, 16, 0.5, torch.Generator().manual_seed(seed)) for seed in range(400)]
    for positive, negative in picked:
        assert len(positive) == len(negative) == 8
        assert (found[positive] == 3).all()
        assert (found[negative] == NO_OBJECT).all()
        assert len(set(positive.tolist())) == 8
    counts = torch.bincount(torch.cat([positive for positive, _ in picked]), minlength=80)[50:70]
    assert abs(counts.float() - 160).max() < 50  # 5 standard deviations
    again = draw(found, 16, 0.5, torch.Generator().manual_seed(7))
    assert torch.equal(again[0], picked[7][0])
    assert torch.equal(again[1], picked[7][1])
    few = torch.tensor([NO_OBJECT, 0, IGNORED])
    positive, negative = draw(few, 16, 0.5, torch.Generator())
    assert (positive.tolist(), negative.tolist()) == ([1], [0])


def random_proposed(seed: int, images: int) -> Proposed:
    generator = torch.Generator().manual_seed(seed)
    parts = [anchors(SIZE[0] // s, SIZE[1] // s, s, (3,), CPU).double() for s in (8, 16)]
    levels = torch.cat([torch.full((len(part),), level) for level, part in enumerate(parts)])
    count = len(levels)
    logits = torch.randn(images, count, generator=generator, dtype=torch.float64, requires_grad=True)
    deltas = 0.3 * torch.randn(images, count, 4, generator=generator, dtype=torch.float64)
    return Proposed(logits, deltas.requires_grad_(), torch.cat(parts), levels)


def some_objects(images: int) -> Annotated:
    boxes = torch.stack([random_boxes(3, 40 + image) for image in range(images)]).double()
    classes = torch.tensor([[0, 1, NO_OBJECT], [2, IGNORED, NO_OBJECT], [NO_OBJECT] * 3])[:images]
    return Annotated(classes, boxes)


def smooth_l1(difference: torch.Tensor) -> torch.Tensor:
    size = difference.abs()
    return torch.where(size < 1 / 9, 4.5 * size**2, size - 1 / 18).sum()


def test_the_loss_of_proposals_by_brute_force():
    proposed, objects = random_proposed(0, 3), some_objects(3)
    found = proposal_loss(proposed, objects, 20, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    total, drawn = 0.0, 0
    for image in range(3):
        which = match(
            objects.boxes[image], objects.classes[image], proposed.anchors, low=0.3, high=0.7, rescue=True
        )
        positive, negative = draw(which, 20, 0.5, generator)
        drawn += len(positive) + len(negative)
        for anchor in positive.tolist():
            total = total - proposed.logits[image, anchor].sigmoid().log()
            target = encode(objects.boxes[image, which[anchor]], proposed.anchors[anchor])
            total = total + smooth_l1(proposed.deltas[image, anchor] - target)
        for anchor in negative.tolist():
            total = total - (1 - proposed.logits[image, anchor].sigmoid()).log()
    expected = total / drawn
    assert drawn == 60
    assert found.item() == pytest.approx(expected.item())
    wanted = (proposed.logits, proposed.deltas)
    for one, other in zip(
        torch.autograd.grad(found, wanted), torch.autograd.grad(expected, wanted), strict=True
    ):
        torch.testing.assert_close(one, other)
        assert other.abs().max() > 0


def test_proposing_by_brute_force():
    proposed = random_proposed(3, 2)
    found = propose(proposed, SIZE, before=15, after=20, overlap=0.4)
    for image in range(2):
        chosen = []
        for level in (0, 1):
            members = (proposed.levels == level).nonzero().flatten().tolist()
            members.sort(key=lambda i: -proposed.logits[image, i].item())
            top = members[:15]
            boxes = decode(proposed.deltas[image, top], proposed.anchors[top]).detach()
            boxes[:, 0::2] = boxes[:, 0::2].clamp(0, SIZE[1])
            boxes[:, 1::2] = boxes[:, 1::2].clamp(0, SIZE[0])
            kept = nms(boxes, proposed.logits[image, top].detach(), 0.4)
            chosen += [(float(proposed.logits[image, top[k]]), boxes[k].tolist()) for k in kept.tolist()]
        expected = [box for _, box in sorted(chosen, key=lambda pair: -pair[0])][:20]
        np.testing.assert_allclose(found[image].numpy(), expected)
        assert not found[image].requires_grad


def test_proposals_outside_the_picture_are_left_out():
    box = torch.tensor([[10.0, 10, 20, 20]])
    away = Proposed(
        torch.zeros(1, 2),
        torch.tensor([[[50.0, 0, 0, 0], [0.0, 0, 0, 0]]]),
        box.expand(2, 4),
        torch.zeros(2).long(),
    )
    (found,) = propose(away, SIZE, 10, 10)
    assert found.tolist() == box.tolist()


def test_the_proposer_counts_anchors_as_they_are_made():
    """An object's anchor is the one whose numbers the convolution gives: the middle cell, shape by shape."""
    proposer = Proposer(2, (8,), (3, 5))
    for parameter in proposer.parameters():
        parameter.data.zero_()
    proposer.logits.bias.data.copy_(torch.arange(6.0))
    proposer.deltas.bias.data.copy_(torch.arange(24.0))
    proposed = proposer([torch.zeros(2, 2, 3, 4)])
    assert proposed.logits.shape == (2, 72)
    assert torch.equal(proposed.logits[1], torch.arange(6.0).repeat(12))
    assert torch.equal(proposed.deltas[0], torch.arange(24.0).view(6, 4).repeat(12, 1))
    # In row 1 and column 2 the hidden layer answers alone.
    proposer.hidden.weight.data[0, 0, 1, 1] = 1
    proposer.logits.weight.data.fill_(10)
    features = torch.zeros(1, 2, 3, 4)
    features[0, 0, 1, 2] = 1
    changed = (proposer([features]).logits[0] - torch.arange(6.0).repeat(12)).nonzero().flatten()
    centres = proposer([features]).anchors[changed].view(-1, 2, 2).mean(1)
    assert centres.tolist() == [[20.0, 12.0]] * 6


def test_levels_of_regions():
    sides = torch.tensor([5.0, 55, 57, 111, 113, 223, 224, 460, 2000])
    boxes = torch.stack((torch.zeros(9), torch.zeros(9), sides, sides), dim=1)
    # As published: a region of 224 pixels a side is taken from stride 16.
    assert level_of(boxes, (4, 8, 16, 32)).tolist() == [0, 0, 0, 0, 1, 1, 2, 3, 3]
    assert level_of(boxes, (8, 16)).tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("stride", [1, 4])
def test_pooling_of_a_ramp_is_the_place_itself(stride):
    """Features that say where they are: each cell gets the mean position of its part of the box."""
    y, x = ((torch.arange(n // stride) + 0.5) * stride for n in SIZE)
    ramp = torch.stack((x.expand(len(y), -1), y[:, None].expand(-1, len(x))))[None]
    boxes = torch.tensor([[10.0, 8, 40, 36], [5.5, 6.25, 21, 13]])
    found = pool([ramp], (stride,), torch.tensor([0, 0]), boxes, 4)
    for one, (left, top, right, bottom) in zip(found, boxes.tolist(), strict=True):
        for cell in range(4):
            assert one[0, :, cell].tolist() == pytest.approx([left + (cell + 0.5) * (right - left) / 4] * 4)
            assert one[1, cell].tolist() == pytest.approx([top + (cell + 0.5) * (bottom - top) / 4] * 4)


def test_pooling_keeps_the_order_of_regions_and_looks_at_their_image_and_level():
    features = [
        torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 32, 32),
        torch.full((2, 1, 16, 16), 9.0),
    ]
    small, large = [4.0, 4, 20, 20], [0.0, 0, 127, 127]
    boxes = torch.tensor([large, small, small, large, small])
    found = pool(features, (4, 8), torch.tensor([0, 1, 0, 1, 1]), boxes, 3)
    assert found[:, 0, 1, 1].tolist() == [9, 2, 1, 9, 2]
    assert found.shape == (5, 1, 3, 3)
    assert pool(features, (4, 8), torch.zeros(0).long(), torch.zeros(0, 4), 3).shape == (0, 1, 3, 3)


def test_regions_to_learn_from():
    objects = Annotated(
        torch.tensor([[1, 0], [NO_OBJECT, NO_OBJECT]]),
        torch.tensor([[[10.0, 10, 30, 30], [40, 5, 50, 25]], [[0, 0, 0, 0], [0, 0, 0, 0]]]),
    )
    proposals = [torch.tensor([[11.0, 11, 31, 31], [0, 30, 10, 40]]), random_boxes(30, 0)]
    regions = draw_regions(proposals, objects, 8, 0.5, torch.Generator().manual_seed(0))
    first = regions.images == 0
    # The proposal near the object, the two objects themselves, and the proposal without one.
    assert sorted(map(tuple, regions.boxes[first].tolist())) == sorted(
        [(11, 11, 31, 31), (0, 30, 10, 40), (10, 10, 30, 30), (40, 5, 50, 25)]
    )
    assert sorted(regions.places[first].tolist()) == [NO_OBJECT, 0, 0, 1]
    assert (regions.images == 1).sum() == 8
    assert (regions.places[~first] == NO_OBJECT).all()


def test_the_loss_of_regions_by_brute_force():
    objects = some_objects(2)
    regions = Regions(
        torch.tensor([0, 0, 1, 1]), random_boxes(4, 8).double(), torch.tensor([1, NO_OBJECT, 0, NO_OBJECT])
    )
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    deltas = torch.randn(4, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    found = region_loss(logits, deltas, regions, objects)
    total = 0.0
    for number, (image, place) in enumerate(
        zip(regions.images.tolist(), regions.places.tolist(), strict=True)
    ):
        class_ = 3 if place < 0 else int(objects.classes[image, place])
        total = total - logits[number].log_softmax(0)[class_]
        if place >= 0:
            target = encode(objects.boxes[image, place], regions.boxes[number], WEIGHTS)
            total = total + smooth_l1(deltas[number, class_] - target)
    expected = total / 4
    assert found.item() == pytest.approx(expected.item())
    for one, other in zip(
        torch.autograd.grad(found, (logits, deltas)),
        torch.autograd.grad(expected, (logits, deltas)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_without_regions_the_loss_is_zero_with_a_gradient():
    head = BoxHead(2, 3, 4, 5)
    none = Regions(torch.zeros(0).long(), torch.zeros(0, 4), torch.zeros(0).long())
    loss = region_loss(*head(torch.zeros(0, 2, 3, 3)), none, some_objects(1))
    assert loss.item() == 0
    loss.backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_finding_in_regions_by_brute_force():
    proposals = [random_boxes(12, 20), torch.zeros(0, 4), random_boxes(9, 21)]
    generator = torch.Generator().manual_seed(1)
    logits, deltas = torch.randn(21, 4, generator=generator), torch.randn(21, 3, 4, generator=generator)
    found = find_in_regions(logits, deltas, proposals, SIZE, 0.2, 0.3, most=9)
    assert len(found[1].classes) == 0
    start = 0
    for boxes, one in zip(proposals, found, strict=True):
        candidates = []
        for number, box in enumerate(boxes):
            for class_ in range(3):
                score = float(logits[start + number].softmax(0)[class_])
                placed = decode(deltas[start + number, class_], box, WEIGHTS)
                placed = [min(max(v, 0.0), s) for v, s in zip(placed.tolist(), [64, 48] * 2, strict=True)]
                if score >= 0.2:
                    candidates.append((score, class_, placed))
        start += len(boxes)
        kept = []
        for score, class_, box in sorted(candidates, key=lambda c: -c[0]):
            others = torch.tensor([other for _, c, other in kept if c == class_]).reshape(-1, 4)
            if not len(others) or box_iou(torch.tensor([box]), others).max() <= 0.3:
                kept.append((score, class_, box))
        kept = kept[:9]
        assert one.classes.tolist() == [class_ for _, class_, _ in kept]
        np.testing.assert_allclose(one.scores.numpy(), [score for score, _, _ in kept], rtol=1e-5)
        np.testing.assert_allclose(one.boxes.numpy(), np.reshape([b for *_, b in kept], (-1, 4)), atol=1e-4)
    assert len(found[0].classes) == 9


def test_the_full_preset_is_the_published_baseline():
    from vipriors.methods import configure

    method = configure("faster-rcnn", "full", {})
    assert (method.lr, method.batch_size, method.weight_decay, method.momentum) == (0.02, 16, 1e-4, 0.9)
    assert abs(method.steps * method.batch_size / 5873 - 51) < 0.1
    assert method.optimizer == "sgd"
    with torch.device("meta"):
        network = method.network((3, 224, 224), 80)
    # ResNet-18 has 11.2 million parameters without its classifier.
    stages = sum(
        p.numel() for part in (network.backbone.stem, network.backbone.stages) for p in part.parameters()
    )
    assert stages == pytest.approx(11.18e6, rel=1e-3)
    assert network.backbone.strides == (4, 8, 16, 32, 64)
