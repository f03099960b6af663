"""The world of solids: bodies against closed forms and Gauss' theorem, clouds against what they promise."""

import hashlib
import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from numpy.random import RandomState
from scipy.spatial.transform import Rotation

from vipriors.data.points import read_points
from vipriors.problems import BadInput
from vipriors.worlds import load_source
from vipriors.worlds._bodies import Body, Box, Capsule, Ellipsoid, Frustum, Torus
from vipriors.worlds._shapes import Placed, distance, occupancy, pitch, surface_points, yaw
from vipriors.worlds.solids import CLASSES, COUNTS, POINTS, SHIFTS, SolidSource, cloud, solid

PI = math.pi
BODIES: dict[str, tuple[Body, float]] = {
    "box": (Box((0.5, 0.3, 0.8)), 8 * 0.5 * 0.3 * 0.8),
    "ball": (Ellipsoid((0.6, 0.6, 0.6)), 4 / 3 * PI * 0.6**3),
    "ellipsoid": (Ellipsoid((0.9, 0.3, 0.5)), 4 / 3 * PI * 0.9 * 0.3 * 0.5),
    "cylinder": (Frustum(0.4, 0.4, 0.7), PI * 0.4**2 * 1.4),
    "frustum": (Frustum(0.6, 0.2, 0.5), PI * 1.0 / 3 * (0.6**2 + 0.6 * 0.2 + 0.2**2)),
    "widening": (Frustum(0.1, 0.5, 0.4), PI * 0.8 / 3 * (0.1**2 + 0.1 * 0.5 + 0.5**2)),
    "cone": (Frustum(0.5, 0.0, 0.4), PI * 0.8 / 3 * 0.5**2),
    "capsule": (Capsule(0.3, 0.5), PI * 0.3**2 * (1.0 + 4 / 3 * 0.3)),
    "torus": (Torus(0.6, 0.2), 2 * PI**2 * 0.6 * 0.2**2),
}
"""Bodies with their volumes."""
NAMES = list(BODIES)


@pytest.mark.parametrize("name", NAMES)
def test_points_of_a_surface(name: str) -> None:
    body, volume = BODIES[name]
    points, normals = body.surface(20_000, RandomState(0))
    assert points.shape == normals.shape == (20_000, 3)
    np.testing.assert_allclose(body.distance(points), 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)
    # Outwards: a step along the normal is a step away.
    out = body.distance(points + 1e-4 * normals)
    assert (out > 0).all()
    if name != "ellipsoid":
        np.testing.assert_allclose(out, 1e-4, rtol=1e-3)
    # Gauss: the volume is a third of the integral of p·n over the surface, wherever the origin is.
    for origin in (np.zeros(3), np.array([0.7, -0.4, 0.9])):
        flow = ((points - origin) * normals).sum(1)
        found = body.area * flow.mean() / 3
        assert found == pytest.approx(volume, abs=4 * body.area * flow.std() / 3 / math.sqrt(20_000) + 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_points_are_spread_evenly(name: str) -> None:
    """Gauss again: the integral of x² over the inside, by the surface and by random points."""
    body, _ = BODIES[name]
    points, normals = body.surface(40_000, RandomState(1))
    anywhere = RandomState(2).uniform(-1, 1, (300_000, 3))
    inside = anywhere[body.distance(anywhere) < 0]
    for axis in range(3):
        flow = points[:, axis] ** 3 / 3 * normals[:, axis]
        expected = (inside[:, axis] ** 2).sum() * 8 / 300_000
        assert body.area * flow.mean() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_distances_against_the_nearest_of_many_points(name: str) -> None:
    body, _ = BODIES[name]
    random = RandomState(2)
    surface, _ = body.surface(30_000, random)
    places = random.uniform(-1.2, 1.2, (60, 3))
    nearest = np.array([np.sqrt(((surface - place) ** 2).sum(1).min()) for place in places])
    found = body.distance(places)
    if name == "ellipsoid":
        assert (np.abs(found) <= nearest + 1e-9).all()  # a bound
    else:
        np.testing.assert_allclose(np.abs(found), nearest, atol=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_inside_is_where_the_surface_winds_around(name: str) -> None:
    """The solid angle of a closed surface: all of it from inside, none from outside."""
    body, _ = BODIES[name]
    points, normals = body.surface(40_000, RandomState(3))
    places = RandomState(4).uniform(-1, 1, (80, 3))
    places = places[np.abs(body.distance(places)) > 0.08]
    for place in places:
        apart = points - place
        angle = body.area * ((apart * normals).sum(1) / np.linalg.norm(apart, axis=1) ** 3).mean()
        assert (body.distance(place[None])[0] < 0) == (angle > 2 * PI)


def crowd() -> list[Placed]:
    return [
        Placed(Box((0.5, 0.3, 0.4)), (0.1, 0, 0), yaw(0.4)),
        Placed(Frustum(0.4, 0.2, 0.6), (0.3, 0.2, 0.3), pitch(0.8)),
        Placed(Ellipsoid((0.3, 0.3, 0.3)), (-0.5, 0, 0.2)),
    ]


def test_a_solid_is_a_union() -> None:
    parts = crowd()
    points, normals = surface_points(parts, 4000, RandomState(0))
    np.testing.assert_allclose(distance(parts, points), 0, atol=1e-9)
    assert not occupancy(parts, points + 1e-5 * normals).any() or (
        occupancy(parts, points + 1e-5 * normals).mean() < 0.01  # in a corner of two bodies
    )
    # As many on each body as it shows area, found body by body.
    shown = []
    for number, part in enumerate(parts):
        own, _ = part.surface(20_000, RandomState(number + 5))
        free = ~occupancy(parts[:number] + parts[number + 1 :], own)
        shown.append(part.body.area * free.mean())
    expected = np.array(shown) / sum(shown)
    which = np.argmin([np.abs(part.distance(points)) for part in parts], axis=0)
    np.testing.assert_allclose(np.bincount(which, minlength=3) / 4000, expected, atol=0.03)


def test_normals_are_the_slope_of_the_distance() -> None:
    parts = crowd()
    points, normals = surface_points(parts, 500, RandomState(1))
    slope = np.stack(
        [
            (distance(parts, points + step) - distance(parts, points - step)) / 2e-6
            for step in np.eye(3) * 1e-6
        ],
        1,
    )
    smooth = np.abs(np.linalg.norm(slope, axis=1) - 1) < 1e-3  # not on edges
    assert smooth.mean() > 0.97
    np.testing.assert_allclose(slope[smooth], normals[smooth], atol=1e-3)


def test_occupancy_by_parity() -> None:
    """Along a ray to far outside the surface is crossed an odd number of times from inside."""
    parts = crowd()
    places = RandomState(6).uniform(-0.8, 0.8, (40, 3))
    ways = np.linspace(0, 3, 6001)
    for place, inside in zip(places, occupancy(parts, places), strict=True):
        along = distance(parts, place + ways[:, None] * np.array([0.36, 0.48, 0.8]))
        crossings = sum((a < 0) != (b < 0) for a, b in pairwise(along.tolist()))
        assert (crossings % 2 == 1) == inside


def test_rotations() -> None:
    for angle in (0.3, -2.0):
        np.testing.assert_allclose(yaw(angle), Rotation.from_euler("z", angle).as_matrix(), atol=1e-12)
        np.testing.assert_allclose(pitch(angle), Rotation.from_euler("x", angle).as_matrix(), atol=1e-12)


def source(variant: str | None = None) -> SolidSource:
    found = load_source("solids", "points", variant)
    assert isinstance(found, SolidSource)
    return found


def test_what_there_is() -> None:
    count = Counter((sample.split, sample.label) for sample in source().samples)
    assert count == {(split, label): n for split, n in COUNTS.items() for label in range(10)}
    assert len({sample.key for sample in source().samples}) == 1250
    assert source().media == "points" and tuple(source().classes) == CLASSES and len(set(CLASSES)) == 10


def test_what_there_is_not() -> None:
    for arguments, message in (
        (("solids", "actions"), "world solids: has no labels for actions; expected task points"),
        (
            ("solids", "points", "rain"),
            f"world solids: has no variant 'rain'; expected one of {', '.join(SHIFTS)}",
        ),
        (("digits", "classification", "noise"), "world digits: has no variants; found 'noise'"),
    ):
        with pytest.raises(BadInput) as caught:
            load_source(*arguments)
        assert str(caught.value) == message


@pytest.mark.parametrize("family", CLASSES)
def test_clouds(family: str) -> None:
    first, second = (cloud(f"solids/train/{family}/{number}") for number in (0, 1))
    assert first.shape == (POINTS, 3) and first.dtype == np.float32
    assert np.linalg.norm(first, axis=1).max() == pytest.approx(1, abs=1e-3)
    assert np.array_equal(first, np.rint(first * 4096) / 4096)
    assert len({tuple(point) for point in first.tolist()}) > 250
    assert not np.array_equal(first, second)
    parts = solid(f"solids/train/{family}/0")
    points, normals = surface_points(parts, 300, RandomState(0))
    assert occupancy(parts, points - 1e-4 * normals).mean() > 0.98
    assert len(parts) >= 2 + 2


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_is_done_to_test_clouds(shift: str) -> None:
    samples = [s for s in source().samples if s.split == "test" and s.key.endswith(("/1", "/2"))]
    tilts, scales, noises, counts, strange = [], [], [], [], []
    for sample in samples:
        before = read_points(source().content(sample)[1])
        after = read_points(source(shift).content(sample)[1])
        if shift == "none":
            assert np.array_equal(before, after)
        elif shift == "drop":
            assert {tuple(p) for p in after.tolist()} <= {tuple(p) for p in before.tolist()}
            counts.append(len(after) / len(before))
        elif shift == "scale":
            scales.append(np.linalg.norm(after) / np.linalg.norm(before))
            np.testing.assert_allclose(after, before * scales[-1], atol=1e-3)
        elif shift == "tilt":
            turn, rest = Rotation.align_vectors(after, before)
            assert rest < 0.02
            up = turn.apply([0, 0, 1])
            tilts.append(math.degrees(math.acos(min(1, up[2]))))
            assert abs(turn.as_rotvec()[2]) < 1e-2
        elif shift == "noise":
            noises.append((after - before).std())
        else:
            moved = (after != before).any(1)
            strange.append(moved.mean())
            assert np.abs(after).max() <= 1
    for found, low, high in (
        (tilts, 0, 30),
        (scales, 0.6, 1.6),
        (noises, 0.009, 0.052),
        (counts, 0.195, 0.805),
        (strange, 0.045, 0.205),
    ):
        if found:
            assert low <= min(found) < low + 0.3 * (high - low)
            assert high - 0.3 * (high - low) < max(found) <= high


def test_what_is_learned_from_is_never_shifted() -> None:
    sample = next(sample for sample in source().samples if sample.split == "train")
    contents = {source(shift).content(sample)[1] for shift in SHIFTS}
    assert len(contents) == 1


def test_clouds_are_the_same_everywhere() -> None:
    keys = {
        "solids/train/chair/0": "2a701a4f67a3dd22",
        "solids/train/mug/74": "b348e58af3d2f5b2",
        "solids/test/plane/49": "680d564217a52c30",
    }
    known = {sample.key: sample for sample in source().samples}
    found = {key: hashlib.sha256(source("outliers").content(known[key])[1]).hexdigest()[:16] for key in keys}
    assert found == keys
