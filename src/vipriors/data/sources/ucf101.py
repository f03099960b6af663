"""The kind `ucf101`: a person's copy of UCF101, unpacked as its owner packs it.

    UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi

Each of the 101 actions has 25 groups of clips, g01 to g25, that show the same people at the same place, and
each group 4 to 7 clips, c01 and so on without gaps. `ucf101_clips.csv` says how many: a fact of the data set,
counted in the lists of its owner's first split, whose test is the first seven groups.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from vipriors.data._video import load_av
from vipriors.data.sources._clips import file_sizes, labels_file
from vipriors.data.sources._maps import listed
from vipriors.data.sources.base import Named, NamedFiles, SourceSample
from vipriors.problems import BadInput, Problem

TEST_GROUPS = range(1, 8)
"""Groups that are the test of the owner's first split."""

FOLDERS = ("UCF-101", "UCF101", ".")
"""Where the folders of the actions may lie in what a person calls their copy."""

_FILE_NAMES = {"HandstandPushups": "HandStandPushups"}
"""The one action that its files spell otherwise than its folder."""


class Clip(NamedTuple):
    """One clip of UCF101."""

    action: str
    group: int
    take: int

    @property
    def key(self) -> str:
        """Its file below the folders of the actions, with `/`."""
        name = _FILE_NAMES.get(self.action, self.action)
        return f"{self.action}/v_{name}_g{self.group:02}_c{self.take:02}.avi"


@cache
def all_clips() -> tuple[Clip, ...]:
    """The 13,320 clips in the order of the owner's lists: by action, group and take."""
    table = Path(__file__).with_name("ucf101_clips.csv").read_text("utf-8")
    return tuple(
        Clip(row["class"], group, take)
        for row in csv.DictReader(table.splitlines())
        for group, takes in enumerate(row["clips"], start=1)
        for take in range(1, int(takes) + 1)
    )


@dataclass(frozen=True, eq=False)
class Ucf101Source:
    """The clips with their actions; splits are those of the owner's first. Keys: `Clip.key`."""

    name: str
    root: Path
    classes: Sequence[str]
    samples: Sequence[SourceSample]
    folder: Path
    """Where the folders of the actions lie."""
    media: Literal["images", "clips"] = "clips"

    @property
    def names(self) -> Sequence[str]:
        """The actions, number 1 first."""
        return self.classes

    def content(self, sample: SourceSample) -> tuple[str, Path]:
        """The untouched file."""
        return ".avi", self.folder / sample.key

    def annotations(self, named: Named) -> NamedFiles:
        """The numbers of the actions, `labels_file`."""
        yield labels_file(named)

    def test_index(self, named: Named) -> NamedFiles:
        """Nothing: the clips are all that there is to know."""
        return ()


def open_ucf101(path: Path, task: str, names: Sequence[str] | None = None) -> Ucf101Source:
    """Open a copy of UCF101.

    Args:
        path: the folder `UCF-101` that the owner's `UCF101.rar` unpacks to, or the one that it lies in.
        task: must be `actions`.
        names: the 101 actions in the order of their numbers; by default that of the owner.

    Raises:
        BadInput: another task, other names, clips that are missing or empty, or PyAV is not installed.
    """
    if task != "actions":
        raise BadInput.single(path, f"has no labels for task {task}; expected task actions")
    load_av(path)
    own = list(dict.fromkeys(clip.action for clip in all_clips()))
    folder, problems = _find(path, own)
    if names is not None and sorted(names) != sorted(own):
        found = f"found {len(names)} names, {len(set(names) & set(own))} of them known"
        problems.append(Problem("names of classes", f"{found}; expected the {len(own)} actions, each once"))
    if problems:
        raise BadInput(problems)
    classes = list(names or own)
    labels = {name: label for label, name in enumerate(classes)}
    samples = [
        SourceSample(clip.key, labels[clip.action], "test" if clip.group in TEST_GROUPS else "train")
        for clip in all_clips()
    ]
    return Ucf101Source(str(path), path, classes, samples, folder)


def _find(path: Path, actions: Sequence[str]) -> tuple[Path, list[Problem]]:
    """Where the folders of the actions lie, and what is to be said of clips that are missing or empty."""
    expected = "the folder UCF-101 that UCF101.rar unpacks to"
    folders = [path / name for name in FOLDERS]
    folder = next((top for top in folders if any((top / action).is_dir() for action in actions)), None)
    if folder is None:
        packed = path.is_file() or any(path.glob("*.rar"))
        found = "is not unpacked: unpack it (`unrar x UCF101.rar`)" if packed else "holds no clip of UCF101"
        return path, [Problem(str(path), f"{found}; expected {expected}")]
    sizes = {action: file_sizes(folder / action) for action in actions}
    absent = [clip.key for clip in all_clips() if not sizes[clip.action].get(clip.key.partition("/")[2])]
    what = f"of the {len(all_clips())} clips of UCF101, or has them empty"
    return folder, listed(folder, "lacks", absent, what, f"{expected}, whole")
