import numpy as np
import pytest
from coco_cases import uncompressed
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from vipriors.tasks.mask_overlaps import intersections
from vipriors.tasks.polygons import draw
from vipriors.tasks.rle import Masks, chosen, decode, encode, joined, texts_of


def drawn(masks, place, width):
    """One of the masks as an array `(H, W)`."""
    flat = np.zeros(masks.heights[place] * width, dtype=bool)
    for run in range(masks.offsets[place], masks.offsets[place + 1]):
        flat[masks.starts[run] : masks.ends[run]] = True
    return flat.reshape(width, -1).T


@st.composite
def random_masks(draw_):
    rng = np.random.default_rng(draw_(st.integers(0, 2**32 - 1)))
    shape = draw_(st.tuples(st.integers(0, 6), st.integers(1, 40), st.integers(1, 40)))
    return rng.random(shape) < draw_(st.sampled_from([0, 0.02, 0.5, 0.98, 1]))


@settings(max_examples=100, deadline=None)
@given(random_masks())
def test_text_equals_pycocotools_and_decodes_back(masks):
    texts = encode(masks)
    expected = [mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode() for mask in masks]
    assert texts == expected
    assert texts_of([uncompressed(mask)["counts"] for mask in masks]) == expected
    count, height, width = masks.shape
    found, faults = decode(texts, [height] * count, [width] * count)
    assert faults == {}
    for place, mask in enumerate(masks):
        np.testing.assert_array_equal(drawn(found, place, width), mask)
    np.testing.assert_array_equal(found.areas, masks.sum(axis=(1, 2)))


def test_long_runs_and_many_masks_in_one_text():
    counts = [np.array([0, 2**31 - 2, 1]), np.array([2**30, 5, 2**29, 3, 7, 2**28])]
    texts = texts_of(counts * 50_000)
    for text, c in zip(texts[:2], counts, strict=True):
        pixels = {"size": [1, int(c.sum())], "counts": [int(n) for n in c]}
        assert mask_api.frPyObjects(pixels, *pixels["size"])["counts"].decode() == text
    widths = [int(c.sum()) for c in counts] * 50_000
    masks, faults = decode(texts, np.ones(100_000), widths)  # more than one chunk
    assert faults == {}
    assert masks.starts[masks.offsets[-3] :].tolist() == [0, 2**30, 2**30 + 5 + 2**29, widths[1] - 2**28]
    assert (masks.areas[::2] == 2**31 - 2).all()
    assert (masks.areas[1::2] == 8 + 2**28).all()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has runs of 0 pixels in all; expected 12, height times width"),
        ("5", "has runs of 5 pixels in all; expected 12, height times width"),
        ("77", "has runs of 14 pixels in all; expected 12, height times width"),
        ("=", "has a run that is negative or too long"),
        ("O", "has a run that is negative or too long"),
        ("0<O", "has a run that is negative or too long"),
        ("5\x1b", "has a character that is none of run-length text"),
        ("5 7", "has a character that is none of run-length text"),
        ("5\u0665", "has a character that is none of run-length text"),
        ("5p", "has a character that is none of run-length text"),
        ("5P", "ends within a number; is it cut off?"),
        ("PPPPPPP0", "has a number that is too long"),
        ("o" * 5000, "ends within a number; is it cut off?"),
        ("ooooooK" * 300, "has a run that is negative or too long"),
    ],
)
def test_wrong_text_is_said_and_leaves_the_others_alone(text, fault):
    good = encode([np.tri(3, 4)])[0]
    masks, faults = decode([good, text, good, text], [3] * 4, [4] * 4)
    assert faults == {1: fault, 3: fault}
    for place, expected in enumerate([np.tri(3, 4), np.zeros((3, 4))] * 2):
        np.testing.assert_array_equal(drawn(masks, place, 4), expected)


def test_runs_without_pixels_do_no_harm():
    masks, faults = decode(texts_of([[2, 0, 1, 3, 0, 2, 4]]), [3], [4])
    assert faults == {}
    assert (masks.starts.tolist(), masks.ends.tolist()) == ([3, 6], [6, 8])
    same, _ = decode(texts_of([[3, 5, 4]]), [3], [4])
    pair = np.array([0])
    assert (
        masks.areas.tolist() == same.areas.tolist() == intersections(masks, same, pair, pair).tolist() == [5]
    )


@settings(max_examples=60, deadline=None)
@given(random_masks(), st.integers(0, 2**32 - 1))
def test_intersections_and_boxes_equal_those_of_arrays(masks, seed):
    count, height, width = masks.shape
    found, _ = decode(encode(masks), [height] * count, [width] * count)
    rng = np.random.default_rng(seed)
    others = rng.random((3, height, width)) < rng.choice([0, 0.1, 0.7])
    other, _ = decode(encode(others), [height] * 3, [width] * 3)
    of_found, of_other = (
        rng.integers(0, max(count, 1), 20 * min(count, 1)),
        rng.integers(0, 3, 20 * min(count, 1)),
    )
    expected = (masks[of_found] & others[of_other]).sum(axis=(1, 2))
    np.testing.assert_array_equal(intersections(found, other, of_found, of_other), expected)
    for place, (left, top, right, bottom) in zip(of_found, found.boxes[:, of_found].T, strict=True):
        rows, columns = np.nonzero(masks[place])
        sides = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0, 0, 0, 0)
        assert (left, top, right, bottom) == sides


def test_chosen_and_joined():
    masks = np.random.default_rng(0).random((4, 5, 6)) < 0.4
    parts = [decode(encode(part), [5] * len(part), [6] * len(part))[0] for part in (masks[:1], masks[1:])]
    order = np.array([3, 0, 0, 2])
    found = chosen(joined(parts), order)
    for place, mask in enumerate(masks[order]):
        np.testing.assert_array_equal(drawn(found, place, 6), mask)
    np.testing.assert_array_equal(found.areas, masks[order].sum(axis=(1, 2)))
    assert isinstance(joined([]), Masks)
    assert joined([]).offsets.tolist() == [0]


COORDINATE = st.one_of(
    st.integers(-12, 60).map(float),
    st.integers(-100, 600).map(lambda tenths: tenths / 10),
    st.floats(-15, 60),
    st.sampled_from([-1e3, 1e3, 0.1, 0.3, 0.5, 0.7]),
)
POLYGON = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=9)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(POLYGON, min_size=1, max_size=3), min_size=1, max_size=4), st.integers(1, 50))
def test_polygons_are_drawn_as_by_pycocotools(masks, side):
    height, width = side, 51 - side
    outlines = [[np.array(polygon).ravel() for polygon in polygons] for polygons in masks]
    found = draw(outlines, np.full(len(masks), height), np.full(len(masks), width))
    for place, polygons in enumerate(outlines):
        runs = mask_api.merge(mask_api.frPyObjects([p.tolist() for p in polygons], height, width))
        np.testing.assert_array_equal(drawn(found, place, width), mask_api.decode(runs))


@pytest.mark.parametrize(("dx", "dy", "x"), [(14, 20, 2), (14, 20, 17), (17, 28, 4), (11, 30, 2)])
def test_edges_whose_crossings_are_hard_to_round(dx, dy, x):
    for y in range(10):
        outline = np.array([x, y, x + dx, y + dy, x + 60, y]) / 5
        expected = mask_api.decode(mask_api.frPyObjects([outline.tolist()], 20, 20))[:, :, 0]
        np.testing.assert_array_equal(
            drawn(draw([[outline]], np.array([20]), np.array([20])), 0, 20), expected
        )


def test_polygons_far_outside_the_image():
    outline = np.array([-1e5, 3.0, 1e5, 30.2, 2e4, 9e4])
    found = draw([[outline]], np.array([30]), np.array([40]))
    expected = mask_api.decode(mask_api.frPyObjects([outline.tolist()], 30, 40))[:, :, 0]
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(drawn(found, 0, 40), expected)


def test_a_square_is_its_pixels():
    (square,) = ([np.array([1.0, 2, 5, 2, 5, 4, 1, 4])],)
    expected = np.zeros((6, 7), dtype=bool)
    expected[2:4, 1:5] = True
    np.testing.assert_array_equal(drawn(draw([square], np.array([6]), np.array([7])), 0, 7), expected)
