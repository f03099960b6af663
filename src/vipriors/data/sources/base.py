"""What every source offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vipriors.data.files import FilePart


@dataclass(frozen=True, slots=True)
class SourceSample:
    """One labelled image of a source."""

    key: str
    """Names the image, the same for everyone who has the source: `train/ants/13035.jpg`, `train.npz#17`."""
    label: int
    """Index into the source's classes."""
    split: str | None
    """`train`, `val` or `test` where the source has splits of its own, else None."""


class Source(Protocol):
    """Labelled images, read and never changed."""

    @property
    def name(self) -> str:
        """What messages call the source."""

    @property
    def root(self) -> Path | None:
        """The folder or file that holds the source; None where it is on no disk."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes, in the order of the labels."""

    @property
    def samples(self) -> Sequence[SourceSample]:
        """Every labelled image; keys are unique."""

    def content(self, sample: SourceSample) -> tuple[str, bytes | Path | FilePart]:
        """The file of an image: its suffix (`.png`), and its bytes or where the untouched file lies."""
