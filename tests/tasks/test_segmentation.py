import io
import json
import math
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vipriors.problems import BadInput
from vipriors.tasks.class_map import CITYSCAPES, Class, Classes, plain
from vipriors.tasks.label_map import encode
from vipriors.tasks.segmentation import MapIndex, Predictions, check, index_of, read_labels, score, write

CLASSES = plain(["cat", "dog", "sky"])
INDEX = MapIndex(("1", "2", "3"), ((2, 3), (2, 3), (3, 2)), CLASSES)
MAPS = [
    np.array([[0, 0, 1], [2, 2, 255]]),
    np.array([[1, 1, 1], [0, 0, 0]]),
    np.array([[2, 2], [2, 0], [1, 1]]),
]


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, content in files.items():
            archive.writestr(
                path, content if isinstance(content, bytes) else encode(content.astype(np.uint8))
            )
    return stream.getvalue()


def files_of(maps=MAPS, **changes):
    return {**{f"{id_}.png": map_ for id_, map_ in zip(INDEX.ids, maps, strict=True)}, **changes}


def problems_in(data, index=INDEX):
    predictions, problems = check(data, index, "file.zip")
    assert predictions is None
    return [str(problem) for problem in problems]


def png16(instances):
    stream = io.BytesIO()
    Image.fromarray(instances.astype(np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def labels_of(maps, instances=None, ids=None):
    ids = ids or [str(number) for number in range(len(maps))]
    files = {f"{id_}_gtFine_labelIds.png": map_ for id_, map_ in zip(ids, maps, strict=True)}
    for id_, map_ in zip(ids, instances or [], strict=instances is not None):
        files[f"{id_}_gtFine_instanceIds.png"] = png16(map_)
    return read_labels(zipped(files))


def predictions_of(maps):
    return Predictions(tuple(None if map_ is None else encode(map_.astype(np.uint8)) for map_ in maps))


def scored(truth, predicted, classes=CLASSES, instances=None):
    labels = labels_of(truth, instances)
    index = index_of(labels, classes)
    order = [int(id_) for id_ in index.ids]
    return score(predictions_of([predicted[i] for i in order]), labels, index, classes.names)


def values_of(found):
    """All scores but the boundary IoU, which has its own tests."""
    estimates = found.estimates.items()
    return {name: estimate.value for name, estimate in estimates if name != "boundary_iou"}


# Good files


def test_published_form():
    predictions, problems = check(zipped(files_of()), INDEX)
    assert problems == []
    assert predictions == predictions_of(MAPS)


def test_top_folder_stray_files_and_names_of_cityscapes_images():
    names = ["results/1_leftImg8bit.png", "results/2.PNG", "results/3.png"]
    strays = {"__MACOSX/results/._1.png": b"x", "results/.DS_Store": b"x", "results/Thumbs.db": b"x"}
    data = zipped({**dict(zip(names, MAPS, strict=True)), **strays, "desktop.ini": b""})
    assert check(data, INDEX)[0] == predictions_of(MAPS)


def test_palette_images_hold_ids():
    stream = io.BytesIO()
    image = Image.fromarray(MAPS[0].astype(np.uint8), "P")
    image.putpalette(bytes(range(256)) * 3)
    image.save(stream, "PNG")
    assert check(zipped(files_of(**{"1.png": stream.getvalue()})), INDEX)[1] == []


# Bad files


def test_every_problem_is_listed():
    colour = io.BytesIO()
    Image.new("RGB", (3, 2)).save(colour, "PNG")
    data = zipped(
        {
            "1.png": colour.getvalue(),
            "2.png": MAPS[1].T,
            "02.png": MAPS[1],
            "notes.txt": b"hello",
            "more/3.png": MAPS[2],
            "../3.png": MAPS[2],
            "2_leftImg8bit.png": MAPS[1],
        }
    )
    top = "is not expected here; expected only <id>.png, at the top or in one folder around all"
    assert problems_in(data) == [
        "file.zip, '../3.png': climbs out of the archive; expected a path without '..'",
        "file.zip, '1.png': 8-bit colour; expected an 8-bit grey or palette PNG of label ids",
        "file.zip, '2.png': 2 x 3 pixels; expected 3 x 2",
        "file.zip, '02.png': '02' is not an id of the test set",
        f"file.zip, 'notes.txt': {top}",
        f"file.zip, 'more/3.png': {top}",
        "file.zip, '2_leftImg8bit.png': a second map of '2', after '2.png'; expected one",
        "file.zip: no map for '3'; expected one per image, '3.png'",
    ]


def test_of_each_kind_twenty_are_listed_and_the_rest_counted():
    index = MapIndex(tuple(f"{i:02}" for i in range(30)), ((1, 1),) * 30, CLASSES)
    found = problems_in(zipped({f"{i:02}.png": np.array([[9]]) for i in range(25)}), index)
    unknown = "ids 9 are not in the class map; expected 0 to 2, 255"
    assert found == [
        *(f"file.zip, '{i:02}.png': {unknown}" for i in range(20)),
        "file.zip: 25 maps with unknown ids in all; the first 20 are listed",
        *(f"file.zip: no map for '{i:02}'; expected one per image, '{i:02}.png'" for i in range(25, 30)),
    ]


def test_a_csv_is_no_archive():
    assert problems_in(b"Image IDs,Predictions\n") == [
        "file.zip: not a zip archive: starts with b'Image ID'; expected one that starts with b'PK\\x03\\x04'"
    ]


def test_files_larger_than_any_honest_one_are_refused():
    archive_bytes = 4 * 18 + 3 * 2**16 + 2**26
    assert problems_in(b"PK\x03\x04" + bytes(archive_bytes)) == [
        f"file.zip: the file has {archive_bytes + 4:,} bytes; expected at most {archive_bytes:,}"
    ]
    padded = encode(MAPS[0].astype(np.uint8)) + bytes(70_000)
    assert problems_in(zipped(files_of(**{"1.png": padded}))) == [
        f"file.zip, '1.png': has {len(padded):,} bytes; expected at most 65,560"
    ]


# The published scorer's faults


def test_ids_beyond_the_class_map_are_no_index_error():
    """There a predicted 34 or a train id of 255 raises an IndexError while scoring."""
    index = MapIndex(("1",), ((1, 4),), CITYSCAPES)
    assert problems_in(zipped({"1.png": np.array([[7, 34, 35, 255]])}), index) == [
        "file.zip, '1.png': ids 34 to 35, 255 are not in the class map; expected 0 to 33"
    ]
    assert check(zipped({"1.png": np.array([[0, 33, 9, 7]])}), index)[1] == []


def test_missing_doubled_and_misshapen_maps_are_all_listed_not_the_first():
    """There each of these ends the program at the first image that has it."""
    data = zipped({"1.png": MAPS[0][:, :2], "2.png": MAPS[1], "2_gtFine_labelIds.png": MAPS[1]})
    assert problems_in(data) == [
        "file.zip, '1.png': 2 x 2 pixels; expected 3 x 2",
        "file.zip, '2_gtFine_labelIds.png': a second map of '2', after '2.png'; expected one",
        "file.zip: no map for '3'; expected one per image, '3.png'",
    ]


def test_submissions_are_scored_by_the_names_they_are_handed_in_with():
    """There the scored files carry city names, and the test images numbers: what was tested was never run."""
    ids = ["11400714819323198485", "9", "frankfurt_000000_000294"]
    labels = labels_of(MAPS, ids=ids)
    index = index_of(labels, CLASSES)
    names = ["11400714819323198485.png", "9.png", "frankfurt_000000_000294_leftImg8bit.png"]
    predictions, problems = check(zipped(dict(zip(names, MAPS, strict=True))), index)
    assert problems == []
    assert score(predictions, labels, index, CLASSES.names).estimates["iou_class"].value == 1


def test_leaving_out_hard_images_gains_nothing():
    data = zipped({"1.png": MAPS[0]})
    assert len(problems_in(data)) == 2
    predictions, problems = check(data, INDEX, allow_missing=True)
    assert problems == []
    labels = labels_of(MAPS, ids=INDEX.ids)
    found = score(predictions, labels, INDEX, CLASSES.names)
    assert values_of(found) == pytest.approx(
        {"iou_class": (2 / 6 + 1 / 6 + 2 / 5) / 3, "pixel_accuracy": 5 / 17}
    )
    assert (found.details["n_test"], found.details["n_predicted"]) == (3, 1)
    assert found.details["confusion"] == [[2, 0, 0, 4], [0, 1, 0, 5], [0, 0, 2, 3]]


def test_accuracy_leaves_out_ignored_pixels():
    """There pixels with an ignored label count as wrong, or as right if the ignored class is predicted."""
    truth = [np.array([[0, 1, 255, 255]])]
    for ignored in (0, 255):
        found = scored(truth, [np.array([[0, 0, ignored, ignored]])])
        assert found.estimates["pixel_accuracy"].value == 0.5


# Writing


def test_write_gives_the_same_bytes_in_any_order(tmp_path):
    path = tmp_path / "new" / "file.zip"
    write(path, INDEX.ids, iter(MAPS))
    data = path.read_bytes()
    assert check(data, INDEX) == (predictions_of(MAPS), [])
    write(path, INDEX.ids[::-1], MAPS[::-1])
    assert path.read_bytes() == data
    assert [entry.name for entry in path.parent.iterdir()] == ["file.zip"]


def test_write_lists_what_is_unfit_and_writes_nothing(tmp_path):
    path = tmp_path / "file.zip"
    maps = [MAPS[0] / 2, MAPS[1] - 1, MAPS[2] + 300, np.zeros((0, 3), int), np.zeros((2, 2, 1), int), MAPS[0]]
    with pytest.raises(BadInput) as error:
        write(path, ["a", "a", "../b", "c_labelIds", ""], maps)
    expected = "expected plain text without / \\ : , a dot at its start, or an ending that Cityscapes adds"
    assert [str(problem) for problem in error.value.problems] == [
        f"{path}: id 'a' occurs 2 times; expected once",
        *(
            f"{path}: id {id_!r} cannot be the name of a map; {expected}"
            for id_ in ("../b", "c_labelIds", "")
        ),
        f"{path}, 'a.png': shape (2, 3) of float64; expected (H, W) integers",
        f"{path}, 'a.png': ids -1 to 0; expected 0 to 255",
        f"{path}, '../b.png': ids 300 to 302; expected 0 to 255",
        f"{path}, 'c_labelIds.png': 0 pixels; expected 1 to 67,108,864",
        f"{path}, '.png': shape (2, 2, 1) of int64; expected (H, W) integers",
        f"{path}: 6 maps; expected 5, one for each id",
    ]
    assert not path.exists()


# Labels and index


def test_labels_from_folder_zip_and_bytes_are_the_same(tmp_path):
    folder = tmp_path / "gtFine"
    for name, content in {
        "a/a_1_gtFine_labelIds.png": encode(np.array([[7, 26]], np.uint8)),
        "a/a_1_gtFine_instanceIds.png": png16(np.array([[7, 26001]])),
        "a/a_1_gtFine_color.png": b"no image at all",
        "a/a_1_gtFine_polygons.json": b"{}",
        "a/.DS_Store": b"",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    file = tmp_path / "labels.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    for labels in (read_labels(folder), read_labels(file), read_labels(file.read_bytes())):
        (image,) = labels.images.values()
        assert (*labels.images, image.size, image.label_ids, image.instance_classes) == (
            *("a_1", (1, 2), {7, 26}, {26}),
        )
        truth, instances = image.load("a_1")
        assert (truth.tolist(), instances.tolist()) == ([[7, 26]], [[7, 26001]])
        assert index_of(labels, CITYSCAPES) == MapIndex(("a_1",), ((1, 2),), CITYSCAPES)


def test_plain_labels(tmp_path):
    (tmp_path / "b.png").write_bytes(encode(MAPS[0].astype(np.uint8)))
    (tmp_path / "a.png").write_bytes(encode(MAPS[2].astype(np.uint8)))
    labels = read_labels(tmp_path)
    assert index_of(labels, CLASSES) == MapIndex(("a", "b"), ((3, 2), (2, 3)), CLASSES)
    (tmp_path / "a.png").write_bytes(b"gone")
    predictions = predictions_of([MAPS[2], MAPS[0]])
    with pytest.raises(BadInput, match="labels, 'a': not a PNG"):
        score(predictions, labels, index_of(labels, CLASSES), CLASSES.names)


def test_every_fault_of_labels_is_listed():
    small = np.array([[1]])
    files = {
        "a_labelIds.png": small,
        "b/a_gtFine_labelIds.png": small,
        "c_labelIds.png": b"x",
        "d_labelIds.png": small,
        "a_instanceIds.png": png16(np.array([[1, 2]])),
        "c_instanceIds.png": png16(small),
        "e_instanceIds.png": png16(small),
    }
    with pytest.raises(BadInput) as error:
        read_labels(zipped(files), "labels.zip")
    assert [str(problem) for problem in error.value.problems] == [
        "labels.zip, 'a_instanceIds.png': 2 x 1 pixels; expected 1 x 1",
        "labels.zip, 'c_labelIds.png': not a PNG: starts with b'x'; "
        "expected an 8-bit grey or palette PNG of label ids",
        "labels.zip, 'b/a_gtFine_labelIds.png': a second map of 'a', after 'a_labelIds.png'; expected one",
        "labels.zip, 'd_labelIds.png': there is no instance map for it, as for others; expected all or none",
        "labels.zip, 'e_instanceIds.png': there is no label map for it; expected one",
    ]


@pytest.mark.parametrize("kind", ["empty folder", "no file", "empty zip"])
def test_labels_that_are_not_there(tmp_path, kind):
    data = {"empty folder": tmp_path, "no file": tmp_path / "x.zip", "empty zip": zipped({"a.txt": b""})}[
        kind
    ]
    with pytest.raises(BadInput, match="No such file" if kind == "no file" else "there is no PNG"):
        read_labels(data)


def test_labels_must_fit_the_class_map():
    labels = labels_of(
        [np.array([[0, 40]]), np.array([[26, 26]])], [np.array([[0, 7002]]), np.array([[5, 26001]])]
    )
    with pytest.raises(BadInput) as error:
        index_of(labels, CITYSCAPES)
    assert [str(problem) for problem in error.value.problems] == [
        "labels, '0': ids 40 are not in the class map; expected 0 to 33",
        "labels, '0': instances of class 7; expected of 24 to 33",
    ]
    with pytest.raises(BadInput, match="labels: no pixel has an evaluated class; expected some"):
        index_of(labels_of([np.array([[0, 1]])]), CITYSCAPES)


def test_index_lists_every_fault():
    with pytest.raises(BadInput) as error:
        MapIndex(("a", "a", ".b"), ((1, 1), (0, 5), (70_000, 70_000), (1, 1)), CLASSES)
    assert [str(problem).partition(";")[0] for problem in error.value.problems] == [
        "index: 4 sizes",
        "index: id 'a' occurs 2 times",
        "index: id '.b' cannot be the name of a map",
        "index: 'a' is 5 x 0",
        "index: '.b' is 70000 x 70000",
    ]
    with pytest.raises(BadInput, match="no ids"):
        MapIndex((), (), CLASSES)


def test_what_does_not_fit_the_index_is_refused():
    labels = labels_of([MAPS[0], MAPS[0], MAPS[0]], ids=["1", "3", "4"])
    with pytest.raises(BadInput) as error:
        score(predictions_of(MAPS[:2]), labels, INDEX, ["a"])
    assert [str(problem) for problem in error.value.problems] == [
        "labels: no map for '2'; expected one per image",
        "labels, '3': 3 x 2 pixels; expected 2 x 3",
        "labels: '4' is not an id of the test set",
        "predictions: 2 maps; expected 3",
        "class names: 1 names; expected 3",
    ]
    labels = labels_of(MAPS, ids=INDEX.ids)
    with pytest.raises(BadInput, match="predictions, '1': 2 x 3 pixels; expected 3 x 2"):
        score(predictions_of([MAPS[0].T, *MAPS[1:]]), labels, INDEX, CLASSES.names)


# Scores


def test_small_known_case():
    truth, predicted = np.array([[0, 0, 0, 1], [1, 2, 255, 255]]), np.array([[0, 0, 1, 1], [2, 255, 0, 2]])
    found = scored([truth], [predicted])
    # cat: 2 right, 1 lost; dog: 1 right, 1 lost, 1 from cat; sky: 1 lost as void, 1 from dog
    assert values_of(found) == pytest.approx({"iou_class": (2 / 3 + 1 / 3 + 0) / 3, "pixel_accuracy": 3 / 6})
    # Two rows are all band.
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["details"] == {
        "n_test": 1,
        "n_predicted": 1,
        "classes": ["cat", "dog", "sky"],
        "per_class": [
            {"class": "cat", "pixels": 3, "iou": 2 / 3, "boundary_iou": 2 / 3},
            {"class": "dog", "pixels": 2, "iou": 1 / 3, "boundary_iou": 1 / 3},
            {"class": "sky", "pixels": 1, "iou": 0.0, "boundary_iou": 0.0},
        ],
        "per_category": [],
        "confusion": [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]],
    }


def test_classes_in_neither_labels_nor_predictions_do_not_count():
    found = scored([np.array([[0, 1]])], [np.array([[0, 0]])])
    assert found.estimates["iou_class"].value == (0.5 + 0) / 2
    assert [row["iou"] for row in found.details["per_class"]] == [0.5, 0.0, None]
    found = scored([np.array([[0, 1]])], [np.array([[0, 2]])])
    assert found.estimates["iou_class"].value == pytest.approx((1 + 0 + 0) / 3)


def test_confusion_is_for_at_most_40_classes():
    for classes in (40, 41):
        found = scored([np.array([[0]])], [np.array([[0]])], plain([f"c{i}" for i in range(classes)]))
        assert ("confusion" in found.details) == (classes == 40)


def street(rng, height=24, width=40):
    """Blocks of label ids with instances in the published form: id × 1000 + number."""
    labels = np.zeros((height, width), dtype=np.int64)
    instances = np.zeros_like(labels)
    number = {}
    for _ in range(rng.integers(3, 30)):
        top, left = rng.integers(0, height), rng.integers(0, width)
        block = np.s_[top : top + rng.integers(1, 12), left : left + rng.integers(1, 16)]
        id_ = int(rng.integers(0, 34))
        labels[block] = instances[block] = id_
        if id_ >= 24 and rng.random() < 0.8:
            number[id_] = number.get(id_, -1) + 1
            instances[block] = id_ * 1000 + number[id_]
    return labels, instances


def guess(rng, labels):
    """A prediction with whole blocks and single pixels wrong, sometimes as an ignored class."""
    predicted = labels.copy()
    for _ in range(rng.integers(0, 8)):
        top, left = rng.integers(0, labels.shape[0]), rng.integers(0, labels.shape[1])
        predicted[top : top + 9, left : left + 9] = rng.integers(0, 34)
    noise = rng.random(labels.shape) < 0.1
    predicted[noise] = rng.integers(0, 34, noise.sum())
    return predicted


def slow_scores(truths, predictions, instance_maps, classes=CITYSCAPES):
    """The scores pixel by pixel, in sets and fractions of the definition."""
    by_id = {class_.id: class_ for class_ in classes.all}

    def mean(values):
        values = [value for value in values if value is not None]
        return sum(values) / len(values)

    def ratio(tp, fn, fp):
        return tp / (tp + fn + fp) if tp + fn + fp else None

    pixels = [
        (
            by_id[int(t)],
            None if p is None else by_id[int(p.flat[i])],
            None if m is None else int(m.flat[i]),
            n,
        )
        for n, (truth, p, m) in enumerate(zip(truths, predictions, instance_maps, strict=True))
        for i, t in enumerate(truth.flat)
    ]
    counted = [pixel for pixel in pixels if not pixel[0].ignored]
    sizes = {}
    for _, _, instance, n in pixels:
        sizes[n, instance] = sizes.get((n, instance), 0) + 1

    def iou(in_label, in_prediction):
        tp = fn = fp = 0
        for t, p, _, _ in counted:
            found = p is not None and in_prediction(p)
            tp += in_label(t) and found
            fn += in_label(t) and not found
            fp += not in_label(t) and found
        return ratio(tp, fn, fp)

    def instance_iou(in_label, in_prediction, label_outside):
        tp = fn = 0.0
        for _, p, instance, n in pixels:
            if instance <= 1000:
                continue
            own = by_id[instance // 1000]
            if own.ignored or not in_label(own):
                continue
            weight = own.instance_size / sizes[n, instance]
            if p is not None and in_prediction(p):
                tp += weight
            else:
                fn += weight
        fp = sum(1 for t, p, _, _ in counted if label_outside(t) and p is not None and in_prediction(p))
        return ratio(tp, fn, fp)

    of_classes = [iou(lambda c, k=k: c == k, lambda c, k=k: c == k) for k in by_id.values() if not k.ignored]
    categories = dict.fromkeys(c.category for c in by_id.values() if not c.ignored)
    of_categories = [
        iou(lambda c, k=k: c.category == k, lambda c, k=k: c.category == k and not c.ignored)
        for k in categories
    ]
    of_instances = [
        instance_iou(lambda c, k=k: c == k, lambda c, k=k: c == k, lambda c, k=k: c != k)
        for k in by_id.values()
        if not k.ignored and k.instance_size
    ]
    of_instance_categories = [
        instance_iou(
            lambda c, k=k: c.category == k, lambda c, k=k: c.category == k, lambda c, k=k: c.category != k
        )
        for k in ("human", "vehicle")
    ]
    return {
        "iou_class": mean(of_classes),
        "iou_category": mean(of_categories),
        "iiou_class": mean(of_instances),
        "iiou_category": mean(of_instance_categories),
        "pixel_accuracy": sum(t == p for t, p, _, _ in counted) / len(counted),
    }


def streets_with_instances(seed, images):
    rng = np.random.default_rng(seed)
    truths, instances = map(list, zip(*(street(rng) for _ in range(images)), strict=True))
    truths[0][0, :3], instances[0][0, :3] = 26, 26999  # at least one car
    return truths, instances, [guess(rng, truth) for truth in truths]


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_a_slow_reading_of_the_definition(seed):
    truths, instances, predicted = streets_with_instances(seed, 3)
    if seed == 4:
        predicted[1] = None
    found = values_of(scored(truths, predicted, CITYSCAPES, instances))
    assert found == pytest.approx(slow_scores(truths, predicted, instances), rel=0, abs=1e-9)


@pytest.mark.parametrize("seed", range(5, 8))
def test_scores_equal_the_published_scripts(seed, tmp_path, monkeypatch):
    reason = "cityscapesscripts is not installed"
    published = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", reason=reason
    )
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # the scripts need it; numpy 2.4 has it no more
    truths, instances, predicted = streets_with_instances(seed, 4)
    if seed == 7:  # classes that nobody has
        keep = [7, 11, 24, 26, 29]
        truths = [np.where(np.isin(truth, keep), truth, 7) for truth in truths]
        predicted = [np.where(np.isin(guess_, keep), guess_, 0) for guess_ in predicted]
        instances = [np.where(np.isin(map_ // 1000, keep), map_, 0) for map_ in instances]
    files = [], []
    for number, (truth, map_, guess_) in enumerate(zip(truths, instances, predicted, strict=True)):
        for folder, name, content in (
            ("pred", f"{number}.png", encode(guess_.astype(np.uint8))),
            ("gt", f"{number}_gtFine_labelIds.png", encode(truth.astype(np.uint8))),
            ("gt", f"{number}_gtFine_instanceIds.png", png16(map_)),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_bytes(content)
        files[0].append(str(tmp_path / "pred" / f"{number}.png"))
        files[1].append(str(tmp_path / "gt" / f"{number}_gtFine_labelIds.png"))
    monkeypatch.setattr(published.args, "quiet", True)
    monkeypatch.setattr(published.args, "JSONOutput", False)
    expected = published.evaluateImgLists(*files, published.args)

    labels = read_labels(tmp_path / "gt")
    index = index_of(labels, CITYSCAPES)
    write(tmp_path / "file.zip", index.ids, predicted)
    checked, problems = check((tmp_path / "file.zip").read_bytes(), index)
    assert problems == []
    found = score(checked, labels, index, CITYSCAPES.names)
    ours = values_of(found)
    del ours["pixel_accuracy"]
    assert ours == pytest.approx(
        {
            "iou_class": expected["averageScoreClasses"],
            "iou_category": expected["averageScoreCategories"],
            "iiou_class": expected["averageScoreInstClasses"],
            "iiou_category": expected["averageScoreInstCategories"],
        },
        rel=0,
        abs=1e-9,
    )
    for rows, key, plain_scores, instance_scores in (
        ("per_class", "class", "classScores", "classInstScores"),
        ("per_category", "category", "categoryScores", "categoryInstScores"),
    ):
        for row in found.details[rows]:
            for ours_, theirs in ((row["iou"], plain_scores), (row.get("iiou"), instance_scores)):
                value = expected[theirs][row[key]]
                assert (ours_ is None and math.isnan(value)) or ours_ == pytest.approx(value, rel=0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 5))
def test_scores_without_instances_equal_sklearn(seed, classes, images):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truths = [rng.integers(0, classes, (4, 5)) for _ in range(images)]
    predicted = [
        np.where(rng.random((4, 5)) < 0.5, truth, rng.integers(0, classes, (4, 5))) for truth in truths
    ]
    names = [f"c{i}" for i in range(classes)]
    truth, guess_ = np.ravel(truths), np.ravel(predicted)
    found = values_of(scored(truths, predicted, plain(names)))
    present = sorted({*truth.tolist(), *guess_.tolist()})
    assert found == pytest.approx(
        {
            "iou_class": metrics.jaccard_score(truth, guess_, labels=present, average="macro"),
            "pixel_accuracy": metrics.accuracy_score(truth, guess_),
        }
    )


def test_instances_weigh_by_their_size():
    classes = Classes((Class(0, "road"), Class(1, "car", instance_size=10.0)))
    truth = [np.array([[1] * 9 + [0] * 2 + [1]])]
    instances = [np.array([[1001] * 9 + [0] * 2 + [1002]])]
    predicted = [np.array([[1] * 9 + [0, 1] + [0]])]
    found = scored(truth, predicted, classes, instances)
    # Each car weighs 10: the large one is found, the small one lost; one pixel of road is taken for a car.
    assert found.estimates["iiou_class"].value == pytest.approx(10 / (10 + 10 + 1))
    assert "iou_category" not in found.estimates
    assert "iiou_category" not in found.estimates


def test_instance_scores_need_instances_that_count():
    truth = [np.array([[7, 29, 29]])]
    found = scored(truth, truth, CITYSCAPES, [np.array([[7, 29000, 29001]])])
    assert list(found.estimates) == ["iou_class", "iou_category", "boundary_iou", "pixel_accuracy"]
    found = scored(truth, truth, plain([f"c{i}" for i in range(30)]), [np.array([[7, 29000, 29001]])])
    assert list(found.estimates) == ["iou_class", "boundary_iou", "pixel_accuracy"]


def test_perfect_and_hopeless():
    truths, instances, _ = streets_with_instances(0, 3)
    ids = {class_.id for class_ in CITYSCAPES.evaluated}
    assert set(values_of(scored(truths, truths, CITYSCAPES, instances)).values()) == {1.0}
    void = [np.where(np.isin(truth, list(ids)), 0, 7) for truth in truths]
    assert set(values_of(scored(truths, void, CITYSCAPES, instances)).values()) == {0.0}


# Intervals


def test_intervals_are_quantiles_over_images_drawn_with_replacement():
    rng = np.random.default_rng(0)
    truths = [rng.integers(0, 3, (8, 8)) for _ in range(12)]
    predicted = [np.where(rng.random((8, 8)) < rng.random(), truth, rng.integers(0, 2)) for truth in truths]
    confusions = np.zeros((12, 3, 3))
    for confusion, truth, guess_ in zip(confusions, truths, predicted, strict=True):
        np.add.at(confusion, (truth.ravel(), guess_.ravel()), 1)
    drawn = confusions[rng.integers(0, 12, (20_000, 12))].sum(axis=1)
    right = drawn.diagonal(axis1=1, axis2=2)
    ious = right / (drawn.sum(axis=1) + drawn.sum(axis=2) - right)
    accuracies = right.sum(axis=1) / drawn.sum(axis=(1, 2))
    estimates = scored(truths, predicted).estimates
    for name, values in (("iou_class", ious.mean(axis=1)), ("pixel_accuracy", accuracies)):
        low, high = np.percentile(values, [2.5, 97.5])
        assert estimates[name].low == pytest.approx(low, abs=0.06 * (high - low))
        assert estimates[name].high == pytest.approx(high, abs=0.06 * (high - low))


def test_intervals_narrow_with_more_images_and_are_the_same_each_time():
    widths = []
    for images in (10, 40, 160):
        rng = np.random.default_rng(1)
        truths = [rng.integers(0, 3, (6, 6)) for _ in range(images)]
        predicted = [np.where(rng.random((6, 6)) < rng.random(), truth, 0) for truth in truths]
        found = scored(truths, predicted)
        assert found == scored(truths, predicted)
        widths.append(found.estimates["iou_class"].high - found.estimates["iou_class"].low)
    assert widths[0] > 1.4 * widths[1] > 1.4 * 1.4 * widths[2]


def test_a_class_in_one_image_only_leaves_finite_intervals():
    truth = [np.array([[7, 26]]), *[np.array([[7, 0]])] * 5]
    instances = [np.array([[7, 26001]]), *[np.array([[7, 0]])] * 5]
    found = scored(truth, truth, CITYSCAPES, instances)
    assert all(estimate.low == estimate.value == estimate.high == 1 for estimate in found.estimates.values())
