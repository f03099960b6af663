"""Puts the images of a subset where a prepared folder has them: loose, linked, or packed into tar files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vipriors.data import files
from vipriors.data.clips import check_clip
from vipriors.data.files import FilePart, Progress, map_all, os_errors, temporary_name, write_atomic
from vipriors.data.images import read_image
from vipriors.data.manifest import Row
from vipriors.data.maps import read_map
from vipriors.data.packed import Packer, members
from vipriors.data.points import read_points
from vipriors.data.sources.base import AnnotatedSource, Media, OfMedia, Source
from vipriors.data.subset import HIDDEN, SPLITS, UNLABELLED, Pick
from vipriors.problems import BadInput, Problem

Mode = Literal["copy", "link", "pack"]

AT_ONCE = 256
"""Images that are read before they are packed."""


def file_name(pick: Pick, suffix: str) -> str:
    """The name of an image's file, which is its id in the prepared folder."""
    return pick.id if pick.id.lower().endswith(suffix) else pick.id + suffix


@dataclass(frozen=True)
class Kind:
    """What is asked of a source once for all of its files: looking it up costs as much as a small image."""

    media: Media
    """Names the folder of the files after what they are."""
    in_one_group: bool
    """All samples have one label, which says nothing; what is told apart is annotated."""


def kind_of(source: Source) -> Kind:
    """The kind of a source's files."""
    media = source.media if isinstance(source, OfMedia) else "images"
    return Kind(media, isinstance(source, AnnotatedSource) and len(source.classes) == 1)


def plan(source: Source, picks: Sequence[Pick], out: Path, mode: Mode) -> tuple[list[str], int]:
    """The path of each image in `out`, and the bytes on the disk that they still need in all.

    Raises:
        BadInput: loose images are there and are now to be packed, or the reverse.
    """
    kind = kind_of(source)
    folder = out / kind.media
    tars = sorted(folder.glob("*.tar"))
    if mode == "pack" and any((folder / split).is_dir() for split in (*SPLITS, UNLABELLED)):
        raise BadInput.single(folder, "holds loose images; go on without packing, or choose another folder")
    if mode != "pack" and tars:
        raise BadInput.single(folder, "holds packed images; go on with mode pack, or choose another folder")

    def needed(pick: Pick) -> tuple[str, int]:
        suffix, content = source.content(pick.sample)
        path = _path(kind, pick, suffix)
        if (out / path).exists() or (mode == "link" and isinstance(content, Path)):
            return path, 0
        size = len(content) if isinstance(content, bytes) else _size(content)
        return path, -(-size // files.BLOCK) * files.BLOCK

    paths = map_all(needed, picks)
    held = sum(tar.stat().st_size for tar in tars)
    return [path for path, _ in paths], max(0, sum(size for _, size in paths) - held)


def place(
    source: Source,
    picks: Sequence[Pick],
    out: Path,
    *,
    channels: int,
    mode: Mode,
    progress: Progress | None = None,
) -> list[Row]:
    """Put every image in its place unless it is there already; only what decodes gets there.

    Args:
        source: where the images come from.
        picks: which.
        out: the prepared folder.
        channels: that they must be readable with.
        mode: how.
        progress: called with (images done, images in all).

    Raises:
        BadInput: with every image that cannot be used.
    """
    kind = kind_of(source)
    if mode == "pack":
        return _pack(source, kind, picks, out, channels, progress)
    for split in {pick.split for pick in picks}:
        (out / kind.media / split).mkdir(parents=True, exist_ok=True)

    def place_one(pick: Pick) -> Row:
        suffix, content = source.content(pick.sample)
        data = content if isinstance(content, bytes) else content.read_bytes()
        target = out / _path(kind, pick, suffix)
        if not target.exists() or target.stat().st_size != len(data) or target.read_bytes() != data:
            _check_decodes(source, kind, pick, data, channels)
            with os_errors(target):
                if mode == "copy" or not isinstance(content, Path) or not _link(content, target):
                    write_atomic(target, data)
        return _row(kind, pick, suffix, data)

    return map_all(place_one, picks, progress)


def _pack(
    source: Source, kind: Kind, picks: Sequence[Pick], out: Path, channels: int, progress: Progress | None
) -> list[Row]:
    """Write a tar file for each split; after a problem only look for more of them."""
    (out / kind.media).mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    problems: list[Problem] = []
    for split in dict.fromkeys(pick.split for pick in picks):
        mine = [pick for pick in picks if pick.split == split]
        tar = out / kind.media / f"{split}.tar"
        known = members(tar)

        def check(pick: Pick, known: Mapping[str, FilePart] = known) -> tuple[Row, bytes]:
            suffix, content = source.content(pick.sample)
            data = content if isinstance(content, bytes) else content.read_bytes()
            part = known.get(file_name(pick, suffix))
            if part is None or part.size != len(data) or part.read_bytes() != data:
                _check_decodes(source, kind, pick, data, channels)
            return _row(kind, pick, suffix, data), data

        with Packer(tar) as packer:
            for start in range(0, len(mine), AT_ONCE):
                try:
                    checked = map_all(check, mine[start : start + AT_ONCE])
                except BadInput as error:
                    problems += error.problems
                    continue
                if not problems:
                    packer.add((row.id, data) for row, data in checked)
                rows += [row for row, _ in checked]
                if progress:
                    progress(len(rows), len(picks))
    if problems:
        raise BadInput(problems)
    return rows


def _path(kind: Kind, pick: Pick, suffix: str) -> str:
    return f"{kind.media}/{pick.split}/{file_name(pick, suffix)}"


def _row(kind: Kind, pick: Pick, suffix: str, data: bytes) -> Row:
    hidden = pick.split in HIDDEN
    return Row(
        id=file_name(pick, suffix),
        split=pick.split,
        label=None if hidden or kind.in_one_group else pick.sample.label,
        file=_path(kind, pick, suffix),
        source="" if hidden else pick.sample.key,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _check_decodes(source: Source, kind: Kind, pick: Pick, data: bytes, channels: int) -> None:
    name = f"{source.name}, {pick.sample.key}"
    match kind.media:
        case "images":
            read_image(data, channels=channels, name=name)
        case "clips":
            check_clip(data, channels=channels, name=name)
        case "points":
            read_points(data, channels=channels, name=name)
        case "maps":
            read_map(data, channels=channels, name=name)


def _size(content: Path | FilePart) -> int:
    return content.size if isinstance(content, FilePart) else content.stat().st_size


def _link(file: Path, target: Path) -> bool:
    temporary = temporary_name(target)
    temporary.unlink(missing_ok=True)
    try:
        os.link(file, temporary)
    except OSError:
        return False  # Another disk, or a file system without links: copy instead.
    temporary.replace(target)
    return True
