"""Two sources of the same classes as one: labels of the first, images and the test of the second."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vipriors.data.files import FilePart
from vipriors.data.sources.base import Source, SourceSample
from vipriors.data.subset import UNLABELLED
from vipriors.problems import BadInput


@dataclass(frozen=True, eq=False)
class TwoDomains:
    """A labelled source, of which all but a test split may be learned from, and a target with a test split.

    The target's other images are without labels to whoever learns. A key is `source/…` or `target/…`.

    Raises:
        BadInput: The classes differ, or the target has no test split of its own.
    """

    source: Source
    target: Source

    def __post_init__(self) -> None:
        """Check that they fit together."""
        own, other = list(self.source.classes), list(self.target.classes)
        if own != other:
            found = f"has classes {_few(other)}; expected {_few(own)}, as {self.source.name} has"
            raise BadInput.single(f"target {self.target.name}", found)
        if not any(sample.split == "test" for sample in self.target.samples):
            message = "has no test split of its own; expected one, and others to learn from"
            raise BadInput.single(f"target {self.target.name}", message)

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.source.name} and {self.target.name}"

    @property
    def root(self) -> Path | None:
        """Where the labelled source lies."""
        return self.source.root

    @property
    def classes(self) -> Sequence[str]:
        """Those of both."""
        return self.source.classes

    @cached_property
    def samples(self) -> Sequence[SourceSample]:
        """The source's images but its test, then the target's."""
        return [placed for placed, _, _ in self._placed.values()]

    def content(self, sample: SourceSample) -> tuple[str, bytes | Path | FilePart]:
        """The file of an image, as its own source has it."""
        _, source, original = self._placed[sample.key]
        return source.content(original)

    @cached_property
    def _placed(self) -> dict[str, tuple[SourceSample, Source, SourceSample]]:
        """By key: the image as this source has it, and whose it is as what."""
        found = {}
        for side, source in (("source", self.source), ("target", self.target)):
            for sample in source.samples:
                split = sample.split or "train"
                if side == "source" and split == "test":
                    continue
                if side == "target" and split != "test":
                    split = UNLABELLED
                key = f"{side}/{sample.key}"
                found[key] = dataclasses.replace(sample, key=key, split=split, id=None), source, sample
        return found


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
