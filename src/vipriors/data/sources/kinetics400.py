"""The kind `kinetics400`: a person's copy of Kinetics400ViPriors, unpacked as the organizers packed it.

    train/tJqYfKFXXD.mp4                                 as val/ and test/
    annotations/kinetics400ViPriors-train.csv            label,videoid,split, as …-val.csv
    annotations/kinetics400ViPriors-test-public.csv      videoid,split
    annotations/clsIdx.csv                               label,idx: numbers of the classes, from 1 on
    annotations/kinetics400ViPriors_corrupted_videos.txt which clips are damaged as they were handed out

The tables may also lie beside `train/`, or be called `train.csv`, `val.csv` and `test.csv`. A test table with
a `label` column gives the test its labels. Clips go by their published ids, which have no suffix.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from vipriors.data._video import load_av
from vipriors.data.files import read_bytes
from vipriors.data.sources._clips import file_sizes, labels_file
from vipriors.data.sources._maps import listed
from vipriors.data.sources.base import Named, NamedFiles, SourceSample
from vipriors.problems import BadInput, Problem

SPLITS = ("train", "val", "test")

DAMAGED = "kinetics400ViPriors_corrupted_videos.txt"
"""The organizers' list of damaged clips; they did not score them."""
DAMAGED_SHA256 = "2929f84b268fbecb90b8e3a502e0859f1da73534150ffe57aab6880e2003de72"
"""Of the 323 ids on it (193 train, 38 val, 92 test), sorted, with line feeds between."""

EXCLUDE = "exclude.txt"
"""A person's own list of training and validation clips to leave out, an id a line."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, eq=False)
class Kinetics400Source:
    """The clips with their actions, in the organizers' splits. Keys: `train/tJqYfKFXXD.mp4`."""

    name: str
    root: Path
    classes: Sequence[str]
    samples: Sequence[SourceSample]
    labelled: frozenset[str]
    """Splits whose labels are known; in the others `SourceSample.label` says nothing."""
    media: Literal["images", "clips"] = "clips"

    @property
    def names(self) -> Sequence[str]:
        """The actions, number 1 first."""
        return self.classes

    def content(self, sample: SourceSample) -> tuple[str, Path]:
        """The untouched file; its name in a subset is the id as it stands in published submissions."""
        return "", self.root / sample.key

    def annotations(self, named: Named) -> NamedFiles:
        """The numbers of the actions, `labels_file`; nothing where the labels are not known."""
        if all(sample.split in self.labelled for _, sample in named):
            yield labels_file(named)

    def test_index(self, named: Named) -> NamedFiles:
        """Nothing: the clips are all that there is to know."""
        return ()


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a table: a clip."""

    number: int
    id: str
    label: str | None


@dataclass(frozen=True, slots=True)
class _Table:
    """The clips of one split."""

    split: str
    file: Path
    labelled: bool
    rows: Sequence[_Row]


def open_kinetics400(root: Path, task: str, names: Sequence[str] | None = None) -> Kinetics400Source:
    """Open a copy of Kinetics400ViPriors.

    Args:
        root: the folder that holds `train/`, `val/` and `test/`.
        task: must be `actions`.
        names: the actions in the order of their numbers; by default as `clsIdx.csv` numbers them or, without
            it, those of the training table, alphabetical.

    Raises:
        BadInput: another task, tables that are missing or damaged, clips that are missing or empty and are
            not left out, or PyAV is not installed.
    """
    if task != "actions":
        raise BadInput.single(root, f"has no labels for task {task}; expected task actions")
    if not root.is_dir():
        raise BadInput.single(root, "is a file; expected the folder that holds train, val and test")
    load_av(root)
    tables = _read_tables(root)
    learned = {row.label for row in tables[0].rows if row.label}
    classes = list(names or _numbered(root) or sorted(learned))
    excluded, problems = _excluded(root, tables)
    for table in tables:
        problems += _faults(table, classes)
        problems += _lacking(root / table.split, [row.id for row in table.rows if row.id not in excluded])
    problems += _repeated(tables)
    if problems:
        raise BadInput(problems)
    labels = {name: label for label, name in enumerate(classes)}
    samples = [
        SourceSample(f"{table.split}/{row.id}.mp4", labels.get(row.label or "", 0), table.split, row.id)
        for table in tables
        for row in table.rows
        if row.id not in excluded
    ]
    labelled = frozenset(table.split for table in tables if table.labelled)
    return Kinetics400Source(str(root), root, classes, samples, labelled)


def _read_tables(root: Path) -> list[_Table]:
    tables: list[_Table] = []
    problems: list[Problem] = []
    for split in SPLITS:
        try:
            tables.append(_read_table(root, split))
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)
    return tables


def _read_table(root: Path, split: str) -> _Table:
    headers = [["label", "videoid", "split"], ["label", "videoid"]]
    file_names = [f"{split}.csv", f"kinetics400ViPriors-{split}.csv"]
    if split == "test":
        headers += [["videoid", "split"], ["videoid"]]
        file_names.append("kinetics400ViPriors-test-public.csv")
    file = _find(root, *file_names)
    if file is None:
        expected = f"{file_names[0]}, or annotations/{file_names[-1]}"
        raise BadInput.single(root, f"has no table of the {split} clips; expected {expected}")
    header, *rows = _csv(file)
    if header not in headers:
        expected = " or ".join(",".join(known) for known in headers)
        raise BadInput.single(f"{file}, row 1", f"header is {','.join(header)!r}; expected {expected}")
    unfit = [f"row {number}" for number, row in enumerate(rows, start=2) if len(row) != len(header)]
    if unfit:
        expected = f"{len(header)} values, {','.join(header)}"
        raise BadInput(listed(file, "has", unfit, "rows of another length", expected))
    column, labelled = header.index("videoid"), "label" in header
    clips = [_Row(n, row[column], row[0] if labelled else None) for n, row in enumerate(rows, start=2)]
    return _Table(split, file, labelled, clips)


def _find(root: Path, *file_names: str) -> Path | None:
    places = [folder / name for name in file_names for folder in (root, root / "annotations")]
    return next((place for place in places if place.is_file()), None)


def _csv(file: Path) -> list[list[str]]:
    """The rows of a CSV file, at least one."""
    try:
        rows = list(csv.reader(io.StringIO(read_bytes(file).decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput.single(file, f"is not a CSV file in UTF-8: {error}") from None
    return rows or [[]]


def _numbered(root: Path) -> list[str] | None:
    """The actions in the order of their numbers in `clsIdx.csv`; None without that file."""
    file = _find(root, "clsIdx.csv")
    if file is None:
        return None
    header, *rows = _csv(file)
    numbers = {row[1]: row[0] for row in rows if len(row) == 2}
    wanted = [str(number) for number in range(1, len(rows) + 1)]
    if header != ["label", "idx"] or numbers.keys() != set(wanted) or len(set(numbers.values())) < len(rows):
        expected = "the header label,idx, and each action once with the numbers from 1 on"
        raise BadInput.single(file, f"does not number the actions; expected {expected}")
    return [numbers[number] for number in wanted]


def _excluded(root: Path, tables: Sequence[_Table]) -> tuple[set[str], list[Problem]]:
    """Clips to leave out. Only the organizers' own list may name test clips: the same are scored for all."""
    excluded: set[str] = set()
    problems: list[Problem] = []
    splits = {row.id: table.split for table in tables for row in table.rows}
    for file in (_find(root, DAMAGED), _find(root, EXCLUDE)):
        if file is None:
            continue
        lines = read_bytes(file).decode("utf-8", "replace").split("\n")
        ids = [PurePosixPath(line.strip()).stem for line in lines if line.strip()]  # It holds paths.
        unknown = [id for id in ids if id not in splits]
        problems += listed(file, "names", unknown, "unknown clips", "ids of the tables")
        if hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest() != DAMAGED_SHA256:
            tests = [id for id in ids if splits.get(id) == "test"]
            expected = f"training and validation clips alone, or the organizers' {DAMAGED} unchanged"
            problems += listed(file, "names", tests, "test clips", expected)
        excluded |= set(ids)
    return excluded, problems


def _faults(table: _Table, classes: Sequence[str]) -> list[Problem]:
    """What is wrong with single rows, a kind in one problem."""
    known = {None, *classes}
    strange = [f"{row.label!r} in row {row.number}" for row in table.rows if row.label not in known]
    unusable = [f"{row.id!r} in row {row.number}" for row in table.rows if not _ID.fullmatch(row.id)]
    problems = listed(table.file, "has", strange, "unknown labels", f"one of {len(classes)} actions")
    problems += listed(table.file, "has", unusable, "ids that are no file names", "letters, digits, _ and -")
    if not table.rows:
        problems.append(Problem(str(table.file), "names no clip; expected a row for each"))
    return problems


def _repeated(tables: Sequence[_Table]) -> list[Problem]:
    """Ids meet on file systems that ignore case."""
    first: dict[str, str] = {}
    problems: list[Problem] = []
    for table in tables:
        places = [(row.id, f"row {row.number} of {table.split}") for row in table.rows]
        twice = [
            f"{id} in {place} and {first[id.casefold()]}"
            for id, place in places
            if first.setdefault(id.casefold(), place) != place
        ]
        problems += listed(table.file, "has", twice, "ids that are there already", "each once")
    return problems


def _lacking(folder: Path, ids: Sequence[str]) -> list[Problem]:
    sizes = file_sizes(folder)
    absent = [f"{id}.mp4" for id in ids if not sizes.get(f"{id}.mp4")]
    what = f"of the {len(ids)} clips of its table, or has them empty"
    expected = (
        f"Kinetics400ViPriors.tar.gz unpacked whole, or {EXCLUDE} to name training and validation clips"
    )
    return listed(folder, "lacks", absent, what, expected)
