"""Makes a prepared folder from a source: only what a rule or a list picks, checked, hashed, and resumable."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from vipriors.data import files
from vipriors.data.clips import read_clip
from vipriors.data.files import FilePart, Progress, map_all, os_errors, temporary_name, write_atomic
from vipriors.data.images import read_image
from vipriors.data.lists import ListRule
from vipriors.data.manifest import Row, csv_bytes, manifest_hash, write_manifest
from vipriors.data.prepared import (
    ANNOTATIONS,
    DATASET,
    HASHES,
    LABELS,
    MANIFEST,
    UNFINISHED,
    Dataset,
    Prepared,
)
from vipriors.data.sources.base import AnnotatedSource, Source, SourceSample
from vipriors.data.subset import SPLITS, Pick, Rule, cut
from vipriors.problems import BadInput, Problem


def prepare(
    source: Source,
    rule: Rule,
    out: Path,
    *,
    challenge: str,
    channels: int,
    mode: Literal["copy", "link"] = "copy",
    test_key: str = "",
    progress: Progress | None = None,
    free_bytes: Callable[[Path], int] = files.free_bytes,
) -> Prepared:
    """Prepare a data set in the folder `out`. The source is read and never changed.

    An interrupted call leaves images that the next call with the same arguments checks and keeps;
    `dataset.json` appears last. Calling it again on a finished folder repairs what is missing or damaged.

    Args:
        source: where the images come from.
        rule: what to take, by number or by list.
        out: a new or empty folder outside the source, or one that an equal call has begun.
        challenge: the name of the challenge that the data set is for.
        channels: 1 or 3, or what `.npy` images have; an image that cannot be read so is a problem.
        mode: `link` makes hard links where it can: no space, but then a change of a source file shows here.
        test_key: decides the numbers of the test images; see `cut`.
        progress: called with (images done, images in all).
        free_bytes: tells the room on the disk of a folder.

    Raises:
        BadInput: with every image that cannot be used, or why `out` cannot be.
    """
    _check_apart(source, out)
    picks = cut(source, rule, test_key=test_key)
    placed = [(pick.id, pick.split, pick.sample.label, pick.sample.key) for pick in picks]
    annotated = source if isinstance(source, AnnotatedSource) else None
    identity: dict[str, Any] = {
        "challenge": challenge,
        "media": annotated.media if annotated else "images",
        "classes": list(annotated.names if annotated else source.classes),
        "channels": channels,
        "rule": _described(rule),
        "cut_sha256": _digest([list(source.classes), placed]),
    }
    with os_errors(out):
        _claim(out, identity)
        plan = map_all(lambda pick: _plan(source, pick, out, mode), picks)
        _check_ids([target for target, _ in plan])
        needed, free = sum(size for _, size in plan), free_bytes(out)
        if needed > free:
            raise BadInput.single(out, f"the images need {needed} bytes, but {free} are free on its disk")
        for folder in {target.parent for target, _ in plan}:
            folder.mkdir(parents=True, exist_ok=True)
        write_atomic(out / UNFINISHED, _json(identity))

        rows = map_all(lambda pick: _place(source, pick, out, channels, mode), picks, progress)
        _write_test_labels(source, out, picks, rows)
        count = Counter(row.split for row in rows)
        dataset = Dataset(
            **identity,
            counts={split: count[split] for split in SPLITS},
            manifest_sha256=manifest_hash(rows),
            annotations_sha256=_write_annotations(annotated, out, picks, rows) if annotated else None,
        )
        write_manifest(out / MANIFEST, rows)
        write_atomic(out / DATASET, _json(dataset.model_dump()))
        (out / UNFINISHED).unlink()
    return Prepared(out, dataset, rows)


def _described(rule: Rule) -> dict[str, Any]:
    if not isinstance(rule, ListRule):
        return dataclasses.asdict(rule)
    part = {"images_per_class": rule.images_per_class, "seed": rule.seed}
    return {"listed": len(rule.rows), "list_sha256": rule.sha256, **part}


def _check_apart(source: Source, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise BadInput.single(out, "is a file; expected a folder to write to")
    if source.root is None:
        return
    here, there = out.resolve(), source.root.resolve()
    if here == there or there in here.parents:
        raise BadInput.single(out, f"lies in the source {source.root}, which is never written to")
    if here in there.parents:
        raise BadInput.single(out, f"contains the source {source.root}; expected a folder of its own")


def _claim(out: Path, identity: dict[str, Any]) -> None:
    """Refuse a folder that holds anything but an earlier call's work on the same data set."""
    for name in (UNFINISHED, DATASET):
        try:
            found = json.loads((out / name).read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            raise BadInput.single(out / name, "cannot be read; expected a new or empty folder") from None
        other = [key for key in identity if not isinstance(found, dict) or found.get(key) != identity[key]]
        if other:
            message = f"holds another data set (other {', '.join(other)}); expected a new or empty folder"
            raise BadInput.single(out, message)
        return
    strangers = sorted(path.name for path in out.iterdir())[:3] if out.exists() else []
    if strangers:
        raise BadInput.single(
            out, f"holds other files ({', '.join(strangers)}); expected a new or empty folder"
        )


def _plan(source: Source, pick: Pick, out: Path, mode: str) -> tuple[Path, int]:
    """Where an image goes, and the bytes on the disk that it still needs."""
    suffix, content = source.content(pick.sample)
    target = _target(source, out, pick, suffix)
    if target.exists() or (mode == "link" and isinstance(content, Path)):
        return target, 0
    match content:
        case bytes():
            size = len(content)
        case FilePart():
            size = content.size
        case _:
            size = content.stat().st_size
    return target, -(-size // files.BLOCK) * files.BLOCK


def _place(source: Source, pick: Pick, out: Path, channels: int, mode: str) -> Row:
    """Put one image in its place unless it is there already; only images that decode get there."""
    suffix, content = source.content(pick.sample)
    data = content if isinstance(content, bytes) else content.read_bytes()
    target = _target(source, out, pick, suffix)
    if not target.exists() or target.stat().st_size != len(data) or target.read_bytes() != data:
        read = read_clip if _media(source) == "clips" else read_image
        read(data, channels=channels, name=f"{source.name}, {pick.sample.key}")
        with os_errors(target):
            if mode == "copy" or not isinstance(content, Path) or not _link(content, target):
                write_atomic(target, data)
    test = pick.split == "test"
    return Row(
        id=target.name,
        split=pick.split,
        label=None if test or _in_one_group(source) else pick.sample.label,
        file=target.relative_to(out).as_posix(),
        source="" if test else pick.sample.key,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def file_name(pick: Pick, suffix: str) -> str:
    """The name of an image's file, which is its id in the prepared folder."""
    return pick.id if pick.id.lower().endswith(suffix) else pick.id + suffix


def _target(source: Source, out: Path, pick: Pick, suffix: str) -> Path:
    return out / _media(source) / pick.split / file_name(pick, suffix)


def _media(source: Source) -> str:
    return source.media if isinstance(source, AnnotatedSource) else "images"


def _in_one_group(source: Source) -> bool:
    """Whether a sample's label says nothing: all are in one group, and what is told apart is annotated."""
    return isinstance(source, AnnotatedSource) and len(source.classes) == 1


def _link(file: Path, target: Path) -> bool:
    temporary = temporary_name(target)
    temporary.unlink(missing_ok=True)
    try:
        os.link(file, temporary)
    except OSError:
        return False  # Another disk, or a file system without links: copy instead.
    temporary.replace(target)
    return True


def _check_ids(targets: Sequence[Path]) -> None:
    """Ids from a list may be equal to each other, or to given ones, only with their suffix."""
    count = Counter(target.name.casefold() for target in targets)
    twice = sorted({target.name for target in targets if count[target.name.casefold()] > 1})
    if twice:
        raise BadInput(
            [Problem(f"id {name}", "is not unique; give every row an id or none") for name in twice]
        )


def _write_test_labels(source: Source, out: Path, picks: Sequence[Pick], rows: Sequence[Row]) -> None:
    tests = _named(picks, rows, "test")
    if not tests:
        return
    sources = csv_bytes(("Image IDs", "Source"), [(id, sample.key) for id, sample in tests])
    if isinstance(source, AnnotatedSource):
        labels = [(f"test/{name}", content) for name, content in source.annotations(tests)]
    else:
        content = csv_bytes(("Image IDs", "Labels"), [(id, sample.label) for id, sample in tests])
        labels = [("test.csv", content)]
    _write_hashed(out / LABELS, [*labels, ("test_sources.csv", sources)])


def _write_annotations(source: AnnotatedSource, out: Path, picks: Sequence[Pick], rows: Sequence[Row]) -> str:
    """Write what there is to know of all images but the test labels; returns the hash of its hashes."""

    def found() -> Iterable[tuple[str, bytes]]:
        for split in SPLITS:
            if named := _named(picks, rows, split):
                tell = source.test_index if split == "test" else source.annotations
                yield from ((f"{split}/{name}", content) for name, content in tell(named))

    return _write_hashed(out / ANNOTATIONS, found())


def _named(picks: Sequence[Pick], rows: Sequence[Row], split: str) -> list[tuple[str, SourceSample]]:
    return [(row.id, pick.sample) for pick, row in zip(picks, rows, strict=True) if pick.split == split]


def _write_hashed(folder: Path, contents: Iterable[tuple[str, bytes]]) -> str:
    """Write files and their `SHA256SUMS`, whose own hash is returned."""
    folder.mkdir(exist_ok=True)
    sums = ""
    for name, content in contents:
        (folder / name).parent.mkdir(exist_ok=True)
        write_atomic(folder / name, content)
        sums += f"{hashlib.sha256(content).hexdigest()}  {name}\n"
    write_atomic(folder / HASHES, sums.encode())
    return hashlib.sha256(sums.encode()).hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
