"""Makes small copies of COCO 2017, the basketball challenge, a VOC set, DelftBikes: in their true layouts."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = [(1, "person"), (3, "car"), (13, "stop sign"), (90, "toothbrush")]
"""Ids with holes, as COCO's."""

SIZES = [(24, 32), (32, 24), (20, 20), (31, 17)]
"""Heights and widths, in turn."""

ODD = (
    "no box",
    "flat boxes alone",
    "a crowd alone",
    "a box outside alone",
    "a box partly outside",
    "a crowd too",
)
"""What is odd about the first images of a split; the others have one to three boxes each."""

TIMES = bytes.fromhex("5554 0500 01 00000000")
"""An extra field, as zip programs write it between a member's name and its content."""

WITHOUT = 4
"""The first so many have no box that counts."""

# fmt: off
PARTS = [
    "back_hand_break", "back_handle", "back_light", "back_mudguard", "back_pedal", "back_reflector",
    "back_wheel", "bell", "chain", "dress_guard", "dynamo", "front_handbreak", "front_handle", "front_light",
    "front_mudguard", "front_pedal", "front_wheel", "gear_case", "kickstand", "lock", "saddle", "steer",
]
# fmt: on


def picture(size: tuple[int, int], seed: int = 0, kind: str = "JPEG") -> bytes:
    """An image file of noise."""
    rng = np.random.default_rng(seed)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


def outline(box: Sequence[float]) -> list[float]:
    """The corners of a box as a polygon."""
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def runs(size: tuple[int, int], box: Sequence[int]) -> dict[str, Any]:
    """A box as run lengths, column by column."""
    mask = np.zeros(size, bool)
    x, y, w, h = box
    mask[y : y + h, x : x + w] = True
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    return {"size": list(size), "counts": [0, *counts] if flat[0] else counts}


def labels(names: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """What a label file says of images of these names: the first as `ODD`, with polygons and crowds."""
    rng = np.random.default_rng(seed)
    value: dict[str, Any] = {"info": {"year": 2017}, "licenses": [], "images": [], "annotations": []}
    value["categories"] = [
        {"supercategory": "x", "id": id, "name": name} for id, name in reversed(CATEGORIES)
    ]

    def annotate(image: int, box: Sequence[float], size: tuple[int, int], crowd: int = 0) -> None:
        kind = int(rng.choice([id for id, _ in CATEGORIES]))
        entry = {"id": 7 * len(value["annotations"]) + 1000, "image_id": image, "category_id": kind}
        mask: Any = runs(size, [int(side) for side in box]) if crowd else [outline(box)]
        area = float(box[2] * box[3]) * (1 if crowd else 0.75)
        value["annotations"].append(
            entry | {"bbox": list(box), "area": area, "iscrowd": crowd, "segmentation": mask}
        )

    for k, name in enumerate(names):
        size = SIZES[k % len(SIZES)]
        id = 1000 - 3 * k  # neither ascending nor the number in the name
        value["images"].append(
            {"license": 1, "file_name": name, "height": size[0], "width": size[1], "id": id}
        )
        odd = ODD[k] if k < len(ODD) else None
        if odd == "flat boxes alone":
            annotate(id, [3.0, 4.0, 5.0, 0.0], size)
            annotate(id, [3, 4, 0, 5], size)
        elif odd == "a box outside alone":
            annotate(id, [float(size[1]), 2.0, 5.0, 5.0], size)
            annotate(id, [-6.0, 2.0, 6.0, 5.0], size)
        elif odd == "a box partly outside":
            annotate(id, [-2.5, 2.0, 6.25, 5.0], size)
        elif odd != "no box":
            if odd is not None:
                annotate(id, [1, 2, 8, 9], size, crowd=1)
            if odd != "a crowd alone":
                for _ in range(rng.integers(1, 4)):
                    x, y = (round(float(value), 2) for value in rng.uniform(0, 8, 2))
                    w, h = (round(float(value), 2) for value in rng.uniform(4, 9, 2))
                    annotate(id, [x, y, w, h], size)
    rng.shuffle(value["annotations"])
    return value


def make_coco(root: Path, form: str = "folders", train: int = 24, val: int = 9) -> Path:
    """A copy of COCO 2017: `folders`, the owner's `zips` (images stored), or `packed` (deflated)."""
    root.mkdir(parents=True)
    archives: dict[str, list[tuple[str, bytes]]] = {"annotations_trainval2017": []}
    for seed, (folder, count) in enumerate({"train2017": train, "val2017": val}.items()):
        names = [f"{37 * (k + 1) + seed:012d}.jpg" for k in range(count)]
        content = json.dumps(labels(names, seed)).encode()
        archives["annotations_trainval2017"].append((f"annotations/instances_{folder}.json", content))
        files = [(f"{folder}/{name}", picture(SIZES[k % 4], 100 * seed + k)) for k, name in enumerate(names)]
        archives[folder] = files
    for archive, files in archives.items():
        if form == "folders":
            for name, content in files:
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_bytes(content)
        else:
            stored = form == "zips" and archive != "annotations_trainval2017"
            method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            with zipfile.ZipFile(root / f"{archive}.zip", "w", method) as packed:
                packed.mkdir(archive.partition("_")[0])
                for name, content in files:
                    member = zipfile.ZipInfo(name)
                    member.compress_type, member.extra = method, TIMES
                    packed.writestr(member, content)
    return root


def make_basketball(root: Path, test: str = "test_nolabels.json") -> Path:
    """A copy of the basketball challenge: PNGs below folders of their games, run lengths as masks."""
    root.mkdir(parents=True)
    for seed, (split, count) in enumerate({"train": 9, "val": 7, "test": 5}.items()):
        names = [f"game_{k % 2}/shot {k}.png" for k in range(count)]
        value = labels(names, seed)
        value["categories"] = [{"id": 1, "name": "human"}, {"id": 2, "name": "ball"}]
        sizes = {image["id"]: (image["height"], image["width"]) for image in value["images"]}
        for entry in value["annotations"]:
            entry["category_id"] = min(entry["category_id"], 2)
            if not entry["iscrowd"]:
                box = [max(0, round(side)) for side in entry["bbox"]]
                entry["segmentation"] = runs(sizes[entry["image_id"]], box)
        if split == "test" and test == "test_nolabels.json":
            value = {"images": value["images"]}
        (root / (test if split == "test" else f"{split}.json")).write_text(json.dumps(value))
        for k, name in enumerate(names):
            (root / split / name).parent.mkdir(parents=True, exist_ok=True)
            (root / split / name).write_bytes(picture(SIZES[k % 4], 50 * seed + k, "PNG"))
    return root


def voc_object(name: str, box: Sequence[object], extra: str = "") -> str:
    """An object of a VOC annotation."""
    corners = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def voc_annotation(size: tuple[int, int], objects: Sequence[str]) -> str:
    """A VOC annotation."""
    sides = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
    return f"<annotation><filename>x</filename>{sides}{''.join(objects)}</annotation>"


def make_voc(root: Path) -> Path:
    """A VOC set of cats and dogs: 8 images to train on, 3 for validation, 3 for the test."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    stems = [f"2007_{k:06d}" for k in range(14)]
    for k, stem in enumerate(stems):
        size = SIZES[k % 4]
        objects = [voc_object("dog" if k % 3 else "cat", (1 + k % 5, 2, 9 + k % 7, 12))]
        if k == 0:
            objects = [voc_object("cat", (4, 4, 4, 4))]
        if k == 1:
            objects.append(voc_object("cat", ("2.5", 3, "7.25", 8), "<difficult>1</difficult>"))
        if k == 12:
            objects = []
        (root / "Annotations" / f"{stem}.xml").write_text(voc_annotation(size, objects))
        (root / "JPEGImages" / f"{stem}.jpg").write_bytes(picture(size, k))
    lists = {"train": stems[:8], "val": stems[8:11], "test": stems[11:], "trainval": stems[:11]}
    for split, some in lists.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in some))
    return root


def bike(size: tuple[int, int], seed: int) -> dict[str, Any]:
    """What DelftBikes says of an image: parts in all states, absent ones with a box too."""
    rng = np.random.default_rng(seed)
    parts = {}
    for k, name in enumerate(PARTS):
        state = ("intact", "damaged", "occluded", "absent")[int(rng.integers(4))]
        left, top = (int(value) for value in rng.integers(0, 10, 2))
        box = {"left": left, "top": top, "width": 3 + k % 4, "height": 4.5}
        parts[name] = {"part_name": name, "object_state": state, "absolute_bounding_box": box, "trust": 0.9}
    return {"image": {"channels": 3, "height": size[0], "width": size[1]}, "parts": parts}


def make_delftbikes(root: Path, train: int = 16, test: int = 5) -> Path:
    """A copy of DelftBikes."""
    for split, count, file in (("train", train, "train"), ("test", test, "fake_test")):
        (root / split).mkdir(parents=True)
        said = {}
        for k in range(count):
            name = f"{50191 + k}.jpg" if k % 2 else f"F0150f-{2015000510 + k}.jpg"
            said[name] = bike(SIZES[k % 4], 100 * (split == "test") + k)
            (root / split / name).write_bytes(picture(SIZES[k % 4], 100 * (split == "test") + k))
        (root / f"{file}_annotations.json").write_text(json.dumps(said))
    return root
