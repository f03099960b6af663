"""Boundary IoU beside distances measured pixel by pixel, squares with known bands, and erosion."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from vipriors.tasks.boundary import band, count_boundary, width_of
from vipriors.tasks.class_map import Class, Classes, plain
from vipriors.tasks.label_map import encode
from vipriors.tasks.segmentation import Predictions, score
from vipriors.tasks.segmentation_index import index_of
from vipriors.tasks.segmentation_labels import read_labels

CLASSES = plain(["ground", "square", "other"])


def slow_band(label_map, width):
    """Whether something else is within `width` rows and columns, pixel by pixel."""
    height, columns = label_map.shape
    near = np.zeros(label_map.shape, dtype=bool)
    for y in range(height):
        for x in range(columns):
            for v in range(y - width, y + width + 1):
                for u in range(x - width, x + width + 1):
                    inside = 0 <= v < height and 0 <= u < columns
                    near[y, x] |= not inside or label_map[v, u] != label_map[y, x]
    return near


def slow_count(truth, predicted, classes):
    """TP, FN and FP of each evaluated class from its own mask, eroded as the published code does."""
    width = max(1, round(0.02 * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2)))
    ids = [class_.id for class_ in classes.evaluated]
    void = ~np.isin(truth, ids)
    counts = []
    for id_ in ids:
        bands = []
        for label_map in (truth, np.where(void, truth, predicted)):
            mask = np.pad(label_map == id_, 1)
            eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)
            bands.append((mask & ~eroded)[1:-1, 1:-1])
        both = np.count_nonzero(bands[0] & bands[1])
        counts.append([both, *(np.count_nonzero(one) - both for one in bands)])
    return np.array(counts, dtype=np.float64)


def blobs(rng, height, width, ids):
    """A map of rectangles of some ids."""
    label_map = np.full((height, width), ids[0], dtype=np.uint8)
    for _ in range(rng.integers(0, 12)):
        top, left = rng.integers(0, height), rng.integers(0, width)
        label_map[top : top + rng.integers(1, 12), left : left + rng.integers(1, 12)] = rng.choice(ids)
    return label_map


@given(st.integers(1, 14), st.integers(1, 14), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_the_band_by_distances(height, width, reach, seed):
    label_map = blobs(np.random.default_rng(seed), height, width, [3, 7, 255])
    assert np.array_equal(band(label_map, reach), slow_band(label_map, reach))


def test_every_single_pixel_is_seen_from_as_far_as_the_band_is_wide():
    for y, x in np.ndindex(13, 17):
        label_map = np.zeros((13, 17), dtype=np.uint8)
        label_map[y, x] = 1
        for reach in (1, 2, 3):
            expected = np.ones((13, 17), dtype=bool)
            expected[reach:-reach, reach:-reach] = False
            expected[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1] = True
            assert np.array_equal(band(label_map, reach), expected)


@given(st.integers(1, 70), st.integers(1, 90), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_counts_as_by_eroding_each_class(height, width, seed):
    rng = np.random.default_rng(seed)
    classes = Classes(
        (Class(0, "a"), Class(5, "b"), Class(255, "c"), Class(9, "void", ignored=True), Class(8, "d"))
    )
    truth, predicted = (blobs(rng, height, width, [0, 5, 255, 9, 8]) for _ in range(2))
    assert np.array_equal(count_boundary(truth, predicted, classes), slow_count(truth, predicted, classes))


@pytest.mark.parametrize(("size", "width"), [((10, 10), 1), ((120, 160), 4), ((1024, 2048), 46), ((1, 1), 1)])
def test_the_band_is_two_percent_of_the_diagonal_wide(size, width):
    assert width_of(size) == width


def squares(side, shift):
    """A square of some side in the midst of 120 × 160 pixels, and the same moved to the right."""
    maps = np.zeros((2, 120, 160), dtype=np.uint8)
    for label_map, left in zip(maps, (40, 40 + shift), strict=True):
        label_map[40 : 40 + side, left : left + side] = 1
    return maps


@pytest.mark.parametrize("side", [3, 8, 9, 30])
def test_a_square_has_a_frame(side):
    truth, found = squares(side, 0)
    frame = side**2 - max(0, side - 8) ** 2  # the band is 4 wide
    assert count_boundary(truth, found, CLASSES)[1].tolist() == [frame, 0, 0]
    moved = squares(side, 200)[0]
    nothing = np.zeros_like(moved)
    assert count_boundary(moved, nothing, CLASSES)[1].tolist() == [0, frame, 0]
    assert count_boundary(nothing, moved, CLASSES)[1].tolist() == [0, 0, frame]
    assert count_boundary(moved, None, CLASSES)[1].tolist() == [0, frame, 0]


def test_a_square_moved_by_one_pixel():
    """Two frames of side 30 and width 4, one column apart: 30 × 29 shared pixels less those inside either."""
    truth, found = squares(30, 1)
    frame = 30**2 - 22**2
    # Shared: the upper and lower 4 rows of 29 columns, and in the 22 rows between 3 columns on each side.
    shared = 8 * 29 + 22 * 6
    assert count_boundary(truth, found, CLASSES)[1].tolist() == [shared, frame - shared, frame - shared]


def test_pixels_without_a_class_count_nowhere_and_cost_nothing():
    rng = np.random.default_rng(0)
    truth = blobs(rng, 120, 160, [0, 1, 2])
    truth[30:70, 50:90] = 255
    perfect = np.where(truth == 255, 1, truth).astype(np.uint8)  # something has to be said there
    counts = count_boundary(truth, perfect, CLASSES)
    assert counts[:, 1:].sum() == 0
    other = np.where(truth == 255, rng.integers(0, 3, truth.shape), truth).astype(np.uint8)
    assert np.array_equal(count_boundary(truth, other, CLASSES), counts)
    void = np.full_like(truth, 255)  # but where there is a class it is wrong to say there is none
    assert np.array_equal(count_boundary(truth, void, CLASSES)[:, 1], counts[:, 0])


def test_what_is_far_from_borders_does_not_matter():
    truth = np.zeros((120, 160), dtype=np.uint8)
    truth[20:100, 20:140] = 1
    found = truth.copy()
    found[58:62, 78:82] = 2
    counts = count_boundary(truth, found, CLASSES)
    assert counts[1, 0] == 80 * 120 - 72 * 112
    assert counts[1, 1] == 0
    assert counts[2].tolist() == [0, 0, 16]
    assert counts[1, 2] == 12**2 - 16  # a new border inside the class is a band that the labels lack


def test_the_score_adds_up_images_of_any_size_and_has_an_interval(tmp_path):
    rng = np.random.default_rng(4)
    sizes = [(40, 60), (130, 90), (20, 20), (60, 60)]
    truths = [blobs(rng, *size, [0, 1, 255]) for size in sizes]
    found = [
        np.where(rng.random(truth.shape) < 0.05, 0, np.roll(truth, 1)).astype(np.uint8) for truth in truths
    ]
    for number, truth in enumerate(truths):
        (tmp_path / f"{number}.png").write_bytes(encode(truth))
    labels = read_labels(tmp_path)
    index = index_of(labels, CLASSES)
    assert index.ids == ("0", "1", "2", "3")
    encoded = (*(encode(label_map) for label_map in found[:3]), None)
    result = score(Predictions(encoded), labels, index, CLASSES.names)
    counts = sum(slow_count(t, f, CLASSES) for t, f in zip(truths[:3], found[:3], strict=True))
    counts = counts + count_boundary(truths[3], None, CLASSES)
    occurring = counts[counts.sum(axis=1) > 0]
    estimate = result.estimates["boundary_iou"]
    assert estimate.value == pytest.approx((occurring[:, 0] / occurring.sum(axis=1)).mean())
    assert 0 < estimate.low < estimate.value < estimate.high < 1
    rows = result.details["per_class"]
    assert rows[0]["boundary_iou"] == pytest.approx(counts[0, 0] / counts[0].sum())
    assert rows[2]["boundary_iou"] is None
