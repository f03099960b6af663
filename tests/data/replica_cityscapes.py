"""Makes copies of Cityscapes as it is handed out: true names, tiny pictures."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

FORMS = ("folders", "stored zips", "deflated zips", "mixed")
SIZE = (8, 16)
"""Height and width of the pictures."""

Scene = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint16]]
"""Image `(H, W, 3)`, label ids `(H, W)` and instance ids `(H, W)`."""


def scene(k: int) -> Scene:
    """Picture k: different from all others, with some of all 34 label ids."""
    rng = np.random.default_rng(k)
    image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    labels = rng.integers(0, 34, SIZE, dtype=np.uint8)
    labels[0, 0] = 7  # road
    instances = labels.astype(np.uint16)
    has_instances = labels >= 24
    instances[has_instances] = labels[has_instances] * np.uint16(1000) + np.uint16(k % 5)
    return image, labels, instances


def png(pixels: npt.NDArray[np.generic]) -> bytes:
    """A PNG: uint8 colour or grey, uint16 grey."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def make_copy(root: Path, stems: Sequence[str], form: str = "folders") -> Path:
    """Make a copy; stem k, such as `train/aachen/aachen_000000_000019`, is scene k."""
    image_files: list[tuple[str, bytes]] = [("leftImg8bit/test/berlin/berlin_0_leftImg8bit.png", b"")]
    label_files: list[tuple[str, bytes]] = [("gtFine/test/berlin/berlin_0_gtFine_labelIds.png", b"")]
    for k, stem in enumerate(stems):
        image, labels, instances = map(png, scene(k))
        image_files.append((f"leftImg8bit/{stem}_leftImg8bit.png", image))
        label_files += [
            (f"gtFine/{stem}_gtFine_labelIds.png", labels),
            (f"gtFine/{stem}_gtFine_instanceIds.png", instances),
        ]
    for stem in stems[:3]:
        unused = ("color.png", "polygons.json")
        label_files += [(f"gtFine/{stem}_gtFine_{ending}", b"not needed") for ending in unused]
    root.mkdir(parents=True)
    method = zipfile.ZIP_STORED if form == "stored zips" else zipfile.ZIP_DEFLATED
    if form in ("folders", "mixed"):
        _write_folder(root, image_files)
    else:
        _write_zip(root / "leftImg8bit_trainvaltest.zip", image_files, method)
    if form == "folders":
        _write_folder(root, label_files)
    else:
        _write_zip(root / "gtFine_trainvaltest.zip", label_files, method)
    return root


def _write_folder(root: Path, files: Iterable[tuple[str, bytes]]) -> None:
    for name, content in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def _write_zip(path: Path, files: Iterable[tuple[str, bytes]], method: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("README", "terms of use")
        for folder in sorted({name.rpartition("/")[0] for name, _ in files}):
            archive.writestr(f"{folder}/", b"")
        for name, content in files:
            archive.writestr(name, content)
