"""The kind `label-maps`: folders of images beside folders of label maps, such as CamVid.

Three layouts are known, the first two with any of the splits train, val and test:

train/a.jpg         trainannot/a.png     as CamVid comes with the SegNet tutorial
images/train/a.jpg  labels/train/a.png
images/a.jpg        labels/a.png         without splits

A label map has the name and size of its image and is an 8-bit PNG whose pixels are ids: grey, or a palette
image, whose indices are the ids whatever their colours. Ids 0 to K-1 are the K classes that the challenge
names; every other id means a pixel without a class, and becomes 255 in what is prepared.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from vipriors.data.files import read_bytes
from vipriors.data.images import IMAGE_SUFFIXES, Pixels, encode_png, image_size, read_image
from vipriors.data.sources._maps import HEADER_BYTES, PngHeader, for_each, listed, png_header, sizes_differ
from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput, Problem

IGNORED = 255
"""In a prepared label map: a pixel without a class."""

_SPLITS = ("train", "val", "test")
_PICTURES = IMAGE_SUFFIXES - {".npy"}
_FORMS = frozenset({(8, 0), (1, 3), (2, 3), (4, 3), (8, 3)})

Files = Mapping[str, Sequence[Path]]
"""The files of a folder by their name without suffix; of each, one is expected."""


@dataclass(frozen=True, eq=False)
class LabelMapSource:
    """Images with a class for every pixel. Keys are paths: `train/0001TP_006690.jpg`."""

    name: str
    root: Path
    names: Sequence[str]
    samples: Sequence[SourceSample]
    maps: Mapping[str, Path]
    """The label map of each image, by its key."""
    classes: Sequence[str] = ("image",)
    media: Literal["images", "clips"] = "images"

    def content(self, sample: SourceSample) -> tuple[str, Path]:
        """The untouched file."""
        path = self.root / sample.key
        return path.suffix.lower(), path

    def annotations(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """A map for each image, named as it is: 8-bit grey, ids of classes and 255.

        Raises:
            BadInput: after the last image, with every map that is damaged.
        """

        def make(id: str, sample: SourceSample) -> Iterable[tuple[str, bytes]]:
            ids = _read_map(self.maps[sample.key])
            ids = np.where(ids < len(self.names), ids, np.uint8(IGNORED))
            return [(f"{id.rpartition('.')[0]}.png", encode_png(ids))]

        return for_each(named, make)

    def test_index(self, named: Named) -> Sequence[tuple[str, bytes]]:
        """Nothing: the test images say all that a participant must know."""
        return ()


def open_label_maps(root: Path, task: str, names: Sequence[str] | None) -> LabelMapSource:
    """Open folders of images and of label maps; images may lie deeper, where their label maps do, too.

    Args:
        root: the folder with one of the layouts above.
        task: `segmentation`.
        names: of the classes, from id 0 on; at most 255.

    Raises:
        BadInput: images without a label map, label maps without an image, of another size than their image,
            or of another form than 8-bit ids; files that are no images; with counts. Only headers are read.
    """
    if task != "segmentation":
        raise BadInput.single(root, f"label maps are for task segmentation; found task {task}")
    if not names or len(names) > IGNORED:
        found = f"found {len(names)} names" if names else "label maps only number their classes"
        raise BadInput.single(
            root, f"{found}; expected 1 to {IGNORED} names in the challenge's source.classes"
        )
    folders = _folders(root)
    if not folders:
        expected = "images/ and labels/, or train/ and trainannot/ (and the same of val and test)"
        raise BadInput.single(root, f"holds no folders of images and label maps; expected {expected}")
    problems: list[Problem] = []
    samples: list[SourceSample] = []
    maps: dict[str, Path] = {}
    for split, image_folder, label_folder in folders:
        images, labels = _by_stem(image_folder, _PICTURES), _by_stem(label_folder, {".png"})
        problems += _faults(image_folder, images, label_folder, labels)
        for stem in (stem for stem in images if stem in labels):
            key = images[stem][0].relative_to(root).as_posix()
            samples.append(SourceSample(key, 0, split))
            maps[key] = labels[stem][0]
    if problems:
        raise BadInput(problems)
    return LabelMapSource(str(root), root, tuple(names), samples, maps)


def _folders(root: Path) -> list[tuple[str | None, Path, Path]]:
    """Split, folder of images and folder of label maps; at least one of the two folders is there."""
    images, labels = root / "images", root / "labels"
    if images.is_dir() and not any((images / split).is_dir() for split in _SPLITS):
        return [(None, images, labels)]
    if images.is_dir():
        pairs = [(split, images / split, labels / split) for split in _SPLITS]
    else:
        pairs = [(split, root / split, root / f"{split}annot") for split in _SPLITS]
    return [(split, here, there) for split, here, there in pairs if here.is_dir() or there.is_dir()]


def _by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    """The files with one of the suffixes, by their path below the folder without it."""
    found: dict[str, list[Path]] = defaultdict(list)
    for where, below, names in os.walk(folder):
        below[:] = [name for name in below if not _is_hidden(name)]
        above = "".join(f"{part}/" for part in Path(where).relative_to(folder).parts)
        for name in names:
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 - ten thousand times
            if suffix.lower() in suffixes and not _is_hidden(name):
                found[above + stem].append(Path(where, name))
    return dict(sorted(found.items()))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _faults(image_folder: Path, images: Files, label_folder: Path, labels: Files) -> list[Problem]:
    """What is wrong with a folder of images and the folder of their label maps."""
    if not images and not labels:
        expected = f"expected images, and their label maps in {label_folder}"
        return [Problem(str(image_folder), f"holds no image; {expected}")]
    of_images, of_maps = f"of {len(images)} images", f"of {len(labels)} label maps"
    problems: list[Problem] = []
    for folder, files, of_files in ((image_folder, images, of_images), (label_folder, labels, of_maps)):
        strange = [ascii(stem) for stem in files if not stem.isprintable()]
        twice = [stem for stem, paths in files.items() if len(paths) > 1]
        problems += listed(folder, "has", strange, f"{of_files} with an odd name", "one line of plain text")
        problems += listed(folder, "has", twice, f"{of_files} in several files", "one file of each name")
    bare = [stem for stem in images if stem not in labels]
    stray = [stem for stem in labels if stem not in images]
    expected = f"PNGs of these names in {label_folder}"
    problems += listed(image_folder, "has", bare, f"{of_images} without a label map", expected)
    expected = f"images of these names in {image_folder}"
    problems += listed(label_folder, "has", stray, f"{of_maps} without an image", expected)

    unreadable, unfit, misfit = [], [], []
    for stem in (stem for stem in images if stem in labels):
        image, label = images[stem][0], labels[stem][0]
        header = _header_of(label)
        try:
            height, width = image_size(image)
            size = width, height
        except BadInput:
            size = None
            unreadable.append(image.name)
        if header is None or header.form not in _FORMS:
            unfit.append(f"{label.name} ({header or 'no PNG'})")
        elif size is not None and header.size != size:
            misfit.append(sizes_differ(label.name, header.size, size))
    problems += listed(image_folder, "has", unreadable, f"{of_images} that cannot be read", "whole images")
    expected = "8-bit grey or palette PNGs"
    problems += listed(label_folder, "has", unfit, f"{of_maps} of another form", expected)
    expected = "the same size"
    problems += listed(label_folder, "has", misfit, f"{of_maps} of another size than the image", expected)
    return problems


def _header_of(path: Path) -> PngHeader | None:
    with path.open("rb") as file:
        return png_header(file.read(HEADER_BYTES))


def _read_map(path: Path) -> Pixels:
    """The ids of a label map, uint8 `(H, W)`."""
    data = read_bytes(path)
    read_image(data, name=str(path))  # Says what is wrong, if anything; but it gives a palette's colours.
    with Image.open(BytesIO(data), formats=("PNG",)) as image:
        return np.asarray(image)
