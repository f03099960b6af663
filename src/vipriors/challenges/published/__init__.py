"""Lists of images that were published with a challenge; README.md says where they come from."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from vipriors.data.lists import Listed
from vipriors.data.sources.ucf101 import TEST_GROUPS, all_clips

ROOT = Path(__file__).parent

NAMES = ("imagenet50", "minicity", "ucf101")
"""What `subset.list` of a challenge file may name."""


@cache
def read_published(name: str) -> tuple[Listed, ...]:
    """The rows of a published list, in its order.

    `imagenet50` has 50,000 each of train, val and test; `minicity` has 200, 100 and 200; `ucf101` has 4,795,
    4,742 and 3,783.
    """
    return {"imagenet50": _imagenet50, "minicity": _minicity, "ucf101": _ucf101}[name]()


@cache
def imagenet_wnids() -> dict[str, str]:
    """The class of each of the 50,000 validation images of ILSVRC2012: WordNet id by file name."""
    return {file: wnid for _, wnid, file in _table("imagenet50_test")}


def _imagenet50() -> tuple[Listed, ...]:
    learned = [
        Listed(split, f"{wnid}/{file}", file)
        for split in ("train", "val")
        for wnid, file in _table(f"imagenet50_{split}")
    ]
    tests = [Listed("test", file, f"img_{index}.JPEG") for index, _, file in _table("imagenet50_test")]
    return (*learned, *tests)


def _minicity() -> tuple[Listed, ...]:
    """Training and validation images come from Cityscapes' train, test images from its val."""
    learned = [
        Listed(split, f"train/{file}", file.rpartition("/")[2])
        for split in ("train", "val")
        for (file,) in _table(f"minicity_{split}")
    ]
    tests = [Listed("test", f"val/{file}", f"{number}.png") for file, number in _table("minicity_test")]
    return (*learned, *tests)


def _ucf101() -> tuple[Listed, ...]:
    """What the organizers' script made of UCF101: halves of each action's training clips, and its test clips.

    Clips are numbered by action, group and take. They are listed by take, so that the first few of an action
    come from as many groups: clips of one group are nearly the same.
    """
    numbered: Counter[str] = Counter()
    rows: list[tuple[int, Listed]] = []
    for _, clips_of_action in groupby(all_clips(), key=lambda clip: clip.action):
        clips = list(clips_of_action)
        learned = [clip for clip in clips if clip.group not in TEST_GROUPS]
        tests = [clip for clip in clips if clip.group in TEST_GROUPS]
        half = (len(learned) + 1) // 2
        for split, word, part in (
            ("train", "train", learned[:half]),
            ("val", "validation", learned[half:]),
            ("test", "test", tests),
        ):
            for clip in part:
                numbered[split] += 1
                rows.append((clip.take, Listed(split, clip.key, f"video_{word}_{numbered[split]:07}.avi")))
    return tuple(row for _, row in sorted(rows, key=itemgetter(0)))


def _table(name: str) -> list[list[str]]:
    with gzip.open(ROOT / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]
