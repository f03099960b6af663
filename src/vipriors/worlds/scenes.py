"""Scenes of handwritten digits: colour pictures with clutter, cover, uneven light; maps, boxes, masks.

Each scene has two to six real digits (`worlds.digits`) in many sizes, colours and poses, over one another and
under bars, among strokes and pieces of digits that are none: chalk on a dark board. The handwriting in test
scenes is in no other. A digit of which less than 65 % would be seen is not drawn.

The variant `fine` is drawn twice as large, and its maps tell digits from all else: about outlines, not names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from vipriors.data.images import encode_png
from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput
from vipriors.worlds._compose import background, box_of, light, lighter, noise, paint, stroke
from vipriors.worlds._digits import OPAQUE, SIDE, Ints, draw, handwriting, pool, random_of

SIZE = 96
"""Height and width of a scene in pixels; sizes of what is in it are for a scene of this size."""
ZOOMS = {"plain": 1, "fine": 2}
"""How many times as large the scenes of each variant are drawn."""
COUNTS = {"train": 400, "test": 200}
CLASSES = tuple("0123456789")
TASKS = ("segmentation", "detection", "instances")
SIZES = (20, 44)
"""Height of the smallest and of the largest digits in pixels."""
LEAST_SEEN = 65
"""Percent of a digit's pixels that are seen at least."""
TRIES = 8
"""Places that are tried for each thing, before the scene goes without it."""
SAMPLES = {
    variant: tuple(
        SourceSample(f"scenes/{split}/{'' if variant == 'plain' else variant + '/'}{number}", 0, split)
        for split, count in COUNTS.items()
        for number in range(count)
    )
    for variant in ZOOMS
}


@dataclass(frozen=True)
class Scene:
    """One rendered scene of S x S pixels.

    Attributes:
        image: `(S, S, 3)`.
        owners: `(S, S)`, the number of the digit that is seen at a pixel, from 1 on; or 0.
        classes: of each digit; number 1 comes first.
        seen: the share of each digit's pixels that are seen.
    """

    image: NDArray[np.uint8]
    owners: NDArray[np.uint8]
    classes: tuple[int, ...]
    seen: tuple[float, ...]

    @property
    def label_map(self) -> NDArray[np.uint8]:
        """`(S, S)`: 0 for the background, else the digit's class and 1."""
        return np.array([0, *(class_ + 1 for class_ in self.classes)], np.uint8)[self.owners]


@dataclass(frozen=True)
class SceneSource:
    """Scenes with the labels of one task."""

    task: str
    variant: str = "plain"
    name: str = "scenes"
    root: Path | None = None
    media: Literal["images", "clips"] = "images"
    classes: tuple[str, ...] = ("image",)

    @property
    def samples(self) -> tuple[SourceSample, ...]:
        """Every scene of the variant."""
        return SAMPLES[self.variant]

    @property
    def names(self) -> tuple[str, ...]:
        """The ten classes, or in fine scenes the one; of maps also the background, first."""
        if self.variant == "fine":
            return ("background", "digit")
        return ("background", *CLASSES) if self.task == "segmentation" else CLASSES

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        """The scene as a PNG."""
        return ".png", encode_png(self._scene(sample).image)

    def _scene(self, sample: SourceSample) -> Scene:
        return render(sample.key, ZOOMS[self.variant])

    def annotations(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """A label map for each scene, or COCO's `labels.json`."""
        if self.task == "segmentation":
            for name, sample in named:
                scene = self._scene(sample)
                fine = self.variant == "fine"
                label_map = (scene.owners > 0).astype(np.uint8) if fine else scene.label_map
                yield Path(name).stem + ".png", encode_png(label_map)
            return
        objects = [
            {"image_id": _image_id(name), **object_}
            for name, sample in named
            for object_ in _objects(self._scene(sample), masks=self.task == "instances")
        ]
        numbered = [{"id": number, **object_} for number, object_ in enumerate(objects, start=1)]
        yield "labels.json", _json(_index(named) | {"annotations": numbered})

    def test_index(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """For boxes and masks `images.json`: COCO's images and categories."""
        if self.task != "segmentation":
            yield "images.json", _json(_index(named))


def scenes(task: str, variant: str = "plain") -> SceneSource:
    """The scenes with labels for `segmentation`, `detection` or `instances`; `fine` ones for the first alone.

    Raises:
        BadInput: The task or the variant is another.
    """
    if variant not in ZOOMS:
        expected = f"expected one of {', '.join(ZOOMS)}"
        raise BadInput.single("world scenes", f"has no variant {variant!r}; {expected}")
    known = TASKS if variant == "plain" else TASKS[:1]
    if task not in known:
        expected = f"expected task {', '.join(known)}"
        raise BadInput.single("world scenes", f"has no labels for {task}; {expected}")
    return SceneSource(task, variant)


@lru_cache(maxsize=1024)
def render(key: str, zoom: int = 1) -> Scene:
    """Render the scene of a key, `zoom` times as large; the split in it decides the handwriting."""
    random, hands = random_of(key), pool(test=key.startswith("scenes/test/"))
    canvas = _Canvas(random, zoom * SIZE)
    for _ in range(random.randint(0, 4)):
        canvas.add(_stroke(random, zoom, (1, 4), (10, 60)), canvas.middle)
    digits, pieces, bars = (random.randint(*few) for few in ((2, 7), (0, 4), (0, 2)))
    kinds = ["digit"] * digits + ["piece"] * pieces + ["bar"] * bars
    random.shuffle(kinds)
    for kind in kinds:
        for _ in range(TRIES):
            if kind == "bar":
                added = canvas.add(_stroke(random, zoom, (2, 7), (20, 80)), canvas.middle)
            else:
                class_ = random.randint(10)
                alpha = _digit(random, hands[class_], zoom, whole=kind == "digit")
                row, column = random.randint(4 * zoom, (SIZE - 4) * zoom, 2).tolist()
                added = canvas.add(alpha, (row, column), class_ if kind == "digit" else None)
            if added:
                break
    image = noise(random, light(random, canvas.picture, 25), random.randint(2, 9))
    return Scene(image, canvas.owners, tuple(canvas.classes), tuple(_shares(canvas.owners, canvas.sizes)))


class _Canvas:
    """A scene at work: what is added covers what is there."""

    def __init__(self, random: RandomState, side: int) -> None:
        self.random = random
        self.middle = (side // 2, side // 2)
        self.ground = background(random, side, 3) * 130 // 255
        self.picture = self.ground.copy()
        self.owners = np.zeros((side, side), np.uint8)
        self.classes: list[int] = []
        self.sizes: list[int] = []
        """Pixels of each digit if all of it were seen."""

    def add(self, alpha: Ints, middle: tuple[int, int], class_: int | None = None) -> bool:
        """Paint something, of no class if it is no digit, unless too little of a digit would be seen."""
        box, part = box_of(alpha, middle, len(self.owners))
        owners, sizes = self.owners.copy(), self.sizes
        if class_ is not None:
            sizes = [*sizes, int(np.count_nonzero(alpha > OPAQUE // 2))]
        owners[box][part > OPAQUE // 2] = 0 if class_ is None else len(sizes)
        if any(100 * share < LEAST_SEEN for share in _shares(owners, sizes)):
            return False
        self.owners, self.sizes = owners, sizes
        self.classes += [] if class_ is None else [class_]
        mean = (self.ground[box] * part[:, :, np.newaxis]).sum(axis=(0, 1)) // max(1, int(part.sum()))
        paint(self.picture[box], part, lighter(self.random, mean, self.random.randint(70, 190)))
        return True


def _shares(owners: NDArray[np.uint8], sizes: list[int]) -> list[float]:
    """The share of each digit that is seen."""
    seen = np.bincount(owners.ravel(), minlength=len(sizes) + 1).tolist()
    return [n / size for n, size in zip(seen[1:], sizes, strict=True)]


def _stroke(random: RandomState, zoom: int, width: tuple[int, int], length: tuple[int, int]) -> Ints:
    """Alpha of a stroke anywhere in the scene; widths and lengths are those of a scene of `SIZE`."""
    (thin, thick), (short, long) = width, length
    return stroke(random, zoom * SIZE, (zoom * thin, zoom * thick), (zoom * short, zoom * long))


def _digit(random: RandomState, hands: tuple[int, ...], zoom: int, *, whole: bool) -> Ints:
    """Alpha of a digit, or of a round piece of one."""
    ink = handwriting()[0][hands[random.randint(len(hands))]]
    if not whole:
        down, right = (np.arange(SIDE) - middle for middle in random.randint(10, SIDE - 10, 2))
        ink = ink * (np.add.outer(down**2, right**2) < random.randint(5, 9) ** 2)
    return draw(
        ink,
        size=zoom * SIZES[0] * (SIZES[1] / SIZES[0]) ** random.uniform(),
        turn=random.uniform(-12, 12),
        shear=random.uniform(-0.15, 0.15),
        aspect=random.uniform(0.9, 1.1),
        threshold=random.randint(85, 125),
    )


def _objects(scene: Scene, *, masks: bool) -> Iterator[dict[str, Any]]:
    for number, class_ in enumerate(scene.classes, start=1):
        mask = scene.owners == number
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        object_ = {
            "category_id": class_ + 1,
            "bbox": [int(columns[0]), int(rows[0]), width, height],
            "area": int(mask.sum()) if masks else height * width,
            "iscrowd": 0,
        }
        if masks:
            object_["segmentation"] = {"size": [SIZE, SIZE], "counts": _runs(mask)}
        yield object_


def _runs(mask: NDArray[np.bool_]) -> list[int]:
    """COCO's run lengths: columns one after the other, the first run is of pixels outside the mask."""
    flat = np.concatenate([[False], mask.T.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    runs: list[int] = np.diff([0, *changes, mask.size]).tolist()
    return runs


def _index(named: Named) -> dict[str, Any]:
    images = [{"id": _image_id(name), "file_name": name, "height": SIZE, "width": SIZE} for name, _ in named]
    return {
        "images": images,
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)],
    }


def _image_id(name: str) -> int:
    """The number that ends the name of an image's file."""
    found = re.search(r"([0-9]+)\.png$", name)
    if found is None:
        raise BadInput.single(name, "ends in no number, which is COCO's id; expected such as img_17.png")
    return int(found[1])


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value) + "\n").encode()
