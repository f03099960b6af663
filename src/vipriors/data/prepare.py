"""Makes a prepared folder from a source: only what a rule or a list picks, checked, hashed, and resumable."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from vipriors.data import files
from vipriors.data.files import Progress, os_errors, write_atomic
from vipriors.data.lists import ListRule
from vipriors.data.manifest import Row, csv_bytes, manifest_hash, write_manifest
from vipriors.data.place import Mode, kind_of, place, plan
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
from vipriors.data.sources.domains import TwoDomains
from vipriors.data.subset import SPLITS, UNLABELLED, Pick, Rule, cut
from vipriors.problems import BadInput, Problem


def prepare(
    source: Source,
    rule: Rule,
    out: Path,
    *,
    challenge: str,
    channels: int,
    mode: Mode = "copy",
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
            `pack` writes a tar file for each split.
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
        "media": kind_of(source).media,
        "classes": list(annotated.names if annotated else source.classes),
        "channels": channels,
        "rule": _described(rule),
        "cut_sha256": _digest([list(source.classes), placed]),
    }
    with os_errors(out):
        _claim(out, identity)
        paths, needed = plan(source, picks, out, mode)
        _check_ids(paths)
        if needed > (free := free_bytes(out)):
            raise BadInput.single(out, f"the images need {needed} bytes, but {free} are free on its disk")
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / UNFINISHED, _json(identity))

        rows = place(source, picks, out, channels=channels, mode=mode, progress=progress)
        _write_test_labels(source, out, picks, rows)
        count = Counter(row.split for row in rows)
        splits = (*SPLITS, UNLABELLED) if count[UNLABELLED] else SPLITS
        dataset = Dataset(
            **identity,
            counts={split: count[split] for split in splits},
            manifest_sha256=manifest_hash(rows),
            annotations_sha256=_write_annotations(annotated, out, picks, rows) if annotated else None,
        )
        write_manifest(out / MANIFEST, rows)
        write_atomic(out / DATASET, _json(dataset.model_dump()))
        (out / UNFINISHED).unlink()
    return Prepared(out, dataset, rows)


def _described(rule: Rule) -> dict[str, Any]:
    if not isinstance(rule, ListRule):
        fields = dataclasses.asdict(rule)
        # Named only where they say something, so that folders from before there were any stay what they are.
        return {
            key: fields[key] for key in fields if rule.unlabelled != 0 or key not in ("unlabelled", "tail")
        }
    part = {"images_per_class": rule.images_per_class, "seed": rule.seed}
    return {"listed": len(rule.rows), "list_sha256": rule.sha256, **part}


def _check_apart(source: Source, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise BadInput.single(out, "is a file; expected a folder to write to")
    for one in (source.source, source.target) if isinstance(source, TwoDomains) else (source,):
        if one.root is None:
            continue
        here, there = out.resolve(), one.root.resolve()
        if here == there or there in here.parents:
            raise BadInput.single(out, f"lies in the source {one.root}, which is never written to")
        if here in there.parents:
            raise BadInput.single(out, f"contains the source {one.root}; expected a folder of its own")


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


def _check_ids(paths: Sequence[str]) -> None:
    """Ids from a list may be equal to each other, or to given ones, only with their suffix."""
    ids = [path.rpartition("/")[2] for path in paths]
    count = Counter(id_.casefold() for id_ in ids)
    twice = sorted({id_ for id_ in ids if count[id_.casefold()] > 1})
    if twice:
        raise BadInput(
            [Problem(f"id {name}", "is not unique; give every row an id or none") for name in twice]
        )


def _write_test_labels(source: Source, out: Path, picks: Sequence[Pick], rows: Sequence[Row]) -> None:
    tests, without = _named(picks, rows, "test"), _named(picks, rows, UNLABELLED)
    hidden = [("unlabelled_sources.csv", _sources(without))] if without else []
    if not tests:
        if hidden:
            _write_hashed(out / LABELS, hidden)
        return
    if isinstance(source, AnnotatedSource):
        labels = [(f"test/{name}", content) for name, content in source.annotations(tests)]
    else:
        content = csv_bytes(("Image IDs", "Labels"), [(id, sample.label) for id, sample in tests])
        labels = [("test.csv", content)]
    _write_hashed(out / LABELS, [*labels, ("test_sources.csv", _sources(tests)), *hidden])


def _sources(named: Sequence[tuple[str, SourceSample]]) -> bytes:
    return csv_bytes(("Image IDs", "Source"), [(id, sample.key) for id, sample in named])


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
