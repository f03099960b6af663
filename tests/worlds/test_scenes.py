import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as mask_api

from vipriors import challenges, tasks
from vipriors.challenges.schema import read_challenge
from vipriors.data.images import read_image
from vipriors.data.prepared import Prepared
from vipriors.data.sources import AnnotatedSource
from vipriors.problems import BadInput
from vipriors.runs.prepared import prepare_challenge
from vipriors.worlds import load_source, scenes
from vipriors.worlds._compose import box_of
from vipriors.worlds._digits import OPAQUE, handwriting, pool
from vipriors.worlds.scenes import SIZE, render

KEYS = [f"scenes/{split}/{number}" for split in ("train", "test") for number in range(60)]


def prepared(name: str, folder: Path) -> Prepared:
    challenge = read_challenge(challenges.find(name))
    return prepare_challenge(challenge, challenge.rule(), folder)


def annotations_of(task: str, count: int = 40) -> dict[str, bytes]:
    source = load_source("scenes", task)
    assert isinstance(source, AnnotatedSource)
    return dict(source.annotations([(f"image_{k}.png", source.samples[k]) for k in range(count)]))


@pytest.mark.parametrize(
    ("key", "image", "label_map"),
    [
        ("scenes/train/0", "6665daf1ae13f538", "605d7ca92d4651ee"),
        ("scenes/train/399", "49897862a9949d7b", "217143ce6c706ff7"),
        ("scenes/test/17", "fdbba1c55b868fdd", "c997dbea6e588f2e"),
    ],
)
def test_scenes_are_the_same_everywhere(key: str, image: str, label_map: str) -> None:
    source = load_source("scenes", "segmentation")
    assert isinstance(source, AnnotatedSource)
    sample = next(sample for sample in source.samples if sample.key == key)
    suffix, content = source.content(sample)
    [(name, png)] = source.annotations([("image_3.png", sample)])
    assert (suffix, name) == (".png", "image_3.png")
    assert isinstance(content, bytes) and read_image(content).shape == (SIZE, SIZE, 3)
    assert hashlib.sha256(content).hexdigest()[:16] == image
    assert hashlib.sha256(png).hexdigest()[:16] == label_map


def test_fine_scenes_are_the_same_everywhere_and_tell_digits_from_all_else() -> None:
    source = load_source("scenes", "segmentation", "fine")
    assert isinstance(source, AnnotatedSource)
    assert source.names == ("background", "digit") and source.classes == ("image",)
    assert Counter(sample.split for sample in source.samples) == {"train": 400, "test": 200}
    keys = {sample.key for sample in source.samples}
    assert len(keys) == 600 and not keys & {
        sample.key for sample in load_source("scenes", "detection").samples
    }
    hashes = []
    for sample in (source.samples[0], source.samples[599]):
        _, content = source.content(sample)
        [(name, png)] = source.annotations([("img_7.png", sample)])
        assert isinstance(content, bytes) and name == "img_7.png"
        scene = render(sample.key, 2)
        assert np.array_equal(read_image(content), scene.image) and scene.image.shape == (192, 192, 3)
        assert np.array_equal(read_image(png)[:, :, 0], scene.owners != 0)
        assert min(scene.seen) >= 0.65
        hashes += [hashlib.sha256(data).hexdigest()[:16] for data in (content, png)]
    assert hashes == ["accd70fa2a3a9b96", "269e20131244cff9", "11bf18d1c79d6a62", "add5ed1e70f89685"]


def test_fine_scenes_are_drawn_fine() -> None:
    """Not enlarged: outlines go between the pixels of a scene of half the size, in the picture too."""
    rendered = [render(f"scenes/train/fine/{number}", 2) for number in range(8)]
    digits = np.stack([scene.owners != 0 for scene in rendered])
    blocks = digits.reshape(8, 96, 2, 96, 2).sum(axis=(2, 4))
    border = np.isin(blocks, (1, 2, 3))
    # Of a straight outline in any direction about 3 of 4 blocks that it touches are cut.
    touched = digits[:, 1:-1, 1:-1] & ~(
        digits[:, :-2, 1:-1] & digits[:, 2:, 1:-1] & digits[:, 1:-1, :-2] & digits[:, 1:-1, 2:]
    )
    assert border.sum() > 0.2 * touched.sum()
    # Digits are as large in the scene as in plain ones.
    plain = np.mean([(render(f"scenes/train/{number}").owners != 0).mean() for number in range(60)])
    fine = np.mean([(render(f"scenes/train/fine/{number}", 2).owners != 0).mean() for number in range(30)])
    assert 0.7 * plain < fine < 1.4 * plain


@pytest.mark.parametrize(
    ("task", "variant", "message"),
    [
        ("segmentation", "coarse", "has no variant 'coarse'; expected one of plain, fine"),
        ("detection", "fine", "has no labels for detection; expected task segmentation"),
    ],
)
def test_another_variant(task: str, variant: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_source("scenes", task, variant)
    assert str(caught.value) == f"world scenes: {message}"


def test_what_there_is() -> None:
    source = load_source("scenes", "segmentation")
    assert Counter(sample.split for sample in source.samples) == {"train": 400, "test": 200}
    assert len({sample.key for sample in source.samples}) == 600
    assert isinstance(source, AnnotatedSource)
    assert source.names == ("background", *"0123456789") and source.classes == ("image",)


def test_another_task_has_no_labels() -> None:
    with pytest.raises(BadInput) as caught:
        load_source("scenes", "actions")
    expected = "world scenes: has no labels for actions; expected task segmentation, detection, instances"
    assert str(caught.value) == expected


def test_coco_needs_a_number_in_each_name() -> None:
    source = load_source("scenes", "detection")
    assert isinstance(source, AnnotatedSource)
    with pytest.raises(BadInput) as caught:
        dict(source.annotations([("first.png", source.samples[0])]))
    expected = "first.png: ends in no number, which is COCO's id; expected such as img_17.png"
    assert str(caught.value) == expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_handwriting_of_the_other_part_does_not_matter(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"scenes/{split}/{number}" for number in range(13)] + [
        f"scenes/{split}/fine/{n}" for n in range(2)
    ]
    before = [render(key) for key in keys]
    inks, classes = handwriting()
    for part, same in ((split != "test", True), (split == "test", False)):
        blank = inks.copy()
        blank[[digit for of_class in pool(test=part) for digit in of_class]] = 0
        monkeypatch.setattr(scenes, "handwriting", lambda blank=blank: (blank, classes))
        if same:
            after = [render.__wrapped__(key) for key in keys]
            assert all(np.array_equal(a.image, b.image) for a, b in zip(before, after, strict=True))
        else:
            with pytest.raises(ZeroDivisionError):  # digits of no pixels
                render.__wrapped__(keys[0])


def test_owners_and_shares_are_those_of_the_things_laid_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    laid: list[tuple[np.ndarray, tuple[int, int], int | None]] = []
    add: Callable[..., bool] = scenes._Canvas.add

    def recorded(
        canvas: object, alpha: np.ndarray, middle: tuple[int, int], class_: int | None = None
    ) -> bool:
        before = canvas.picture.copy()  # type: ignore[attr-defined]
        added = add(canvas, alpha, middle, class_)
        if added:
            laid.append((alpha, middle, class_))
            box, part = box_of(alpha, middle, SIZE)
            assert len(set(map(tuple, canvas.picture[box][part == OPAQUE].tolist()))) <= 1  # type: ignore[attr-defined]
            changed = (canvas.picture != before).any(2)  # type: ignore[attr-defined]
            changed[box] &= part == 0
            assert not changed.any()
        else:
            assert np.array_equal(before, canvas.picture)  # type: ignore[attr-defined]
        return added

    monkeypatch.setattr(scenes._Canvas, "add", recorded)
    for key in KEYS[::8]:
        laid.clear()
        scene = render.__wrapped__(key)
        owners, sizes, classes = np.zeros((SIZE, SIZE), int), [], []
        for alpha, middle, class_ in laid:
            if class_ is not None:
                sizes.append(0)
                classes.append(class_)
            for i, j in np.argwhere(alpha > 128).tolist():
                row, column = middle[0] - len(alpha) // 2 + i, middle[1] - len(alpha) // 2 + j
                sizes[-1:] = [sizes[-1] + 1] if class_ is not None else sizes[-1:]
                if 0 <= row < SIZE and 0 <= column < SIZE:
                    owners[row, column] = len(sizes) if class_ is not None else 0
        assert scene.classes == tuple(classes)
        assert scene.owners.tolist() == owners.tolist()
        shares = [int((owners == k).sum()) / size for k, size in enumerate(sizes, start=1)]
        assert scene.seen == pytest.approx(shares) and min(shares) >= 0.65


def test_boxes_are_tight_masks_are_disjoint_and_maps_say_the_same() -> None:
    boxes = json.loads(annotations_of("detection")["labels.json"])
    masks = json.loads(annotations_of("instances")["labels.json"])
    maps = annotations_of("segmentation")
    assert boxes["images"] == masks["images"] and len(boxes["annotations"]) == len(masks["annotations"])
    assert [category["name"] for category in boxes["categories"]] == list("0123456789")
    covered = {image["id"]: np.zeros((SIZE, SIZE), int) for image in masks["images"]}
    labels = {image["id"]: np.zeros((SIZE, SIZE), int) for image in masks["images"]}
    for box, object_ in zip(boxes["annotations"], masks["annotations"], strict=True):
        runs = mask_api.frPyObjects(object_["segmentation"], SIZE, SIZE)
        mask = mask_api.decode(runs)
        assert mask.shape == (SIZE, SIZE)
        assert object_["bbox"] == mask_api.toBbox(runs).tolist() == box["bbox"]
        assert object_["area"] == mask.sum() and box["area"] == box["bbox"][2] * box["bbox"][3]
        assert "segmentation" not in box
        for key in ("id", "image_id", "category_id", "iscrowd"):
            assert box[key] == object_[key]
        covered[object_["image_id"]] += mask
        labels[object_["image_id"]] += mask * object_["category_id"]
    for image in masks["images"]:
        assert (image["height"], image["width"]) == (SIZE, SIZE)
        assert image["file_name"] == f"image_{image['id']}.png"
        assert covered[image["id"]].max() == 1
        assert read_image(maps[image["file_name"]])[:, :, 0].tolist() == labels[image["id"]].tolist()


def test_scenes_are_varied_and_classes_are_even() -> None:
    rendered = [render(f"scenes/train/{number}") for number in range(250)]
    count = Counter(class_ for scene in rendered for class_ in scene.classes)
    mean = count.total() / 10
    assert set(count) == set(range(10))
    assert all(0.7 * mean < n < 1.3 * mean for n in count.values())
    assert {len(scene.classes) for scene in rendered} == {2, 3, 4, 5, 6}
    seen = [share for scene in rendered for share in scene.seen]
    assert min(seen) >= 0.65 and np.mean(np.array(seen) < 0.9) > 0.2
    pixels = [int((scene.owners == k + 1).sum()) for scene in rendered for k in range(len(scene.classes))]
    assert np.percentile(pixels, 95) > 4 * np.percentile(pixels, 5)


def test_segmentation_prepared_and_scored(tmp_path: Path) -> None:
    data = prepared("digits-segmentation", tmp_path / "data")
    assert data.dataset.counts == {"train": 70, "val": 30, "test": 200}
    task = tasks.load("segmentation")
    for split in ("train", "val", "test"):
        folder = data.labels_of(split)
        assert folder is not None
        truth = task.open_truth(folder, data.dataset.classes)
        assert len(truth.index.ids) == data.dataset.counts[split]
    assert folder is not None
    maps = [read_image(folder / f"{id_}.png")[:, :, 0] for id_ in truth.index.ids]
    task.write(tmp_path / "perfect.zip", truth.index.ids, maps)
    predictions, problems = task.check((tmp_path / "perfect.zip").read_bytes(), truth.index)
    assert problems == []
    score = task.score(predictions, truth.labels, truth.index, truth.classes)
    assert score.estimates[task.HEADLINE].value == 1
    assert sorted(path.name for path in (data.root / "annotations").iterdir()) == [
        "SHA256SUMS",
        "train",
        "val",
    ]


@pytest.mark.parametrize("kind", ["detection", "instances"])
def test_objects_prepared_and_scored(kind: str, tmp_path: Path) -> None:
    data = prepared(f"digits-{kind}", tmp_path / "data")
    task = tasks.load(kind)
    for split in ("train", "val", "test"):
        file = data.labels_of(split)
        assert file is not None
        truth = task.open_truth(file, data.dataset.classes)
        assert len(truth.index.ids) == data.dataset.counts[split]
    assert file is not None
    content = json.loads(file.read_bytes())
    given = ("image_id", "category_id", "bbox" if kind == "detection" else "segmentation")
    results = [{key: object_[key] for key in given} | {"score": 0.5} for object_ in content["annotations"]]
    predictions, problems = task.check(json.dumps(results).encode(), truth.index)
    assert problems == []
    score = task.score(predictions, truth.labels, truth.index, truth.classes)
    assert score.estimates["AP"].value == pytest.approx(1, abs=1e-12)
    index = json.loads((data.root / "annotations" / "test" / "images.json").read_bytes())
    assert index == {key: content[key] for key in ("images", "categories")}
