"""Small scenes of bright squares and dark bars, with boxes and masks, for the methods that find objects."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from method_cases import Case, Learning
from vipriors.challenges.schema import Invariance
from vipriors.methods.detection._precision import average_precision
from vipriors.methods.protocol import Labelled, Objects, TrainingSet

SHAPES = {"grey": (1, 32, 40), "colour": (3, 40, 36), "13 channels": (13, 33, 47)}
LIGHT = {
    "batch_size": 4,
    "widths": (8, 12),
    "blocks": 1,
    "pooled": False,
    "extra": 1,
    "channels": 16,
    "colour": 0.0,
    "mosaic": 0.0,
    "before": 40,
    "after": 16,
    "anchors_drawn": 32,
    "regions_drawn": 12,
    "hidden": 32,
    "mask_channels": 12,
    "mask_depth": 1,
}
CLASSES = ("square", "bar")


def scene(rng, shape, objects):
    """An image `(H, W, C)` and its objects, which lie apart in a grid of two rows."""
    channels, height, width = shape
    image = rng.integers(80, 140, (height, width, channels), dtype=np.uint8)
    cells = [(row, column) for row in range(2) for column in range(2)]
    classes, boxes, masks = [], [], []
    for cell in rng.permutation(len(cells))[:objects]:
        row, column = cells[cell]
        class_ = int(rng.integers(2))
        h, w = (8, 8) if class_ == 0 else (5, 12)
        top = row * height // 2 + int(rng.integers(1, height // 2 - h))
        left = column * width // 2 + int(rng.integers(1, width // 2 - w))
        image[top : top + h, left : left + w] = 240 if class_ == 0 else 10
        mask = np.zeros((height, width), bool)
        mask[top : top + h, left : left + w] = True
        classes.append(class_)
        boxes.append([left, top, left + w, top + h])
        masks.append(mask)
    return image, Objects(
        np.array(classes, np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(masks, bool).reshape(-1, height, width),
        crowds=np.zeros(len(classes), bool),
    )


def labelled(count, shape, seed, with_masks, least=1):
    rng = np.random.default_rng(seed)
    made = [scene(rng, shape, int(rng.integers(least, 4))) for _ in range(count)]
    objects = [one for _, one in made]
    if not with_masks:
        objects = [Objects(one.classes, one.boxes, crowds=one.crowds) for one in objects]
    return Labelled(np.stack([image for image, _ in made]), objects)


def data_set(shape=(3, 32, 40), count=12, *, with_masks=False, least=1):
    return TrainingSet(
        train=labelled(count, shape, 0, with_masks, least),
        classes=CLASSES,
        invariance=Invariance(flip=True, shift=2),
        held_out=labelled(6, shape, 1, with_masks),
    )


def outputs(model: Any, images: np.ndarray) -> list[np.ndarray]:
    """A row for each object found: score, class, box, mask."""
    found = []
    for one in model.detect(images):
        parts = [one.scores[:, None], one.classes[:, None], one.boxes]
        if one.masks is not None:
            parts.append(one.masks.reshape(len(one.masks), np.prod(one.masks.shape[1:])))
        found.append(np.concatenate(parts, axis=1, dtype=np.float64))
    return found


def sound(model: Any, images: np.ndarray, data: TrainingSet, *, with_masks: bool) -> None:
    height, width = images.shape[1:3]
    found = list(model.detect(images))
    assert len(found) == len(images)
    for one in found:
        n = len(one.classes)
        assert n <= 100
        assert one.classes.dtype == np.int64
        assert one.boxes.shape == (n, 4)
        assert one.boxes.dtype == one.scores.dtype == np.float32
        assert one.scores.shape == (n,)
        assert np.isfinite(one.boxes).all()
        assert ((one.classes >= 0) & (one.classes < len(data.classes))).all()
        assert ((one.scores >= 0.0099) & (one.scores <= 1)).all()
        assert (np.diff(one.scores) <= 0).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes <= np.array([width, height, width, height])).all()
        assert (one.boxes[:, 2:] >= one.boxes[:, :2]).all()
        assert (one.masks is not None) == with_masks
        if with_masks:
            assert one.masks.shape == (n, height, width)
            assert one.masks.dtype == np.bool_


def score(model: Any, data: TrainingSet) -> float:
    found = list(model.detect(data.held_out.images))
    return average_precision(found, data.held_out.labels, len(data.classes)) or 0.0


def monitored(model: Any, data: TrainingSet) -> Mapping[str, float]:
    return {"val_AP": score(model, data)}


def built(method: Any) -> Iterator[nn.Module]:
    for shape in ((3, 96, 96), (1, 160, 224)):
        network = method.network(shape, 7).eval()
        assert network(torch.empty(2, *shape)) is not None
        yield network


def few(method: Any) -> Mapping[str, Any]:
    return {key: value for key, value in LIGHT.items() if hasattr(method, key)}


def surest_alike(one: np.ndarray, other: np.ndarray) -> bool:
    count = min(3, len(one), len(other))
    return np.allclose(one[:count, 0], other[:count, 0], atol=1e-4)


def backbone(network: nn.Module) -> nn.Module:
    return network.backbone


def object_case(floor: str, steps: int, least: float, *, with_masks: bool) -> Case:
    """Of detection or of instances; `floor` looks at no image, networks learn so much in some steps."""
    return Case(
        data=partial(data_set, with_masks=with_masks),
        others={name: {"shape": shape} for name, shape in SHAPES.items()},
        outputs=outputs,
        sound=partial(sound, with_masks=with_masks),
        monitored=monitored,
        built=built,
        few=few,
        learning=Learning(
            score,
            least=least,
            data={"count": 24},
            changes={"steps": steps, "lr": 1e-2, "batch_size": 6, "ema": 0.9},
            invariance=Invariance(flip=True),
            blind=(floor,),
        ),
        everything={"colour": 0.4, "mosaic": 0.5, "ema": 0.9},
        varied=({"colour": 0.4}, {"mosaic": 1.0}),
        looks=backbone,
        alike=surest_alike,
    )
