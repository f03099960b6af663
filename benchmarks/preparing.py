"""Times the preparation of imagenet-50 from a replica, and how near hashing comes to what a core can do.

    python benchmarks/preparing.py [--images 150000] [--json]

The replica has all 150,000 true names and pictures of 8x8 pixels, so what is timed is the work around the
pixels: finding, reading, decoding, hashing, writing. The floor is a bare loop of `shutil.copyfile` or
`os.link` to the same places. Hashing is timed on pictures of the size of ImageNet's. All on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data"))
from replica_imagenet import make_copy, pictures

from vipriors.challenges import find
from vipriors.challenges.published import imagenet_wnids
from vipriors.challenges.schema import read_challenge
from vipriors.data.lists import ListRule
from vipriors.data.prepare import prepare
from vipriors.data.prepared import Prepared
from vipriors.data.sources import ImagenetSource, open_imagenet
from vipriors.data.verify import verify

LARGE = 1000
"""Pictures of noise, of 110 kB on average as those of ImageNet."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=150_000, help="how many of the list")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    challenge = read_challenge(find("imagenet-50"))
    rule = challenge.rule()
    assert isinstance(rule, ListRule)
    part = ListRule(rule.rows[:: max(1, len(rule.rows) // args.images)][: args.images])
    with tempfile.TemporaryDirectory(prefix="vipriors-preparing-") as name:
        records = [*measure(part, Path(name)), hashing(rule, Path(name) / "large")]
    if args.json:
        print(json.dumps(records, indent=1))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def measure(rule: ListRule, folder: Path) -> list[dict[str, object]]:
    """Seconds of preparing by copies, by links and from tars, each beside its floor."""
    flat, tars = replica(rule, folder / "flat", "flat"), replica(rule, folder / "tars", "tars")
    ways: list[tuple[Literal["copy", "link"], Path, Callable[[Path, Path], object]]] = [
        ("copy", flat, shutil.copyfile),
        ("link", flat, os.link),
        ("copy", tars, shutil.copyfile),
    ]
    records: list[dict[str, object]] = []
    for mode, root, place in ways:
        began = time.perf_counter()
        source = opened(rule, root)
        found = time.perf_counter() - began
        out = folder / "out"
        prepared = prepared_from(source, rule, out, mode)
        seconds = time.perf_counter() - began
        plain = folder / "plain"
        least = floor(prepared, opened(rule, flat), rule, plain, place)
        records.append(
            {
                "work": f"{mode} from {root.name}",
                "images": len(prepared.rows),
                "seconds": round(seconds, 2),
                "of_which_finding": round(found, 2),
                "images_per_second": round(len(prepared.rows) / seconds),
                "floor_seconds": round(least, 2),
                "ratio": round(seconds / least, 2),
            }
        )
        shutil.rmtree(out)
        shutil.rmtree(plain)
    return records


def hashing(rule: ListRule, folder: Path) -> dict[str, object]:
    """Bytes a second of verifying a prepared folder, beside SHA-256 of one large buffer."""
    few = ListRule(rule.rows[:LARGE])
    root = replica(few, folder, "flat", pictures(LARGE, 420))
    out = folder.with_name("large-out")
    prepared = prepared_from(opened(few, root), few, out, "copy")
    size = sum((out / row.file).stat().st_size for row in prepared.rows)
    speed = size / min(timed(lambda: verify(out)) for _ in range(3))
    buffer = bytes(1 << 28)
    limit = len(buffer) / min(timed(lambda: hashlib.sha256(buffer)) for _ in range(3))
    return {
        "work": "verify",
        "images": len(prepared.rows),
        "mean_bytes": size // len(prepared.rows),
        "MB_per_second": round(speed / 1e6),
        "limit_MB_per_second": round(limit / 1e6),
        "share_of_limit": round(speed / limit, 2),
    }


def replica(rule: ListRule, root: Path, form: str, contents: list[bytes] | None = None) -> Path:
    training = [(row.source[:9], row.source[10:]) for row in rule.rows if "/" in row.source]
    validation = [(imagenet_wnids()[row.source], row.source) for row in rule.rows if "/" not in row.source]
    return make_copy(root, training, validation, form, contents or pictures(300))


def opened(rule: ListRule, root: Path) -> ImagenetSource:
    return open_imagenet(root, (row.source for row in rule.rows), imagenet_wnids())


def prepared_from(
    source: ImagenetSource, rule: ListRule, out: Path, mode: Literal["copy", "link"]
) -> Prepared:
    return prepare(source, rule, out, challenge="imagenet-50", channels=3, mode=mode)


def floor(
    prepared: Prepared,
    source: ImagenetSource,
    rule: ListRule,
    out: Path,
    place: Callable[[Path, Path], object],
) -> float:
    """Seconds of a loop that does nothing but put the same files in the same places."""
    origin = {row.id: source.places[row.source] for row in rule.rows}
    for split in ("train", "val", "test"):
        (out / "images" / split).mkdir(parents=True)
    began = time.perf_counter()
    for row in prepared.rows:
        file = origin[row.id]
        assert isinstance(file, Path)
        place(file, out / row.file)
    return time.perf_counter() - began


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
