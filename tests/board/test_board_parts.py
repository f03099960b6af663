"""The split of a test, and scores over a part: equal to those of files that hold only that part."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vipriors import tasks
from vipriors.board.parts import restrict, split
from vipriors.data.npz import npz_bytes
from vipriors.tasks.generation_labels import write_labels

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=40, unique=True)


@settings(max_examples=30, deadline=None)
@given(NAMES, st.text(min_size=1), st.floats(0.01, 0.99))
def test_every_id_is_in_one_part_and_both_parts_have_some(ids: list[str], seed: str, share: float) -> None:
    parts = split(ids, seed, share)
    assert sorted([*parts["public"], *parts["private"]]) == list(range(len(ids)))
    assert list(parts["all"]) == list(range(len(ids)))
    assert 1 <= len(parts["public"]) < len(ids)
    assert abs(len(parts["public"]) - share * len(ids)) <= 1
    assert list(parts["public"]) == sorted(parts["public"])


@settings(max_examples=30, deadline=None)
@given(NAMES, st.randoms(use_true_random=False))
def test_order_does_not_matter(ids: list[str], random: Any) -> None:
    shuffled = random.sample(ids, len(ids))
    first, second = split(ids, "s", 0.4)["public"], split(shuffled, "s", 0.4)["public"]
    assert {ids[i] for i in first} == {shuffled[i] for i in second}


def test_the_secret_decides() -> None:
    ids = list(range(1000))
    publics = [set(split(ids, seed, 0.5)["public"].tolist()) for seed in "ab"]
    assert 180 < len(publics[0] & publics[1]) < 320  # a fourth of all by chance


@pytest.mark.parametrize(("ids", "share"), [(["a", "b", "c"], 1.0), (["a"], 0.3)])
def test_where_nothing_is_private_every_part_is_all(ids: list[str], share: float) -> None:
    assert [part.tolist() for part in split(ids, "s", share).values()] == [list(range(len(ids)))] * 3


def png(pixels: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def archive(maps: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name, content in maps.items():
            opened.writestr(f"{name}.png", content)
    return stream.getvalue()


def generated(random: np.random.Generator, kept: Any) -> tuple[bytes, bytes]:
    """Of reference image k it is image k modulo 12 that says whether it is kept."""
    images = random.integers(0, 256, (12 + 60 + 20 + 2000, 4, 4, 1), dtype=np.uint8)
    ids, classes = np.array([f"i{k:02}" for k in range(12)]), np.arange(12) % 3
    weights = {
        "conv0.weight": (2, 1, 3, 3),
        "conv0.bias": (2,),
        "embed.weight": (3, 32),
        "embed.bias": (3,),
        "head.weight": (3, 3),
        "head.bias": (3,),
        "centre": (3,),
    }
    networks = {f"supervised-0/{name}": random.normal(size=shape) for name, shape in weights.items()}
    networks |= {f"supervised-0/{name}": np.array(1.0) for name in ("scale", "accuracy")}
    own, reference = images[:12], images[12:72][np.isin(np.arange(60) % 12, kept)]
    truth = write_labels(ids[kept], own[kept], classes[kept], reference, images[72:92], networks)
    made = random.permutation(own)[kept]
    found = npz_bytes({"generated": images[92:], "ids": ids[kept], "reconstructed": made})
    return truth, found


def files_of(task: str, random: np.random.Generator, kept: set[int]) -> tuple[bytes, bytes]:
    """Labels and predictions of those of 12 images that are kept; always the same for the same `random`."""
    ids = [f"i{k:02}" for k in range(12)]
    classes, guesses = random.integers(0, 3, 12), random.permuted(np.tile(range(7), (12, 1)), axis=1)
    if task in ("classification", "points", "actions"):
        if task != "actions":
            truth, rows = ["Image IDs,Labels"], ["Image IDs,Predictions"]
        else:
            truth, rows = [], []
        for k in sorted(kept):
            if task != "actions":
                truth.append(f"{ids[k]},{classes[k]}")
                rows.append(f"{ids[k]},{guesses[k][0] % 3}")
            else:
                truth.append(f"{ids[k]} {classes[k] + 1}")
                rows.append(" ".join([ids[k], *map(str, guesses[k][:5] + 1)]))
        return "\n".join([*truth, ""]).encode(), "\n".join([*rows, ""]).encode()
    if task == "segmentation":
        maps = random.integers(0, 3, (12, 2, 4, 5))
        return tuple(archive({ids[k]: png(maps[k][side]) for k in kept}) for side in (0, 1))  # type: ignore[return-value]
    if task == "planning":
        nodes, links = [[0, 0], [2, 0], [4, 0]], [[0, 1], [1, 2]]
        one = {"nodes": nodes, "start": 0, "goal": 2, "links": links}
        tries = [" ".join(map(str, [0, 1][k % 2 :][:1] + [1, 2][: guesses[k][0] % 3])) for k in range(12)]
        rows = ["Image IDs,Tries", *(f"{ids[k]},{tries[k]}" for k in sorted(kept))]
        maps = [{"id": ids[k]} | one for k in sorted(kept)]
        return json.dumps({"maps": maps}).encode(), "\n".join([*rows, ""]).encode()
    if task == "generation":
        return generated(random, np.array(sorted(kept)))
    if task == "reid":
        distances = random.random((12, 12))
        truth = ["split,id,person", *(f"query,{ids[k]},p{k % 4}" for k in sorted(kept))]
        truth += [f"gallery,{id_},p{k % 4}" for k, id_ in enumerate(ids)]
        rows = [",".join(["0", *ids])]
        rows += [",".join([ids[k], *map(repr, distances[k].tolist())]) for k in sorted(kept)]
        return "\n".join([*truth, ""]).encode(), "\n".join([*rows, ""]).encode()
    annotations, found = [], []
    for image in range(12):
        for number in range(random.integers(1, 4)):
            x, y, w, h = random.integers(0, 15, 2).tolist() + random.integers(2, 15, 2).tolist()
            kind, score, wrong = (
                int(random.integers(1, 3)),
                float(random.random()),
                int(random.integers(0, 3)),
            )
            for shift, entries in ((0, annotations), (wrong, found)):
                box = [x + shift, y, w, h]
                a, b = x + shift, x + shift + w
                polygon = [[a, y, b, y, b, y + h, a, y + h]]
                entry: dict[str, Any] = {"image_id": image, "category_id": kind}
                if entries is annotations:
                    entry |= {"id": 100 * image + number, "bbox": box, "segmentation": polygon}
                    entry |= {"iscrowd": int(number == 2), "area": float(w * h)}
                elif task == "detection":
                    entry |= {"bbox": box, "score": score}
                else:
                    mask = np.zeros((32, 32), dtype=bool)
                    mask[y : y + h, a:b] = True
                    from vipriors.tasks.rle import encode

                    entry |= {"segmentation": {"size": [32, 32], "counts": encode(mask[None])[0]}}
                    entry |= {"score": score}
                if image in kept:
                    entries.append(entry)
    truth_json = {
        "images": [{"id": k, "height": 32, "width": 32} for k in sorted(kept)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": annotations,
    }
    return json.dumps(truth_json).encode(), json.dumps(found).encode()


@pytest.mark.parametrize("task_name", tasks.names())
def test_a_part_scores_as_files_of_that_part_alone(task_name: str, tmp_path: Path) -> None:
    task = tasks.load(task_name)
    names = ["a", "b", "c"] if task_name != "actions" else [f"c{k}" for k in range(7)]

    def opened(kept: set[int]) -> tuple[Any, Any]:
        truth, predictions = files_of(task_name, np.random.default_rng(7), kept)
        (tmp_path / "labels").write_bytes(truth)
        known = task.open_truth(tmp_path / "labels", names)
        read, problems = task.check(predictions, known.index)
        assert problems == []
        return known, read

    truth, predictions = opened(set(range(12)))
    assert len(truth.index.ids) == 12
    headlines = set()
    for which in list(split(truth.index.ids, "seed", 0.4).values())[:2]:
        some, of_some = restrict(truth, predictions, which)
        found = task.score(of_some, some.labels, some.index, some.classes)
        alone, of_alone = opened(set(which.tolist()))
        expected = task.score(of_alone, alone.labels, alone.index, alone.classes)
        assert found.to_json() == expected.to_json()
        headlines.add(found.estimates[task.HEADLINE].value)
    assert len(headlines) == 2


def in_another_order(task_name: str, labels: bytes) -> bytes:
    """The same labels file with its images the other way round."""
    if task_name in ("detection", "instances"):
        content = json.loads(labels)
        return json.dumps(content | {"images": content["images"][::-1]}).encode()
    if task_name == "segmentation":
        with zipfile.ZipFile(io.BytesIO(labels)) as opened:
            names = reversed(opened.namelist())
            return archive({name.removesuffix(".png"): opened.read(name) for name in names})
    if task_name == "planning":
        return json.dumps({"maps": json.loads(labels)["maps"][::-1]}).encode()
    if task_name == "generation":
        with np.load(io.BytesIO(labels)) as arrays:
            found = dict(arrays)
        return npz_bytes(found | {name: found[name][::-1].copy() for name in ("images", "ids", "classes")})
    lines = labels.decode().splitlines()
    head, rows = ([], lines) if task_name == "actions" else (lines[:1], lines[1:])
    return "\n".join([*head, *reversed(rows), ""]).encode()


@pytest.mark.parametrize("task_name", tasks.names())
def test_a_score_and_its_interval_do_not_hang_on_the_order_of_the_ids(task_name: str, tmp_path: Path) -> None:
    task = tasks.load(task_name)
    names = ["a", "b", "c"] if task_name != "actions" else [f"c{k}" for k in range(7)]
    labels, predictions = files_of(task_name, np.random.default_rng(7), set(range(12)))
    scores = []
    for number, content in enumerate((labels, in_another_order(task_name, labels))):
        (tmp_path / f"labels-{number}").write_bytes(content)
        truth = task.open_truth(tmp_path / f"labels-{number}", names)
        if task_name == "segmentation" and number:  # as a run has them, whose manifest gives the order
            index = replace(truth.index, ids=truth.index.ids[::-1], sizes=truth.index.sizes[::-1])
            truth = replace(truth, index=index)
        read, problems = task.check(predictions, truth.index)
        assert problems == []
        scores.append(task.score(read, truth.labels, truth.index, truth.classes).to_json())
    assert scores[0] == scores[1]
    low, high = scores[0]["intervals"][task.HEADLINE]
    assert low < high
