"""A prepared folder: what is where, and reading it back.

OUT/dataset.json                 what the data set is; written last, so it means that all is there
OUT/manifest.csv                 one row for every image, with its class
OUT/images/{train,val,test}/ID   the images, or clips/…, points/…, maps/…
OUT/labels/test.csv              the only place of the test labels; not handed to participants
OUT/labels/test_sources.csv      which image of the source each test image is
OUT/labels/SHA256SUMS            of all other files in labels

Where images without labels may be learned from:

OUT/images/unlabelled/ID         these images; their manifest rows have neither class nor source
OUT/labels/unlabelled_sources.csv  which image of the source each is

Where labels are more than a class (maps, boxes, masks, persons):

OUT/annotations/{train,val}/     the labels of these images: labels.json, or a PNG for each image, …
OUT/annotations/test/            what must be known of the test beside its images; often nothing
OUT/annotations/SHA256SUMS       of all of these
OUT/labels/test/                 the test labels, in place of labels/test.csv
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vipriors.data.files import sha256_file
from vipriors.data.manifest import Row, read_manifest
from vipriors.data.sources.base import Media
from vipriors.problems import BadInput, Problem

DATASET = "dataset.json"
MANIFEST = "manifest.csv"
UNFINISHED = ".preparing.json"
ANNOTATIONS = "annotations"
LABELS = "labels"
TEST_LABELS = f"{LABELS}/test.csv"
HASHES = "SHA256SUMS"


class Dataset(BaseModel):
    """What `dataset.json` says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    challenge: str
    media: Media = "images"
    classes: list[str]
    channels: int = Field(ge=1)
    rule: dict[str, Any]
    """How the subset was cut: a `SubsetRule`'s fields, or the length and hash of a list and its part."""
    counts: dict[str, int]
    """Images of each split."""
    cut_sha256: str
    """Hash of everything that decides which images are where; the same cut gives the same hash."""
    manifest_sha256: str
    annotations_sha256: str | None = None
    """Hash of `annotations/SHA256SUMS`; None where the manifest's classes are all there is to know."""


@dataclass(frozen=True)
class Prepared:
    """A prepared data set."""

    root: Path
    dataset: Dataset
    rows: list[Row]

    def split(self, name: str) -> list[Row]:
        """The rows of `train`, `val`, `test` or `unlabelled`."""
        return [row for row in self.rows if row.split == name]

    def labels_of(self, split: str) -> Path | None:
        """Where the labels of a split lie, as its task reads them: a file, or a folder of maps.

        None where they are not at hand, or are all in the manifest.
        """
        folder = self.root / (LABELS if split == "test" else ANNOTATIONS) / split
        if split == "test" and (self.root / TEST_LABELS).is_file():
            return self.root / TEST_LABELS
        if not folder.is_dir():
            return None
        return next(folder.glob("labels.*"), folder)


def read_prepared(out: Path) -> Prepared:
    """Read a prepared folder's description and manifest (`verify` looks at the images too).

    Raises:
        BadInput: no prepared folder, not finished, or changed since.
    """
    dataset = read_dataset(out)
    rows = read_manifest(out / MANIFEST)
    problems = mismatches(out, dataset, rows)
    if problems:
        raise BadInput(problems)
    return Prepared(out, dataset, rows)


def read_dataset(out: Path) -> Dataset:
    """Read `dataset.json` of a prepared folder."""
    path = out / DATASET
    if not path.is_file():
        if (out / UNFINISHED).exists():
            message = "preparing it was interrupted; run `vipriors data prepare` again to go on"
        elif out.is_dir():
            message = f"is no prepared folder: it has no {DATASET}; make one with `vipriors data prepare`"
        else:
            message = "does not exist; make it with `vipriors data prepare`"
        raise BadInput.single(out, message)
    try:
        return Dataset.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        problems = [
            Problem(f"{path}, {'.'.join(map(str, fault['loc'])) or 'top'}", fault["msg"])
            for fault in error.errors()
        ]
        raise BadInput(problems) from None
    except OSError as error:
        raise BadInput.single(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput.single(path, f"is not JSON: {error}") from None


def mismatches(out: Path, dataset: Dataset, rows: list[Row]) -> list[Problem]:
    """Where a manifest is not the one that `dataset.json` speaks of."""
    path = out / MANIFEST
    for file, expected in (
        (path, dataset.manifest_sha256),
        (out / ANNOTATIONS / HASHES, dataset.annotations_sha256),
    ):
        if expected and not file.is_file():
            return [Problem(str(file), "is missing")]
        if expected and sha256_file(file) != expected:
            return [Problem(str(file), f"has changed: its SHA-256 is not the one in {DATASET}")]
    last = len(dataset.classes) - 1
    return [
        Problem(f"{path}, row {number}", f"class {row.label} is out of range; expected 0 to {last}")
        for number, row in enumerate(rows, start=2)
        if row.label is not None and row.label > last
    ]
