"""`vipriors new`: a challenge from a person's own folder of labelled images."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.data.files import write_atomic
from vipriors.data.images import read_image
from vipriors.data.sources import detect_kind, open_source
from vipriors.data.sources.base import Source
from vipriors.problems import BadInput

LARGEST_SIZE = 96
"""Input size in pixels beyond which a network from scratch is slow on a CPU; `--size` overrules it."""

LOOKED_AT = 50
"""Images whose size and colour are looked at."""


@dataclass(frozen=True)
class NewChallenge:
    """What was made."""

    file: Path
    challenge: Challenge
    classes: tuple[str, ...]
    images: int


def new_challenge(
    name: str, images: Path, out: Path, *, size: int | None = None, test_share: float = 0.2, flip: bool = True
) -> NewChallenge:
    """Writes `out/challenge.yaml` for a folder of images with a folder for each class; the images stay.

    The input size is the median shorter side of the images, at most 96 px; the test is a share of the
    smallest class from each class, unless the images come with a `test` (or `val`) folder of their own.

    Args:
        name: Of the challenge.
        images: The folder.
        out: Where the challenge file goes.
        size: Input size in pixels, if not to be chosen.
        test_share: Share of the smallest class that becomes test images of each class.
        flip: Whether a mirrored image keeps its label.

    Raises:
        BadInput: The folder or the name cannot be used, or there is a challenge in `out` already.
    """
    file = out / "challenge.yaml"
    if file.exists():
        raise BadInput.single(file, "exists already; choose another --out")
    if not 0 < test_share < 1:
        raise BadInput.single("--test", f"{test_share} is no share; expected more than 0 and less than 1")
    kind = detect_kind(images)
    source = open_source(kind, images)
    height, width, channels = _look(source)
    side = size or min(LARGEST_SIZE, height, width)
    counts = Counter(sample.label for sample in source.samples if sample.split != "test")
    has_test = any(sample.split == "test" for sample in source.samples)
    smallest = min(counts.values(), default=0)
    subset: dict[str, object] = {"validation": 0.2}
    if not has_test:
        subset["test_per_class"] = max(1, round(test_share * smallest))
    content = {
        "name": name,
        "title": f"{name}: {len(source.classes)} classes, {len(source.samples)} images",
        "task": "classification",
        "source": {"kind": kind, "path": str(images.resolve())},
        "subset": subset,
        "input": {"size": [side, side], "channels": channels},
        "invariance": {"flip": flip, "shift": max(1, side // 8), "scale": 0.2},
        "baseline": "residual",
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    try:
        challenge = read_challenge(file)
    except BadInput:
        file.unlink()
        raise
    return NewChallenge(file, challenge, tuple(source.classes), len(source.samples))


def _look(source: Source) -> tuple[int, int, int]:
    """Median height and width, and the channels, of images spread evenly over the source."""
    step = max(1, len(source.samples) // LOOKED_AT)
    shapes = []
    for sample in source.samples[::step]:
        _, content = source.content(sample)
        try:
            shapes.append(read_image(content, name=sample.key).shape)
        except BadInput:
            continue  # preparing lists every image that cannot be read; here only sizes are wanted
    if not shapes:
        raise BadInput.single(source.name, "none of its images can be read")
    heights, widths, channels = zip(*shapes, strict=True)
    return int(statistics.median(heights)), int(statistics.median(widths)), max(channels)
