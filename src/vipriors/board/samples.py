"""A few images of a challenge's test, kept to draw predictions on.

They are a zip in the board's file store: `index.json`, which says what the images are, and each as a PNG. Of
clips it is the middle frame, of point clouds three views. Which they are is decided by the ids alone, so it
tells nothing of labels or of the split. Re-identification keeps the whole gallery, each image small.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vipriors.challenges.schema import Challenge
from vipriors.data.clips import read_clip
from vipriors.data.files import FilePart
from vipriors.data.images import read_image
from vipriors.data.packed import PreparedFiles
from vipriors.data.place import file_name, kind_of
from vipriors.data.points import read_points
from vipriors.data.prepared import ANNOTATIONS, read_prepared
from vipriors.data.sources import AnnotatedSource
from vipriors.data.subset import cut
from vipriors.pictures import png
from vipriors.pictures.clouds import views
from vipriors.pictures.rankings import HEIGHT
from vipriors.problems import BadInput
from vipriors.tasks import archive
from vipriors.tasks.reid_matrix import QueryIndex
from vipriors.tasks.segmentation_labels import id_of

Pixels = NDArray[np.uint8]

SHOWN = 6
"""Images, clips or queries."""
MOST_GALLERY = 20_000
"""Images of a gallery; of a larger one no pictures are made."""
MOST_PIXELS = 2**24
"""Of an image; larger ones are passed over."""
INDEX = "index.json"


@dataclass(frozen=True)
class TestFiles:
    """The images of a test, wherever they are.

    Attributes:
        media: images, clips or points.
        contents: reads each, by the name of its file.
        index: `images.json` of tasks that find objects, which numbers the images.
    """

    media: str
    contents: Mapping[str, Callable[[], bytes]]
    index: bytes | None = None


def of_source(challenge: Challenge, source: Path | None) -> TestFiles:
    """The test of a challenge from its source.

    Raises:
        BadInput: the source is not there, or is not whole.
    """
    opened = challenge.open(source)
    tests = [pick for pick in cut(opened, challenge.rule()) if pick.split == "test"]
    named = {file_name(pick, opened.content(pick.sample)[0]): pick.sample for pick in tests}

    def reader(name: str) -> Callable[[], bytes]:
        return lambda: _bytes(opened.content(named[name])[1])

    index = None
    if isinstance(opened, AnnotatedSource):
        index = dict(opened.test_index(list(named.items()))).get("images.json")
    return TestFiles(kind_of(opened).media, {name: reader(name) for name in named}, index)


def of_prepared(folder: Path) -> TestFiles:
    """The test in a folder that `vipriors data prepare` made.

    Raises:
        BadInput: it is none.
    """
    prepared, files = read_prepared(folder), PreparedFiles(folder)

    def reader(file: str) -> Callable[[], bytes]:
        return lambda: _bytes(files.locate(file))

    contents = {row.id: reader(row.file) for row in prepared.split("test")}
    index = folder / ANNOTATIONS / "test" / "images.json"
    return TestFiles(prepared.dataset.media, contents, index.read_bytes() if index.is_file() else None)


def pack(test: TestFiles, task: str, index: Any) -> bytes | None:
    """The zip; None where none of the images can be shown.

    Args:
        test: the images.
        task: name of the task.
        index: of the challenge's truth.
    """
    by_id = _by_id(test, task)
    order = sorted(map(str, index.ids), key=lambda id_: hashlib.sha256(id_.encode()).digest())
    shown = dict(_some(((id_, by_id[id_]) for id_ in order if id_ in by_id), test.media, SHOWN))
    gallery: dict[str, Pixels] = {}
    if isinstance(index, QueryIndex):
        if len(index.gallery) > MOST_GALLERY:
            return None
        found = ((id_, by_id[id_]) for id_ in index.gallery if id_ in by_id)
        gallery = {id_: _small(pixels) for id_, pixels in _some(found, test.media, MOST_GALLERY)}
        shown = {id_: _small(pixels) for id_, pixels in shown.items()}
    if not shown:
        return None
    told = json.dumps({"shown": list(shown), "gallery": list(gallery)}).encode()
    files = [(f"{n}.png", png(pixels)) for n, pixels in enumerate([*shown.values(), *gallery.values()])]
    return archive.pack([(INDEX, told), *files])


class Samples:
    """What `pack` wrote.

    Args:
        file: the zip.
    """

    def __init__(self, file: Path):
        self._archive = zipfile.ZipFile(file)
        told = json.loads(self._archive.read(INDEX))
        self.shown: list[str] = told["shown"]
        self._gallery = {id_: len(self.shown) + number for number, id_ in enumerate(told["gallery"])}

    def image(self, number: int) -> Pixels:
        """The image `(H, W, 3)` of one of those that are shown."""
        return read_image(self._archive.read(f"{number}.png"), channels=3, max_pixels=MOST_PIXELS)

    def of_gallery(self, id_: str) -> Pixels | None:
        """An image of the gallery `(h, w, 3)`, if it is kept."""
        return self.image(self._gallery[id_]) if id_ in self._gallery else None


def _by_id(test: TestFiles, task: str) -> dict[str, Callable[[], bytes]]:
    """What reads each image, by the id that the task knows it by."""
    if task == "segmentation":
        return {id_of(name): read for name, read in test.contents.items()}
    if task not in ("detection", "instances"):
        return dict(test.contents)
    images = json.loads(test.index or b"{}").get("images", [])
    names = {str(image["id"]): image["file_name"] for image in images}
    return {id_: test.contents[name] for id_, name in names.items() if name in test.contents}


def _some(
    readers: Iterable[tuple[str, Callable[[], bytes]]], media: str, most: int
) -> Iterable[tuple[str, Pixels]]:
    """The first that can be shown."""
    count = 0
    for id_, read in readers:
        if count == most:
            return
        try:
            pixels = _pixels(read(), media, id_)
        except BadInput:
            continue  # of so many channels, or so large, that it cannot be shown
        count += 1
        yield id_, pixels


def _pixels(data: bytes, media: str, name: str) -> Pixels:
    """What is shown of a file `(H, W, 3)`."""
    if media == "clips":
        frame: Pixels = read_clip(data, frames=1, name=name)[0]
        return frame[:, :, :3] if frame.shape[2] >= 3 else frame[:, :, :1].repeat(3, axis=2)
    if media == "points":
        cloud: Pixels = views(read_points(data, name=name))
        return cloud[:, :, None].repeat(3, axis=2)
    return read_image(data, channels=3, max_pixels=MOST_PIXELS, name=name)


def _small(pixels: Pixels) -> Pixels:
    """At most of the height in which rankings show it."""
    if pixels.shape[0] <= HEIGHT:
        return pixels
    width = max(1, round(HEIGHT * pixels.shape[1] / pixels.shape[0]))
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, HEIGHT)))


def _bytes(content: bytes | Path | FilePart) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()
