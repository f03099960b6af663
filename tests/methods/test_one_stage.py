"""The one-stage detector's parts, each against loops over boxes and locations."""

import math

import numpy as np
import pytest
import torch

from vipriors.methods.detection import _locations
from vipriors.methods.detection._locations import (
    Output,
    assign,
    centreness,
    decode,
    detection_loss,
    locations,
)
from vipriors.methods.detection._precision import average_precision
from vipriors.methods.detection._variation import gather
from vipriors.methods.detection.one_stage import OneStage, OneStageDetector
from vipriors.methods.protocol import Objects
from vipriors.priors.augment.boxes import IGNORED, NO_OBJECT, Annotated

SIZE = (32, 48)
STRIDES = (4, 8, 16)
REACH, RADIUS = 3.0, 1.5


def all_points() -> tuple[torch.Tensor, torch.Tensor]:
    parts = [locations(SIZE[0] // s, SIZE[1] // s, s, torch.device("cpu")) for s in STRIDES]
    return torch.cat(parts), torch.cat(
        [torch.full((len(p),), float(s)) for p, s in zip(parts, STRIDES, strict=True)]
    )


def some_objects(seed: int, images: int = 4, places: int = 5) -> Annotated:
    rng = np.random.default_rng(seed)
    boxes = np.zeros((images, places, 4), np.float32)
    boxes[..., :2] = rng.uniform(-2, 30, (images, places, 2))
    boxes[..., 2:] = boxes[..., :2] + rng.uniform(3, 30, (images, places, 2))
    classes = rng.choice(
        [0, 1, 2, 3, NO_OBJECT, IGNORED], (images, places), p=[0.15, 0.15, 0.15, 0.15, 0.1, 0.3]
    )
    classes[-1] = NO_OBJECT
    return Annotated(torch.from_numpy(classes), torch.from_numpy(boxes))


def slow_assignment(points, strides, boxes, classes) -> list[int]:
    """The definition, location by location."""
    found = []
    for (x, y), stride in zip(points.tolist(), strides.tolist(), strict=True):
        low = 0 if stride == min(STRIDES) else stride * REACH / 2
        high = math.inf if stride == max(STRIDES) else stride * REACH
        best, place, ignored = math.inf, NO_OBJECT, False
        for number, ((left, top, right, bottom), class_) in enumerate(
            zip(boxes.tolist(), classes.tolist(), strict=True)
        ):
            sides = (x - left, y - top, right - x, bottom - y)
            if class_ == NO_OBJECT or min(sides) <= 0:
                continue
            if class_ == IGNORED:
                ignored = True
                continue
            central = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)) < RADIUS * stride
            area = (right - left) * (bottom - top)
            if central and low < max(sides) <= high and area < best:
                best, place = area, number
        found.append(place if best < math.inf else IGNORED if ignored else NO_OBJECT)
    return found


def test_locations_are_the_middles_of_cells():
    expected = [[(column + 0.5) * 8, (row + 0.5) * 8] for row in range(2) for column in range(3)]
    assert locations(2, 3, 8, torch.device("cpu")).tolist() == expected


def test_assignment_by_brute_force():
    points, strides = all_points()
    seen = set()
    for seed in range(8):
        objects = some_objects(seed)
        found = assign(points, strides, objects, REACH, RADIUS)
        for one, boxes, classes in zip(found, objects.boxes, objects.classes, strict=True):
            assert one.tolist() == slow_assignment(points, strides, boxes, classes)
        seen |= set(found.flatten().tolist())
    assert seen == {NO_OBJECT, IGNORED, 0, 1, 2, 3, 4}


def test_each_object_away_from_others_is_found_by_some_location():
    points, strides = all_points()
    for side in (5, 8, 13, 21, 30):
        box = torch.tensor([[[9.0, 1, 9 + side, 1 + side]]])
        found = assign(points, strides, Annotated(torch.zeros(1, 1, dtype=torch.int64), box), REACH, RADIUS)
        assert (found == 0).sum() >= 1


def test_centreness():
    sides = torch.tensor([[3.0, 5, 3, 5], [1, 2, 4, 8], [0, 1, 2, 1], [6, 6, 2, 3]])
    expected = [1.0, math.sqrt(1 / 4 * 2 / 8), 0.0, math.sqrt(2 / 6 * 3 / 6)]
    assert centreness(sides).tolist() == pytest.approx(expected)


def random_output(seed: int, images: int, classes: int) -> Output:
    points, strides = all_points()
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(images, len(points), *shape, generator=generator, dtype=torch.float64)

    sides = (draw(4) * 0.5).exp() * strides[:, None]
    logits, centre = draw(classes), draw()
    for tensor in (logits, sides, centre):
        tensor.requires_grad_()
    return Output(logits, sides, centre, points.double(), strides)


def slow_loss(output: Output, objects: Annotated) -> torch.Tensor:
    """The three losses from their formulas, one location and one class at a time."""
    focal, weighted, weight, near, count = 0.0, 0.0, 0.0, 0.0, 0
    for image in range(len(objects.classes)):
        places = slow_assignment(output.points, output.strides, objects.boxes[image], objects.classes[image])
        for location, place in enumerate(places):
            if place != IGNORED:
                for class_, logit in enumerate(output.logits[image, location]):
                    p = 1 / (1 + (-logit).exp())
                    right = place >= 0 and objects.classes[image, place] == class_
                    if right:
                        focal = focal - 0.25 * (1 - p) ** 2 * p.log()
                    else:
                        focal = focal - 0.75 * p**2 * (1 - p).log()
            if place < 0:
                continue
            count += 1
            x, y = output.points[location]
            l0, t0, r0, b0 = objects.boxes[image, place].double()
            l1, t1, r1, b1 = output.sides[image, location]
            l1, t1, r1, b1 = x - l1, y - t1, x + r1, y + b1
            shared = (torch.minimum(r0, r1) - torch.maximum(l0, l1)) * (
                torch.minimum(b0, b1) - torch.maximum(t0, t1)
            )
            union = (r0 - l0) * (b0 - t0) + (r1 - l1) * (b1 - t1) - shared
            hull = (torch.maximum(r0, r1) - torch.minimum(l0, l1)) * (
                torch.maximum(b0, b1) - torch.minimum(t0, t1)
            )
            giou = shared / union - (hull - union) / hull
            across, down = sorted((x - l0, r0 - x)), sorted((y - t0, b0 - y))
            centre = (across[0] / across[1] * down[0] / down[1]).sqrt()
            weighted, weight = weighted + (1 - giou) * centre, weight + centre
            logit = output.centre[image, location]
            near = near + torch.log1p(logit.exp()) - centre * logit
    return focal / count + weighted / weight + near / count


def test_the_loss_and_its_gradients_by_brute_force():
    output, objects = random_output(0, 3, 4), some_objects(1, images=3)
    objects = Annotated(objects.classes, objects.boxes.double())
    found, expected = detection_loss(output, objects, REACH, RADIUS), slow_loss(output, objects)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    wanted = (output.logits, output.sides, output.centre)
    for one, other in zip(
        torch.autograd.grad(found, wanted), torch.autograd.grad(expected, wanted), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
        assert other.abs().max() > 1e-4


def test_without_objects_the_loss_is_that_of_the_background():
    output = random_output(3, 2, 4)
    none = Annotated(torch.full((2, 1), NO_OBJECT), torch.zeros(2, 1, 4))
    p = output.logits.sigmoid()
    expected = -(0.75 * p**2 * (1 - p).log()).sum()
    loss = detection_loss(output, none, REACH, RADIUS)
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert (output.sides.grad == 0).all()


def slow_nms(boxes, scores, classes, overlap):
    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        l0, t0, r0, b0 = boxes[index]
        covered = False
        for other in kept:
            l1, t1, r1, b1 = boxes[other]
            shared = max(0, min(r0, r1) - max(l0, l1)) * max(0, min(b0, b1) - max(t0, t1))
            union = (r0 - l0) * (b0 - t0) + (r1 - l1) * (b1 - t1) - shared
            covered |= classes[other] == classes[index] and shared > overlap * union
        if not covered:
            kept.append(index)
    return kept


def test_decoding_by_brute_force():
    output = random_output(5, 2, 3)
    output = Output(*(value.detach() for value in vars(output).values()))
    found = decode(output, SIZE, score_threshold=0.4, overlap=0.5, most=40)
    for image, one in enumerate(found):
        boxes, scores, classes = [], [], []
        for location, (x, y) in enumerate(output.points.tolist()):
            left, top, right, bottom = output.sides[image, location].tolist()
            box = [max(0, x - left), max(0, y - top), min(SIZE[1], x + right), min(SIZE[0], y + bottom)]
            for class_ in range(3):
                logits = output.logits[image, location, class_], output.centre[image, location]
                score = math.prod(1 / (1 + math.exp(-float(logit))) for logit in logits)
                if score >= 0.4:
                    boxes.append(box)
                    scores.append(score)
                    classes.append(class_)
        kept = slow_nms(boxes, scores, classes, 0.5)[:40]
        assert len(kept) == 40
        assert one.classes.tolist() == [classes[k] for k in kept]
        np.testing.assert_allclose(one.scores.numpy(), [scores[k] for k in kept], rtol=1e-5)
        np.testing.assert_allclose(one.boxes.numpy(), [boxes[k] for k in kept], atol=1e-4)


def test_few_candidates_are_the_best_ones(monkeypatch):
    monkeypatch.setattr(_locations, "MOST_CANDIDATES", 7)
    output = random_output(6, 1, 3)
    with torch.no_grad():
        (found,) = decode(output, SIZE, score_threshold=0.0, overlap=1.0)
        scores = (output.logits.sigmoid() * output.centre.sigmoid()[..., None]).flatten()
    np.testing.assert_allclose(found.scores.numpy(), scores.sort(descending=True).values[:7].numpy())


def test_what_is_to_be_learned_is_what_is_found():
    """An output that agrees with the assignment finds every object that any location is to find, exactly."""
    points, strides = all_points()
    labels = [
        Objects(np.array([0, 2]), np.array([[2, 3, 12, 14], [20, 6, 44, 30]], np.float32)),
        Objects(np.array([1]), np.array([[5.5, 9, 19, 21.5]], np.float32)),
        Objects(np.zeros(0, np.int64), np.zeros((0, 4), np.float32)),
    ]
    objects = gather(labels, [0, 1, 2], torch.device("cpu"))
    place = assign(points, strides, objects, REACH, RADIUS)
    logits = torch.full((3, len(points), 4), -20.0)
    sides = torch.ones(3, len(points), 4)
    centre = torch.zeros(3, len(points))
    for image, location in (place >= 0).nonzero().tolist():
        box = objects.boxes[image, place[image, location]]
        logits[image, location, objects.classes[image, place[image, location]]] = 20.0
        sides[image, location] = torch.cat((points[location] - box[:2], box[2:] - points[location]))
        centre[image, location] = centreness(sides[image, location]).clamp(max=0.999).logit()
    output = Output(logits, sides, centre, points, strides)
    found = [
        Objects(one.classes.numpy(), one.boxes.numpy(), scores=one.scores.numpy())
        for one in decode(output, SIZE, 0.01, 0.6)
    ]
    assert average_precision(found, labels, 4) == pytest.approx(1.0)
    assert len(found[2].classes) == 0
    # Regression is perfect, and the centre-ness' entropy is all that is left.
    entropy = detection_loss(output, objects, REACH, RADIUS)
    p = torch.cat([centre[i][place[i] >= 0] for i in range(3)]).sigmoid()
    assert entropy.item() == pytest.approx(-(p * p.log() + (1 - p) * (1 - p).log()).mean().item(), abs=1e-3)


def test_before_training_every_class_is_unlikely_everywhere():
    network = OneStageDetector(widths=(8, 12), blocks=1, channels=16, depth=1, extra=0).network(
        (3, 32, 48), 5
    )
    with torch.no_grad():
        output = network(torch.rand(2, 3, 32, 48))
    assert output.logits.shape[2] == 5
    assert output.logits.sigmoid().mean().item() == pytest.approx(0.01, rel=0.2)
    assert (output.sides > 0).all()


@pytest.mark.parametrize(("finest", "extra", "strides"), [(4, 0, (4, 8, 16)), (8, 2, (8, 16, 32, 64))])
def test_levels(finest, extra, strides):
    method = OneStageDetector(widths=(8, 12, 16), blocks=1, channels=16, depth=1, finest=finest, extra=extra)
    size = (61, 90)
    network: OneStage = method.network((3, *size), 2)
    assert network.backbone.strides == strides
    output = network(torch.rand(1, 3, *size))
    cells = [math.ceil(size[0] / s) * math.ceil(size[1] / s) for s in strides]
    assert [int((output.strides == s).sum()) for s in strides] == cells
    assert output.points[:2].tolist() == [[strides[0] / 2] * 2, [1.5 * strides[0], strides[0] / 2]]
    assert output.points[:, 0].max() < size[1] + strides[-1]
