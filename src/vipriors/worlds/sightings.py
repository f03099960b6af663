"""Sightings of handwritten digits by two cameras: who is who, where a person is one digit of one hand.

A person is one real digit (`worlds.digits`) written with one pen. It is seen several times: turned, slanted,
larger or smaller, partly covered, on other paper, in other light, and by cameras that differ in tint,
brightness and sharpness. Many persons are the same numeral in the same ink, so that neither is enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from vipriors.data.images import encode_png
from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput
from vipriors.worlds._compose import background, box_of, contrasting, light, noise, paint, stroke
from vipriors.worlds._digits import OPAQUE, Ints, draw, handwriting, pool, random_of

SIZE = 48
"""Height and width of a sighting in pixels."""
PERSONS = {"train": 12, "val": 4, "test": 10}
"""Persons of each of the ten numerals."""
STRANGERS = {"val": 1, "test": 5}
"""Persons of each numeral that are in the gallery alone."""
LEAST_SEEN = 65
"""Percent of a digit that no bar covers at least."""
INKS = ((30, 30, 36), (28, 44, 140), (150, 34, 40), (30, 110, 60), (120, 70, 28))
"""Colours of the pens, some red, green and blue of 255."""
_SIGHTINGS = {
    "seen": ("a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"),
    "query": ("a0",),
    "gallery": ("a1", "a2", "b0", "b1", "b2"),
    "stranger": ("a1", "b0", "b1"),
}
"""What there is of a person in each role: the camera, and a number."""


@dataclass(frozen=True)
class SightingSource:
    """The sightings with their persons and cameras, in an order that does not tell who it is."""

    samples: tuple[SourceSample, ...]
    name: str = "sightings"
    root: Path | None = None
    media: Literal["images", "clips"] = "images"
    classes: tuple[str, ...] = ("image",)
    names: tuple[str, ...] = ("person",)

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        """The sighting as a PNG."""
        return ".png", encode_png(render(sample.key))

    def annotations(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """`labels.csv`: id, person and camera; for validation and test first whether query or gallery."""
        rows = [(name, *sample.key.split("/")[2:]) for name, sample in named]
        if named and named[0][1].split == "train":
            lines = [f"{name},{person},{sight[0]}" for name, person, _, sight in rows]
            yield "labels.csv", _csv("id,person,camera", lines)
        else:
            lines = [f"{_split(role)},{name},{person},{sight[0]}" for name, person, role, sight in rows]
            yield "labels.csv", _csv("split,id,person,camera", lines)

    def test_index(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """`roles.csv`: whether each image is a query or of the gallery."""
        lines = [f"{_split(sample.key.split('/')[3])},{name}" for name, sample in named]
        yield "roles.csv", _csv("split,id", lines)


def sightings(task: str) -> SightingSource:
    """The sightings with labels for `reid`.

    Raises:
        BadInput: The task is another.
    """
    if task != "reid":
        raise BadInput.single("world sightings", f"has no labels for {task}; expected task reid")
    return SightingSource(tuple(SourceSample(key, 0, key.split("/")[1]) for key in _keys()))


def _keys() -> list[str]:
    """`sightings/SPLIT/PERSON/ROLE/SIGHT` of all; a person's number is that of the digit it is."""
    keys = []
    for split, count in PERSONS.items():
        for hands in pool(test=split == "test"):
            first = PERSONS["train"] if split == "val" else 0
            persons = hands[first : first + count]
            strangers = hands[first + count : first + count + STRANGERS.get(split, 0)]
            roles = ("seen",) if split == "train" else ("query", "gallery")
            cast = [(person, role) for person in persons for role in roles]
            cast += [(person, "stranger") for person in strangers]
            keys += [
                f"sightings/{split}/{person}/{role}/{sight}"
                for person, role in cast
                for sight in _SIGHTINGS[role]
            ]
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())


@lru_cache(maxsize=2048)
def render(key: str) -> NDArray[np.uint8]:
    """Render the sighting of a key, `(48, 48, 3)`."""
    _, _, person, _, sight = key.split("/")
    pen, random = random_of(f"pen/{person}"), random_of(key)
    colour, threshold = np.array(INKS[pen.randint(len(INKS))]), pen.randint(75, 131)
    picture = 110 + background(random, SIZE, 3) * 145 // 255
    for _ in range(random.randint(0, 4)):
        _strike(random, picture, stroke(random, SIZE, (1, 3), (8, 40)))
    alpha = draw(
        handwriting()[0][int(person)],
        random.uniform(25, 38),
        turn=random.uniform(-20, 20),
        shear=random.uniform(-0.2, 0.2),
        aspect=random.uniform(0.9, 1.1),
        threshold=threshold + random.randint(-8, 9),
    )
    row, column = random.randint(SIZE // 2 - 5, SIZE // 2 + 6, 2)
    box, part = box_of(alpha, (row, column), SIZE)
    paint(picture[box], part * random.randint(60, 101) // 100, colour)
    bar = stroke(random, SIZE, (3, 7), (20, 60))
    covered = np.count_nonzero((bar[box] > OPAQUE // 2) & (part > OPAQUE // 2))
    if covered * 100 <= (100 - LEAST_SEEN) * np.count_nonzero(part > OPAQUE // 2):
        _strike(random, picture, bar)
    return noise(random, _through(sight[0], light(random, picture, 30)), random.randint(2, 9))


def _strike(random: RandomState, picture: Ints, alpha: Ints) -> None:
    mean = picture.mean(axis=(0, 1)).astype(np.int64)
    paint(picture, alpha, contrasting(random, mean, random.randint(30, 120)))


def _through(camera: str, picture: Ints) -> Ints:
    """What a camera makes of a picture: `a` is warm and bright, `b` is cold, dark and not sharp."""
    seen: Ints
    if camera == "a":
        seen = picture * np.array([100, 94, 84]) // 100 + 10
    else:
        wide = np.pad(picture, ((1, 1), (1, 1), (0, 0)), "edge")
        rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
        soft = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) // 16
        seen = soft * (soft + 255) * np.array([84, 93, 100]) // (2 * 255 * 100)
    return seen.clip(0, 255)


def _split(role: str) -> str:
    return "query" if role == "query" else "gallery"


def _csv(header: str, lines: list[str]) -> bytes:
    return "\n".join([header, *lines, ""]).encode()
