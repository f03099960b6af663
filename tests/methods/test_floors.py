"""The classical floors against scikit-learn used directly."""

import itertools

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from vipriors.methods.classification.nearest_neighbour import DISTANCES, NearestNeighbour
from vipriors.methods.classification.support_vector_machine import GAMMAS, PENALTIES, SupportVectorMachine
from vipriors.methods.protocol import Context, Labelled, TrainingSet


def digits(train: int = 60, held_out: int = 50, classes: int = 10) -> TrainingSet:
    bunch = load_digits(n_class=classes)
    images = (bunch.images * 255 / 16).astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(images))
    first, second = order[:train], order[train : train + held_out]
    return TrainingSet(
        Labelled(images[first], bunch.target[first]),
        tuple(map(str, range(classes))),
        held_out=Labelled(images[second], bunch.target[second]),
    )


def pixels(part: Labelled) -> np.ndarray:
    return part.images.reshape(len(part.images), -1).astype(np.float64) / 255


def predictions(method, data: TrainingSet) -> np.ndarray:
    found = method.fit(data, Context()).model.probabilities(data.held_out.images)
    assert ((found == 0) | (found == 1)).all()
    assert (found.sum(1) == 1).all()
    return found.argmax(1)


def direct(estimator, data: TrainingSet) -> np.ndarray:
    return estimator.fit(pixels(data.train), data.train.labels).predict(pixels(data.held_out))


@pytest.mark.parametrize(("c", "gamma"), [(1.0, 1.0), (30.0, 3.0), (0.3, 10.0)])
def test_the_support_vector_machine(c, gamma):
    data = digits()
    x = pixels(data.train)
    expected = direct(SVC(C=c, gamma=gamma / (x.shape[1] * x.var())), data)
    assert np.array_equal(predictions(SupportVectorMachine(c=c, gamma=gamma), data), expected)


def test_gamma_one_is_what_scikit_learn_calls_scale():
    data = digits()
    assert np.array_equal(predictions(SupportVectorMachine(), data), direct(SVC(gamma="scale"), data))


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_nearest_neighbour(distance):
    data = digits()
    expected = direct(KNeighborsClassifier(1, metric=distance), data)
    assert np.array_equal(predictions(NearestNeighbour(distance=distance), data), expected)


def test_the_nearest_neighbour_by_brute_force():
    data = digits()
    squares = ((pixels(data.held_out)[:, None] - pixels(data.train)) ** 2).sum(2)
    expected = data.train.labels[squares.argmin(1)]
    assert np.array_equal(predictions(NearestNeighbour(distance="euclidean"), data), expected)


def accuracy(estimator, data: TrainingSet) -> float:
    return float((direct(estimator, data) == data.held_out.labels).mean())


@pytest.mark.parametrize("train", [30, 90])
def test_the_support_vector_machine_is_tuned_on_held_out_images(train):
    data = digits(train)
    x = pixels(data.train)
    pairs = list(itertools.product(PENALTIES, GAMMAS))
    scores = [accuracy(SVC(C=c, gamma=g / (x.shape[1] * x.var())), data) for c, g in pairs]
    assert len(set(scores)) > 3
    best = pairs[int(np.argmax(scores))]
    tuned = SupportVectorMachine().tuned(data)
    assert (tuned.c, tuned.gamma) == best
    assert SupportVectorMachine(c=1.0).tuned(data).c == 1.0
    assert SupportVectorMachine(gamma=2.0).tuned(data).gamma == 2.0
    assert SupportVectorMachine(c=7.0, gamma=2.0).tuned(data) == SupportVectorMachine(c=7.0, gamma=2.0)


def test_the_nearest_neighbour_is_tuned_on_held_out_images():
    seen = set()
    for train in (20, 30, 40, 60, 90):
        data = digits(train)
        scores = [accuracy(KNeighborsClassifier(1, metric=distance), data) for distance in DISTANCES]
        best = DISTANCES[int(np.argmax(scores))]
        seen.add(best)
        assert NearestNeighbour().tuned(data) == NearestNeighbour(distance=best)
    assert len(seen) > 1
    assert NearestNeighbour(distance="cosine").tuned(data) == NearestNeighbour(distance="cosine")


def test_of_equals_the_first_is_taken():
    images = np.repeat(np.array([10, 240], np.uint8), 6).reshape(12, 1, 1, 1).repeat(4, 1)
    images = images + np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1)
    images[:, 0] = 255 - images[:, 0]
    part = Labelled(images, np.repeat([0, 1], 6))
    data = TrainingSet(part, ("a", "b"), held_out=part)
    assert NearestNeighbour().tuned(data) == NearestNeighbour(distance="euclidean")
    assert SupportVectorMachine().tuned(data) == SupportVectorMachine(c=PENALTIES[0], gamma=GAMMAS[0])


@pytest.mark.parametrize(
    "method", [SupportVectorMachine(c=3.0, gamma=0.3), NearestNeighbour(distance="manhattan")]
)
def test_stored_without_pickle(method, tmp_path):
    data = digits(classes=3)
    classifier = method.fit(data, Context()).model
    classifier.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["floor.npz"]
    with np.load(tmp_path / "floor.npz", allow_pickle=False) as stored:
        assert np.array_equal(stored["images"], data.train.images)
        assert np.array_equal(stored["labels"], data.train.labels)
    loaded = method.load(tmp_path, data.image_shape, 3, None)
    images = data.held_out.images
    assert np.array_equal(loaded.probabilities(images), classifier.probabilities(images))


def test_classes_without_an_image_get_a_column_all_the_same():
    data = digits(classes=3)
    wider = TrainingSet(data.train, ("0", "1", "2", "3", "4"))
    for method in (SupportVectorMachine(), NearestNeighbour()):
        found = method.fit(wider, Context()).model.probabilities(data.held_out.images)
        assert found.shape == (50, 5)
        assert (found[:, 3:] == 0).all()


def test_images_that_are_all_the_same_are_no_reason_to_fail():
    images, labels = np.full((6, 4, 4, 1), 7, np.uint8), np.arange(6) % 2
    for method in (SupportVectorMachine(), NearestNeighbour()):
        found = method.fit(TrainingSet(Labelled(images, labels), ("a", "b")), Context()).model
        assert np.isfinite(found.probabilities(images)).all()
