"""Makes copies of ILSVRC2012 in every form it is handed out in: true names, tiny pictures."""

from __future__ import annotations

import io
import os
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

FORMS = ("flat", "sorted", "nested", "tars")

Name = tuple[str, str]
"""WordNet id and file name."""


def pictures(n: int, size: int = 8) -> list[bytes]:
    """Different valid JPEG files; of noise, so that their bytes grow with the pixels."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(stream, "JPEG")
        found.append(stream.getvalue())
    return found


def make_copy(
    root: Path, training: Sequence[Name], validation: Sequence[Name], form: str, contents: Sequence[bytes]
) -> Path:
    """Make a copy of the named images; image k of all has content k, from the first again after the last."""
    place = root / "ILSVRC/Data/CLS-LOC" if form == "nested" else root
    place.mkdir(parents=True)
    train = [(wnid, file, contents[k % len(contents)]) for k, (wnid, file) in enumerate(training)]
    start = len(training)
    val = [(wnid, file, contents[(start + k) % len(contents)]) for k, (wnid, file) in enumerate(validation)]
    if form == "tars":
        _make_tars(place, train, val)
        return root
    _write(place / "train", [(f"{wnid}/{file}", content) for wnid, file, content in train])
    sort = form == "sorted"
    _write(place / "val", [(f"{wnid}/{file}" if sort else file, content) for wnid, file, content in val])
    return root


def _write(folder: Path, files: list[tuple[str, bytes]]) -> None:
    """Write each content once, and link it wherever it occurs again: a link is made much sooner."""
    for parent in {os.path.dirname(name) for name, _ in files}:  # noqa: PTH120 - a hundred thousand times
        (folder / parent).mkdir(parents=True, exist_ok=True)
    first: dict[bytes, str] = {}
    for name, content in files:
        path = f"{folder}/{name}"
        if content in first:
            os.link(first[content], path)
        else:
            Path(path).write_bytes(content)
            first[content] = path


def _make_tars(folder: Path, train: list[tuple[str, str, bytes]], val: list[tuple[str, str, bytes]]) -> None:
    classes: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for wnid, file, content in train:
        classes[wnid].append((file, content))
    inner = [(f"{wnid}.tar", _tar(files)) for wnid, files in sorted(classes.items())]
    (folder / "ILSVRC2012_img_train.tar").write_bytes(_tar(inner))
    (folder / "ILSVRC2012_img_val.tar").write_bytes(_tar([(file, content) for _, file, content in val]))


def _tar(files: Sequence[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
