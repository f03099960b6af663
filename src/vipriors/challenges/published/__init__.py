"""Lists of images that were published with a challenge; README.md says where they come from."""

from __future__ import annotations

import csv
import gzip
from functools import cache
from pathlib import Path

from vipriors.data.lists import Listed

ROOT = Path(__file__).parent

NAMES = ("imagenet50",)
"""What `subset.list` of a challenge file may name."""


@cache
def read_published(name: str) -> tuple[Listed, ...]:
    """The rows of a published list, in its order: 50,000 each of train, val and test for `imagenet50`."""
    learned = [
        Listed(split, f"{wnid}/{file}", file)
        for split in ("train", "val")
        for wnid, file in _table(f"{name}_{split}")
    ]
    tests = [Listed("test", file, f"img_{index}.JPEG") for index, _, file in _table(f"{name}_test")]
    return (*learned, *tests)


@cache
def imagenet_wnids() -> dict[str, str]:
    """The class of each of the 50,000 validation images of ILSVRC2012: WordNet id by file name."""
    return {file: wnid for _, wnid, file in _table("imagenet50_test")}


def _table(name: str) -> list[list[str]]:
    with gzip.open(ROOT / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]
