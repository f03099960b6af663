"""Clips of handwritten digits that move, turn, grow or go round; the action is the class.

One real digit (`worlds.digits`) acts, before clouds that drift and often beside a digit that hardly moves,
under a camera that shakes. Which digit it is, where, how large, and turned how, tells nothing of what it
does: all of that is drawn before the action is looked at. Played backwards, each action is another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from vipriors.data.images import encode_npy
from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput
from vipriors.worlds._compose import box_of, clouds, noise, paint
from vipriors.worlds._digits import Ints, draw, handwriting, pool, random_of

FRAMES = 16
SIZE = 48
"""Height and width of a frame in pixels."""
COUNTS = {"train": 60, "test": 30}
"""Clips of each action."""
BACKWARDS = {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "turn-clockwise": "turn-counter-clockwise",
    "turn-counter-clockwise": "turn-clockwise",
    "grow": "shrink",
    "shrink": "grow",
    "circle-clockwise": "circle-counter-clockwise",
    "circle-counter-clockwise": "circle-clockwise",
}
"""The actions, and what each of them is when it is played backwards."""
ACTIONS = tuple(BACKWARDS)
SHAKE = 1
"""Pixels that the camera is off at most, in any direction."""
REACH = 2 * (FRAMES - 1)
"""Pixels that the clouds drift in a clip at most."""


@dataclass(frozen=True)
class Pose:
    """Where a digit is in one frame.

    Attributes:
        row: of its middle, in pixels.
        column: the same.
        size: height in pixels.
        turn: degrees counter-clockwise.
    """

    row: float
    column: float
    size: float
    turn: float


@dataclass(frozen=True)
class Manner:
    """How an action is done: the pose at half time, and how much of each change there is."""

    middle: Pose
    way: float
    """Pixels that are gone, left, right, up or down."""
    angle: float
    """Degrees that are turned."""
    growth: float
    """Factor between the smallest and the largest size."""
    radius: float
    """Of the circle, in pixels."""
    arc: float
    """Degrees of the circle that are gone."""
    start: float
    """Degrees: where on the circle half time is."""


@dataclass(frozen=True)
class ClipSource:
    """The clips with their actions."""

    name: str = "clips"
    root: Path | None = None
    media: Literal["images", "clips"] = "clips"
    classes: tuple[str, ...] = ACTIONS
    names: tuple[str, ...] = ACTIONS
    samples: tuple[SourceSample, ...] = tuple(
        SourceSample(f"clips/{split}/{action}/{number}", label, split)
        for split, count in COUNTS.items()
        for label, action in enumerate(ACTIONS)
        for number in range(count)
    )

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        """The clip as an array `(16, 48, 48, 1)`."""
        return ".npy", encode_npy(render(sample.key))

    def annotations(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """`labels.txt`: in each row a clip and the number of its action, from 1 on."""
        yield "labels.txt", "".join(f"{name} {sample.label + 1}\n" for name, sample in named).encode()

    def test_index(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """Nothing: the clips say it all."""
        return iter(())


def clips(task: str) -> ClipSource:
    """The clips with labels for `actions`.

    Raises:
        BadInput: The task is another.
    """
    if task != "actions":
        raise BadInput.single("world clips", f"has no labels for {task}; expected task actions")
    return ClipSource()


def poses(action: str, manner: Manner) -> list[Pose]:
    """The pose in each frame; backwards they are those of the action `BACKWARDS[action]`."""
    return [_pose(action, manner, (2 * frame + 1 - FRAMES) / (2 * FRAMES - 2)) for frame in range(FRAMES)]


@lru_cache(maxsize=1024)
def render(key: str) -> NDArray[np.uint8]:
    """Render the clip of a key, `(16, 48, 48, 1)`; split and action are in it."""
    _, split, action, _ = key.split("/")
    random, hands = random_of(key), pool(test=split == "test")
    wide = SIZE + 2 * SHAKE
    ground, lightness, contrast = random.randint(40, 216), random.randint(8, 60), random.randint(45, 130)
    shade = ground + contrast if ground < 128 else ground - contrast
    sky = clouds(random, wide + 2 * REACH, 1, lightness)
    wind = random.randint(-2, 3, 2)
    threshold, grain = random.randint(80, 130), random.randint(3, 16)
    ink, other_ink = (_ink(random, hands) for _ in range(2))
    manner = _manner(random)
    other = _beside(random, manner.middle) if random.randint(4) else None
    other_shade, drift = shade + random.randint(-25, 26), random.uniform(-0.15, 0.15, 2)
    frames = []
    for number, pose in enumerate(poses(action, manner)):
        above, beside = REACH + number * wind
        picture = ground + sky[above : above + wide, beside : beside + wide]
        if other:
            gone = number * drift
            moved = replace(other, row=other.row + gone[0], column=other.column + gone[1])
            _lay(picture, other_ink, moved, threshold, other_shade)
        _lay(picture, ink, pose, threshold, shade)
        down, right = SHAKE + random.randint(-SHAKE, SHAKE + 1, 2)
        frames.append(picture[down : down + SIZE, right : right + SIZE])
    return noise(random, np.stack(frames), grain)


def _ink(random: RandomState, hands: tuple[tuple[int, ...], ...]) -> Ints:
    hand = hands[random.randint(10)]
    ink: Ints = handwriting()[0][hand[random.randint(len(hand))]]
    return ink


def _manner(random: RandomState) -> Manner:
    row, column = random.uniform(14, SIZE - 14, 2)
    size = 13 * 2 ** random.uniform()
    return Manner(
        middle=Pose(row, column, size, random.uniform(0, 360)),
        way=random.uniform(8, 18),
        angle=random.uniform(60, 200),
        growth=random.uniform(1.35, 2),
        radius=random.uniform(4, 8),
        arc=random.uniform(200, 420),
        start=random.uniform(0, 360),
    )


def _beside(random: RandomState, pose: Pose) -> Pose:
    """A pose some way off in any direction, perhaps outside the frame."""
    angle, distance = random.uniform(0, 2 * math.pi), random.uniform(15, 28)
    return Pose(
        pose.row + distance * math.sin(angle),
        pose.column + distance * math.cos(angle),
        random.uniform(12, 24),
        random.uniform(0, 360),
    )


def _pose(action: str, manner: Manner, time: float) -> Pose:
    """The pose at a time from -0.5 to 0.5."""
    row, column, size, turn = (getattr(manner.middle, name) for name in ("row", "column", "size", "turn"))
    match action:
        case "left" | "right":
            column += time * manner.way * (1 if action == "right" else -1)
        case "up" | "down":
            row += time * manner.way * (1 if action == "down" else -1)
        case "grow" | "shrink":
            size *= manner.growth ** (time if action == "grow" else -time)
        case "turn-clockwise" | "turn-counter-clockwise":
            turn += time * manner.angle * (1 if action == "turn-counter-clockwise" else -1)
        case _:
            sign = 1 if action == "circle-counter-clockwise" else -1
            angle = math.radians(manner.start + sign * time * manner.arc)
            row -= manner.radius * math.sin(angle)
            column += manner.radius * math.cos(angle)
    return Pose(row, column, size, turn)


def _lay(picture: Ints, ink: Ints, pose: Pose, threshold: int, shade: int) -> None:
    row, column = round(pose.row), round(pose.column)
    nudge = (pose.row - row, pose.column - column)
    alpha = draw(ink, pose.size, turn=pose.turn, threshold=threshold, nudge=nudge)
    box, part = box_of(alpha, (row + SHAKE, column + SHAKE), SIZE + 2 * SHAKE)
    paint(picture[box], part, np.array([shade]))
