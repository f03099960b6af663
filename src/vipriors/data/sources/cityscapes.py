"""The kind `cityscapes`: a person's copy of Cityscapes' fine annotations, unpacked or still in its two zips.

Of an image `train/aachen/aachen_000000_000019_leftImg8bit.png` three files are needed:

leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png
gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png
gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png

Only images that are asked for are needed, so a copy may hold a part of the 5,000. The owner keeps the labels
of the test images to itself; where a subset is drawn by number, the validation images are its test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vipriors.data.files import FilePart, os_errors
from vipriors.data.images import read_image
from vipriors.data.sources._maps import HEADER_BYTES, PngHeader, for_each, listed, png_header, sizes_differ
from vipriors.data.sources._zips import Place, files_in, read_place
from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput, Problem

NAMES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train"),
    *("motorcycle", "bicycle"),
)
"""The 19 evaluated classes, in the order of their train ids."""

MOST_LABEL_ID = 33
"""The largest label id; the 34 of them are the 19 evaluated classes and 15 others."""

IMAGE_ENDING = "_leftImg8bit.png"
_SPLITS = {"train": "train", "val": "test"}


@dataclass(frozen=True)
class _Part:
    """One of the three files of an image."""

    what: str
    top: str
    ending: str
    form: tuple[int, int]
    expected: str

    @property
    def archive(self) -> str:
        return f"{self.top}_trainvaltest.zip"


_PARTS = (
    _Part("images", "leftImg8bit", IMAGE_ENDING, (8, 2), "8-bit colour PNGs"),
    _Part("label maps", "gtFine", "_gtFine_labelIds.png", (8, 0), "8-bit grey PNGs"),
    _Part("instance maps", "gtFine", "_gtFine_instanceIds.png", (16, 0), "16-bit grey PNGs"),
)

Files = Mapping[str, Place]
"""One of the three files of each image, by the image's path without ending."""


@dataclass(frozen=True, eq=False)
class CityscapesSource:
    """Street scenes with label ids and instance ids. Keys are paths of images below `leftImg8bit`."""

    name: str
    root: Path
    samples: Sequence[SourceSample]
    files: tuple[Files, ...]
    """Images, label maps, instance maps."""
    names: Sequence[str] = NAMES
    classes: Sequence[str] = ("image",)
    media: Literal["images", "clips"] = "images"

    def content(self, sample: SourceSample) -> tuple[str, bytes | Path | FilePart]:
        """The untouched file, or its bytes or place in the zip."""
        place = self.files[0][_stem(sample.key)]
        return ".png", place if isinstance(place, Path) else place.content()

    def annotations(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """The untouched label map and instance map of each image, as `segmentation` reads them.

        Those of `x_leftImg8bit.png` or `x.png` are `x_gtFine_labelIds.png` and `x_gtFine_instanceIds.png`.

        Raises:
            BadInput: after the last image, with every map that is damaged or holds unknown ids.
        """

        def make(id: str, sample: SourceSample) -> Iterable[tuple[str, bytes]]:
            for part, files in zip(_PARTS[1:], self.files[1:], strict=True):
                name = f"{_stem(sample.key)}{part.ending}"
                content = read_place(files[_stem(sample.key)])
                pixels = read_image(content, name=f"{self.name}, {name}")
                if part.form == (8, 0) and pixels.max() > MOST_LABEL_ID:
                    found = f"holds label id {pixels.max()}; expected 0 to {MOST_LABEL_ID}"
                    raise BadInput.single(f"{self.name}, {name}", found)
                yield f"{_stem(id)}{part.ending}", content

        return for_each(named, make)

    def test_index(self, named: Named) -> Sequence[tuple[str, bytes]]:
        """Nothing: the test images say all that a participant must know."""
        return ()


def open_cityscapes(
    root: Path, task: str, names: Sequence[str] | None = None, keys: Iterable[str] | None = None
) -> CityscapesSource:
    """Open a copy of Cityscapes: the folders `leftImg8bit` and `gtFine`, or in place of each its zip.

    Args:
        root: the folder that holds `leftImg8bit/` or `leftImg8bit_trainvaltest.zip`, and `gtFine/` or
            `gtFine_trainvaltest.zip`.
        task: `segmentation`.
        names: none, or those of the 19 evaluated classes.
        keys: the images wanted; by default all that the copy has a file of. What is no image of Cityscapes'
            train or val does not become a sample.

    Raises:
        BadInput: a zip is damaged; wanted images, label maps or instance maps are missing, empty, of another
            form or of different sizes; with counts. Only headers are read.
    """
    if task != "segmentation":
        raise BadInput.single(root, f"Cityscapes is for task segmentation; found task {task}")
    if names is not None and tuple(names) != NAMES:
        found = f"found {len(names)} names in the challenge's source.classes"
        raise BadInput.single(root, f"Cityscapes has names of its own; {found}, expected none")
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise BadInput.single(root, f"{found}; expected the folder of a copy of Cityscapes")
    with os_errors(root):
        files = _find(root)
        stems = sorted(set().union(*files)) if keys is None else _stems(keys)
        problems = _faults(root, files, stems)
    if not stems and keys is None:
        expected = "expected leftImg8bit/train/<city>/, leftImg8bit/val/<city>/ and the same of gtFine"
        problems.append(Problem(str(root), f"holds no image of Cityscapes; {expected}"))
    if problems:
        raise BadInput(problems)
    samples = [SourceSample(f"{stem}{IMAGE_ENDING}", 0, _SPLITS[stem.partition("/")[0]]) for stem in stems]
    return CityscapesSource(str(root), root, samples, files)


def _stem(path: str) -> str:
    """What the three files of an image share."""
    return path.removesuffix(".png").removesuffix("_leftImg8bit")


def _stems(keys: Iterable[str]) -> list[str]:
    known = (key for key in keys if key.endswith(IMAGE_ENDING) and key.partition("/")[0] in _SPLITS)
    return list(dict.fromkeys(_stem(key) for key in known))


def _find(root: Path) -> tuple[Files, ...]:
    """What the copy holds of train and val; for images, label maps and instance maps."""
    problems: list[Problem] = []
    found: dict[str, Files] = {}
    for top, archive in dict.fromkeys((part.top, part.archive) for part in _PARTS):
        try:
            found[top] = files_in(root / top, root / archive) or {}
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)
    return tuple(
        {
            path.removesuffix(part.ending): place
            for path, place in found[part.top].items()
            if path.endswith(part.ending) and path.partition("/")[0] in _SPLITS
        }
        for part in _PARTS
    )


def _faults(root: Path, files: Sequence[Files], stems: Sequence[str]) -> list[Problem]:
    """What is wrong with the three files of the wanted images."""
    problems: list[Problem] = []
    headers: list[dict[str, PngHeader]] = []
    for part, places in zip(_PARTS, files, strict=True):
        where = next((path for path in (root / part.top, root / part.archive) if path.exists()), root)
        absent = [f"{stem}{part.ending}" for stem in stems if stem not in places]
        expected = f"{part.archive} whole, unpacked or as it is"
        what = f"of the {len(stems)} {part.what} needed, or has them empty"
        problems += listed(where, "lacks", absent, what, expected)

        known = {stem: _header(places[stem]) for stem in stems if stem in places}
        unfit = [
            f"{stem}{part.ending} ({header or 'damaged, or no PNG'})"
            for stem, header in known.items()
            if header is None or header.form != part.form
        ]
        problems += listed(where, "has", unfit, f"of {len(known)} {part.what} of another form", part.expected)
        headers.append({stem: header for stem, header in known.items() if header is not None})

        misfit = [
            sizes_differ(f"{stem}{part.ending}", header.size, headers[0][stem].size)
            for stem, header in headers[-1].items()
            if stem in headers[0] and header.size != headers[0][stem].size
        ]
        what = f"of {len(known)} {part.what} of another size than the image"
        problems += listed(where, "has", misfit, what, "the same size")
    return problems


def _header(place: Place) -> PngHeader | None:
    """None where the file is damaged or no PNG."""
    if isinstance(place, Path):
        with place.open("rb") as file:
            return png_header(file.read(HEADER_BYTES))
    try:
        content = place.content()
    except BadInput:
        return None
    if isinstance(content, FilePart):
        content = FilePart(content.path, content.offset, HEADER_BYTES).read_bytes()
    return png_header(content[:HEADER_BYTES])
