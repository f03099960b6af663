"""Labels of segmentation: a folder or zip of label maps, with instance maps where there are any.

Among files of Cityscapes, `*_labelIds.png` are the label maps, `*_instanceIds.png` the instance maps, and all
others are passed over. Elsewhere every PNG is a label map, and its name the image's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import os_errors
from vipriors.problems import BadInput
from vipriors.tasks.archive import Limits, open_archive
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.iou import FIRST_INSTANCE
from vipriors.tasks.label_map import Map, decode, decode_instances, ids_in

_LABELS, _INSTANCES, _FINE, _IMAGE = "_labelIds", "_instanceIds", "_gtFine", "_leftImg8bit"
_LIMITS = Limits(archive_bytes=2**33, entries=1_000_000, entry_bytes=2**29, total_bytes=2**37)


@dataclass(frozen=True)
class LabelledImage:
    """The label map of one image, and its instance map or None: files, decoded when they are scored.

    Attributes:
        labels: a PNG file, or its content.
        instances: the same.
        size: `(height, width)`.
        label_ids: the ids that occur.
        instance_classes: the ids of the classes that have instances in it.
    """

    labels: Path | bytes
    instances: Path | bytes | None
    size: tuple[int, int]
    label_ids: frozenset[int]
    instance_classes: frozenset[int]

    def load(self, id_: str) -> tuple[Map, NDArray[np.uint16] | None]:
        """The maps, `(H, W)`.

        Raises:
            BadInput: a file has changed since it was read first.
        """
        findings = Findings("labels")
        labels = decode(_content(self.labels), findings, id_, self.size)
        instances = None
        if self.instances is not None:
            instances = decode_instances(_content(self.instances), findings, id_, self.size)
        if labels is None or findings:
            raise BadInput(findings.problems())
        return labels, instances


@dataclass(frozen=True)
class Labels:
    """The labelled images by their id. Either all or none have instances."""

    images: Mapping[str, LabelledImage]


def read_labels(data: Path | bytes, name: str = "labels.zip") -> Labels:
    """Reads the labels from a folder or zip.

    Args:
        data: a folder, a zip file, or a zip file's content.
        name: what problems call a zip file's content; files and folders go by their path.

    Raises:
        BadInput: with every problem in it (of one kind at most `findings.LISTED`).
    """
    findings = Findings(str(data) if isinstance(data, Path) else name)
    with os_errors(findings.name):
        files = _files(data, findings)
        images = _images(files, findings)
    if not images and not findings:
        findings.add("faults of the file", "there is no PNG; expected a label map for each image")
    if findings:
        raise BadInput(findings.problems())
    return Labels(images)


def id_of(path: str) -> str:
    """The image that a file belongs to: its name without suffix and without what Cityscapes adds."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    for ending in (_LABELS, _INSTANCES, _FINE, _IMAGE):
        stem = stem.removesuffix(ending)
    return stem


def _files(data: Path | bytes, findings: Findings) -> dict[str, Path | bytes]:
    """The PNG files by their path."""
    if isinstance(data, Path) and data.is_dir():
        paths = sorted(path for path in data.rglob("*") if path.is_file() and not path.name.startswith("."))
        return {path.relative_to(data).as_posix(): path for path in paths if _is_png(path.name)}
    archive = open_archive(_content(data), _LIMITS, findings)
    if archive is None:
        return {}
    contents = {path: archive.read(path, findings) for path in sorted(archive.files) if _is_png(path)}
    return {path: content for path, content in contents.items() if content is not None}


def _images(files: Mapping[str, Path | bytes], findings: Findings) -> dict[str, LabelledImage]:
    stems = {path: path[: -len(".png")] for path in files}
    instances = {id_of(path): path for path, stem in stems.items() if stem.endswith(_INSTANCES)}
    named = [path for path, stem in stems.items() if stem.endswith(_LABELS)]
    maps = named or [path for path, stem in stems.items() if not stem.endswith(_INSTANCES)]
    images: dict[str, LabelledImage] = {}
    first: dict[str, str] = {}
    for path in maps:
        id_ = id_of(path)
        if first.setdefault(id_, path) != path:
            message = f"a second map of {shown(id_)}, after {shown(first[id_])}; expected one"
            findings.add("duplicate ids", message, entry=path)
            continue
        labels = decode(_content(files[path]), findings, path)
        if instances and id_ not in instances:
            message = "there is no instance map for it, as for others; expected all or none"
            findings.add("maps without instances", message, entry=path)
        elif labels is not None:
            images[id_] = _image(labels, path, instances.get(id_), files, findings)
    for id_ in sorted(instances.keys() - first.keys()):
        findings.add(
            "instances without a map", "there is no label map for it; expected one", entry=instances[id_]
        )
    return images


def _image(
    labels: Map,
    path: str,
    instances_path: str | None,
    files: Mapping[str, Path | bytes],
    findings: Findings,
) -> LabelledImage:
    size = (labels.shape[0], labels.shape[1])
    source, classes = None, frozenset[int]()
    if instances_path is not None:
        source = files[instances_path]
        instances = decode_instances(_content(source), findings, instances_path, size)
        if instances is not None:
            values = np.flatnonzero(np.bincount(instances.ravel()))
            classes = frozenset((values[values >= FIRST_INSTANCE] // 1000).tolist())
    return LabelledImage(files[path], source, size, ids_in(labels), classes)


def _content(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _is_png(path: str) -> bool:
    return path.lower().endswith(".png")
