"""Two thirds of the handwritten digits as another device might show them: thick, soft, grey and cluttered.

The first third, as it is, is world `digits_first`; no digit is in both. The file that the digits come from is
said to be ordered by writer; that is not checked here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vipriors.data.sources import ArrayPart, ArraySource
from vipriors.problems import BadInput
from vipriors.worlds._compose import clouds, noise, paint, stroke
from vipriors.worlds._digits import Ints, pool, random_of
from vipriors.worlds.digits import digits
from vipriors.worlds.digits_first import FIRST

SIDE = 8


def digits_shifted(task: str = "classification") -> ArraySource:
    """The changed digits with a split to learn from and a test: images uint8 `(N, 8, 8, 1)`.

    Raises:
        BadInput: The task is another than classification.
    """
    if task != "classification":
        message = f"has no labels for {task}; expected task classification"
        raise BadInput.single("world digits_shifted", message)
    (part,) = digits().parts
    parts = []
    for split in ("train", "test"):
        hands = [digit for hands in pool(test=split == "test") for digit in hands if digit >= FIRST]
        numbers = np.array(sorted(hands))
        images = np.stack([shifted(part.images[number], int(number)) for number in numbers])
        parts.append(ArrayPart(split, split, images, part.labels[numbers]))
    return ArraySource("digits_shifted", tuple("0123456789"), parts)


def shifted(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A digit `(8, 8, 1)` under the shift; its number decides what is drawn at random.

    Strokes are thicker, edges soft, a stroke that means nothing lies over it, the paper is an uneven grey,
    and there is noise. The paper stays darker than the ink.
    """
    random = random_of(f"digits-shifted/{number}")
    ink = image.astype(np.int64)
    ink += (_most(ink) - ink) * random.randint(40, 71) // 100
    ink = (ink + _blurred(ink)) // 2
    paint(ink, stroke(random, SIDE, (1, 2), (4, 9)), np.array([random.randint(90, 161)]))
    paper = random.randint(10, 41) + clouds(random, SIDE, 1, 15)
    picture = paper + ink * (random.randint(190, 241) - paper) // 255
    return noise(random, picture.clip(0, 255), 8)


def _most(image: Ints) -> Ints:
    """The largest value among a pixel and its four neighbours."""
    wide = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    parts = (wide[1:-1, 1:-1], wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:])
    largest: Ints = np.maximum.reduce(parts)
    return largest


def _blurred(image: Ints) -> Ints:
    """The mean over `[1, 2, 1]` both ways."""
    wide = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    soft: Ints = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) // 16
    return soft
