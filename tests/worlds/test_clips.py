import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from vipriors import challenges, tasks
from vipriors.challenges.schema import read_challenge
from vipriors.data.clips import read_clip
from vipriors.data.sources import AnnotatedSource
from vipriors.problems import BadInput
from vipriors.runs.prepared import prepare_challenge
from vipriors.worlds import clips, load_source
from vipriors.worlds._digits import handwriting, pool
from vipriors.worlds.clips import ACTIONS, BACKWARDS, FRAMES, SIZE, Manner, Pose, poses, render

MANNERS = st.builds(
    Manner,
    middle=st.builds(Pose, st.floats(14, 34), st.floats(14, 34), st.floats(13, 26), st.floats(0, 360)),
    way=st.floats(8, 18),
    angle=st.floats(60, 200),
    growth=st.floats(1.35, 2),
    radius=st.floats(4, 8),
    arc=st.floats(200, 420),
    start=st.floats(0, 360),
)


def source() -> AnnotatedSource:
    found = load_source("clips", "actions")
    assert isinstance(found, AnnotatedSource)
    return found


@pytest.fixture(scope="module")
def everything() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Clips `(N, T, H, W)` and labels of each split."""
    samples = source().samples
    return {
        split: (
            np.stack([render(sample.key)[..., 0] for sample in samples if sample.split == split]),
            np.array([sample.label for sample in samples if sample.split == split]),
        )
        for split in ("train", "test")
    }


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        ("clips/train/left/0", "69e95b3564e90523"),
        ("clips/train/circle-clockwise/59", "acd6c6e94c3c035a"),
        ("clips/test/grow/29", "c887832f2153a247"),
    ],
)
def test_clips_are_the_same_everywhere(key: str, digest: str) -> None:
    sample = next(sample for sample in source().samples if sample.key == key)
    suffix, content = source().content(sample)
    assert suffix == ".npy" and isinstance(content, bytes)
    assert read_clip(content, channels=1).shape == (FRAMES, SIZE, SIZE, 1) == (16, 48, 48, 1)
    assert hashlib.sha256(content).hexdigest()[:16] == digest


def test_what_there_is() -> None:
    assert source().media == "clips" and tuple(source().names) == tuple(source().classes) == ACTIONS
    count = Counter((sample.split, sample.label) for sample in source().samples)
    expected = {(split, k): n for split, n in (("train", 60), ("test", 30)) for k in range(10)}
    assert count == expected
    assert len({sample.key for sample in source().samples}) == 900


def test_another_task_has_no_labels() -> None:
    with pytest.raises(BadInput) as caught:
        load_source("clips", "detection")
    assert str(caught.value) == "world clips: has no labels for detection; expected task actions"


@given(MANNERS, st.sampled_from(ACTIONS))
def test_backwards_each_action_is_its_pair(manner: Manner, action: str) -> None:
    assert BACKWARDS[BACKWARDS[action]] == action != BACKWARDS[action]
    forwards, other = poses(action, manner), poses(BACKWARDS[action], manner)
    assert len(forwards) == FRAMES
    for pose, twin in zip(reversed(forwards), other, strict=True):
        for part in ("row", "column", "size", "turn"):
            assert getattr(pose, part) == pytest.approx(getattr(twin, part), abs=1e-9)


@given(MANNERS)
def test_actions_are_what_their_names_say(manner: Manner) -> None:
    first, last = ({action: poses(action, manner)[k] for action in ACTIONS} for k in (0, -1))
    rest = manner.middle

    def gone(action: str) -> tuple[float, float, float, float]:
        a, b = first[action], last[action]
        return b.row - a.row, b.column - a.column, b.size / a.size, b.turn - a.turn

    assert gone("left") == pytest.approx((0, -manner.way, 1, 0))
    assert gone("right") == pytest.approx((0, manner.way, 1, 0))
    assert gone("up") == pytest.approx((-manner.way, 0, 1, 0))
    assert gone("down") == pytest.approx((manner.way, 0, 1, 0))
    assert gone("grow") == pytest.approx((0, 0, manner.growth, 0))
    assert gone("shrink") == pytest.approx((0, 0, 1 / manner.growth, 0))
    assert gone("turn-clockwise") == pytest.approx((0, 0, 1, -manner.angle))  # `turn` is counter-clockwise
    assert gone("turn-counter-clockwise") == pytest.approx((0, 0, 1, manner.angle))
    for action, sign in (("circle-clockwise", 1), ("circle-counter-clockwise", -1)):
        path = np.array([(pose.row - rest.row, pose.column - rest.column) for pose in poses(action, manner)])
        assert np.hypot(*path.T) == pytest.approx(np.full(FRAMES, manner.radius))
        # Rows go down, so that a clockwise way has a positive cross product of (column, row).
        turned = path[:-1, 1] * path[1:, 0] - path[:-1, 0] * path[1:, 1]
        assert (turned * sign > 0).all()
        assert np.degrees(np.arcsin(turned * sign / manner.radius**2)).sum() == pytest.approx(manner.arc)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_digit_in_the_frames_does_what_the_action_says(action: str) -> None:
    """Measured on frames without background and noise: where the ink is, how much, and how it is turned."""
    manner = Manner(Pose(24, 24, 18, 20), 12, 90, 1.6, 6, 300, 40)
    ink = handwriting()[0][pool(test=False)[7][0]]
    frames = []
    for pose in poses(action, manner):
        picture = np.zeros((SIZE + 2, SIZE + 2, 1), np.int64)
        clips._lay(picture, ink, pose, 100, 255)
        frames.append(picture[1:-1, 1:-1, 0])
    weight = np.array([frame.sum() for frame in frames])
    places = np.arange(SIZE)
    rows = np.array([(frame.sum(1) * places).sum() for frame in frames]) / weight
    columns = np.array([(frame.sum(0) * places).sum() for frame in frames]) / weight
    expected = {"left": (0, -12), "right": (0, 12), "up": (-12, 0), "down": (12, 0)}
    if action in expected:
        assert (rows[-1] - rows[0], columns[-1] - columns[0]) == pytest.approx(expected[action], abs=0.2)
        assert weight == pytest.approx(np.full(FRAMES, weight.mean()), rel=0.02)
    elif action in ("grow", "shrink"):
        factor = np.sqrt(weight[-1] / weight[0])
        assert factor == pytest.approx(1.6 if action == "grow" else 1 / 1.6, rel=0.1)
    elif action.startswith("turn"):
        turned = np.rot90(frames[0], 1 if "counter" in action else -1)
        same, mirrored = np.abs(turned - frames[-1]).mean(), np.abs(np.rot90(turned, 2) - frames[-1]).mean()
        assert same * 2 < mirrored
    else:
        assert np.hypot(np.diff(rows), np.diff(columns)) == pytest.approx(np.full(15, 2.09), abs=0.15)


def test_only_the_action_differs_between_clips_of_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the random numbers of one key, backwards a clip without noise is the paired action's clip."""
    monkeypatch.setattr(clips, "noise", lambda random, picture, strength: picture)
    monkeypatch.setattr(clips, "random_of", lambda key: np.random.RandomState(int(key.split("/")[3])))
    drawn: list[np.ndarray] = []
    monkeypatch.setattr(clips, "clouds", lambda random, side, *_: np.zeros((side, side, 1), np.int64))
    monkeypatch.setattr(clips, "_beside", lambda random, pose: None)
    monkeypatch.setattr(clips, "SHAKE", 0)
    for number in range(4):
        drawn = [render.__wrapped__(f"clips/train/{action}/{number}") for action in ACTIONS]
        for action, clip in zip(ACTIONS, drawn, strict=True):
            twin = drawn[ACTIONS.index(BACKWARDS[action])]
            assert np.abs(clip[::-1] - twin).max() <= 2  # rounding of places to 1/65536
            assert sum(np.array_equal(clip, other) for other in drawn) == 1


@pytest.mark.parametrize("frame", [0, 8, 15])
def test_a_single_frame_tells_next_to_nothing(
    frame: int, everything: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    features = {
        split: clips[:, frame, ::2, ::2].reshape(len(clips), -1) / 255
        for split, (clips, _) in everything.items()
    }
    for model in (KNeighborsClassifier(1), KNeighborsClassifier(7), LogisticRegression(C=0.01, max_iter=300)):
        model.fit(features["train"], everything["train"][1])
        assert model.score(features["test"], everything["test"][1]) < 0.25


def test_time_tells(everything: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """A crude measure of motion is far above chance: where what moves is, and how much, early and late."""

    def features(clips: np.ndarray) -> np.ndarray:
        clips = clips[:, :, ::2, ::2].astype(np.float32)
        rest = np.median(clips, axis=1, keepdims=True)
        moving = np.abs(clips - rest)
        moving[moving < 30] = 0
        weight = moving.sum((2, 3)) + 1
        rows = (moving.sum(3) * np.arange(SIZE // 2)).sum(2) / weight
        columns = (moving.sum(2) * np.arange(SIZE // 2)).sum(2) / weight
        way = [part[:, 10:].mean(1) - part[:, :6].mean(1) for part in (rows, columns)]
        return np.stack([*way, np.log(weight[:, 10:].mean(1) / weight[:, :6].mean(1))], 1)

    model = KNeighborsClassifier(9).fit(features(everything["train"][0]), everything["train"][1])
    assert model.score(features(everything["test"][0]), everything["test"][1]) > 0.25


@pytest.mark.parametrize("split", ["train", "test"])
def test_handwriting_of_the_other_part_does_not_matter(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"clips/{split}/{action}/0" for action in ACTIONS]
    before = [render(key) for key in keys]
    inks, classes = handwriting()
    for part in (False, True):
        blank = inks.copy()
        blank[[digit for of_class in pool(test=part) for digit in of_class]] = 0
        monkeypatch.setattr(clips, "handwriting", lambda blank=blank: (blank, classes))
        same = [np.array_equal(render.__wrapped__(key), clip) for key, clip in zip(keys, before, strict=True)]
        assert same == [part != (split == "test")] * len(keys)


def test_prepared_and_scored(tmp_path: Path) -> None:
    challenge = read_challenge(challenges.find("digits-actions"))
    data = prepare_challenge(challenge, challenge.rule(), tmp_path / "data")
    assert data.dataset.counts == {"train": 140, "val": 60, "test": 300}
    task = tasks.load("actions")
    for split in ("train", "val", "test"):
        file = data.labels_of(split)
        assert file is not None
        truth = task.open_truth(file, data.dataset.classes)
        count = Counter(truth.labels.values())
        assert count == dict.fromkeys(range(1, 11), data.dataset.counts[split] // 10)
        assert tuple(truth.classes) == ACTIONS
    order = [
        [truth.labels[id_], *(k for k in range(1, 11) if k != truth.labels[id_])] for id_ in truth.index.ids
    ]
    task.write(tmp_path / "perfect.txt", truth.index.ids, np.array(order)[:, :5])
    predictions, problems = task.check((tmp_path / "perfect.txt").read_bytes(), truth.index)
    assert problems == []
    score = task.score(predictions, truth.labels, truth.index, truth.classes)
    assert score.estimates["top1"].value == 1
    for row in data.split("train")[:5]:
        assert row.id.startswith(ACTIONS[row.label or 0] + "_") and row.id.endswith(".npy")
    # Test clips are numbered in an order that tells nothing.
    numbers = [truth.labels[f"img_{k}.npy"] for k in range(300)]
    assert np.mean(np.diff(numbers) == 0) < 0.25
