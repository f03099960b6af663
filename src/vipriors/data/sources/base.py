"""What every source offers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from vipriors.data.files import FilePart

Media = Literal["images", "clips", "points", "maps"]
"""What the files of a data set are; also the name of their folder."""


@dataclass(frozen=True, slots=True)
class SourceSample:
    """One labelled image of a source."""

    key: str
    """Names the image, the same for everyone who has the source: `train/ants/13035.jpg`, `train.npz#17`."""
    label: int
    """Index into the source's classes."""
    split: str | None
    """`train`, `val` or `test` where the source has splits of its own, else None."""
    id: str | None = None
    """What it is called in every subset, where that was published: letters, digits, `_.-`, as a file name."""


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


Named = Sequence[tuple[str, SourceSample]]
"""Images with the names of their files in a prepared folder: `("img_17.png", sample)`."""

NamedFiles = Iterable[tuple[str, bytes]]
"""Files by their path below a folder."""


@runtime_checkable
class OfMedia(Protocol):
    """A source whose files may be something else than images."""

    @property
    def media(self) -> Media:
        """What the files are."""


@runtime_checkable
class Noted(Protocol):
    """A source that leaves something out of what its files say."""

    @property
    def notes(self) -> Sequence[str]:
        """What a person should be told of it, a sentence each."""


@runtime_checkable
class AnnotatedSource(Source, Protocol):
    """A source whose labels are more than a class: maps, boxes, masks, persons; or whose files are clips.

    `classes` and a sample's `label` are the groups a subset is drawn from evenly: all images may be in one.
    """

    @property
    def media(self) -> Media:
        """What the files are."""

    @property
    def names(self) -> Sequence[str]:
        """Names of what is told apart: the classes that a prediction may give."""

    def annotations(self, named: Named) -> NamedFiles:
        """The labels of some images of one split, in the form in which their task reads labels.

        Either one file `labels.<suffix>`, or for maps one PNG for each image.
        """

    def test_index(self, named: Named) -> NamedFiles:
        """What a participant must know of the test beside its images, without labels; perhaps nothing."""
