"""Small scenes of bright squares and dark bars, with boxes and masks, for the methods that find objects."""

import numpy as np

from vipriors.challenges.schema import Invariance
from vipriors.methods.protocol import Labelled, Objects, TrainingSet

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
