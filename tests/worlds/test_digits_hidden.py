"""The digits for generators, and the licence to use their networks: distances grow with what is wrong."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vipriors.problems import BadInput
from vipriors.tasks.feature_distances import kernel_distance
from vipriors.tasks.generation_labels import Labels, read_labels
from vipriors.worlds import load_source
from vipriors.worlds.digits import digits
from vipriors.worlds.digits_hidden import NETWORKS, digits_hidden, networks_of_digits

SOURCE = digits_hidden("generation")


@pytest.fixture(scope="module")
def labels() -> Labels:
    named = [
        (f"img_{k}.png", one) for k, one in enumerate(one for one in SOURCE.samples if one.split == "test")
    ]
    ((name, data),) = SOURCE.annotations(named)
    assert name == "labels.npz" and list(SOURCE.test_index(named)) == []
    assert ((name, data),) == tuple(SOURCE.annotations(named))
    return read_labels(data)


def test_no_digit_is_in_two_parts(labels: Labels) -> None:
    places = {split: set() for split in ("train", "test")}
    for one in SOURCE.samples:
        places[one.split].add(int(one.key.removeprefix("digits#")))
    hidden = set(SOURCE.reference)
    assert [len(part) for part in (places["train"], places["test"], hidden)] == [1000, 200, 597]
    assert len(places["train"] | places["test"] | hidden) == 1797
    part = digits().parts[0]
    assert np.array_equal(labels.reference, part.images[sorted(hidden)])
    assert np.array_equal(labels.learned_from, part.images[sorted(places["train"])])
    assert np.bincount(labels.classes).tolist() == [20] * 10
    test = [one for one in SOURCE.samples if one.split == "test"]
    images, classes = SOURCE.labelled(test)
    assert np.array_equal(labels.images, images) and np.array_equal(labels.classes, classes)


def test_validation_images_are_compared_with_themselves() -> None:
    train = [one for one in SOURCE.samples if one.split == "train"]
    ((_, data),) = SOURCE.annotations([(f"image_{k}.png", one) for k, one in enumerate(train[:50])])
    found = read_labels(data)
    assert np.array_equal(found.reference, found.images) and len(found.learned_from) == 950


def test_another_task() -> None:
    with pytest.raises(BadInput, match="has no labels for reid; expected task generation"):
        load_source("digits_hidden", "reid")


def test_the_networks(labels: Labels) -> None:
    assert NETWORKS.stat().st_size < 100_000
    assert [one.name for one in labels.networks] == [
        "random-0",
        *(f"self-supervised-{k}" for k in range(3)),
        *(f"supervised-{k}" for k in range(3)),
    ]
    assert sum(array.size for array in networks_of_digits().values()) < 50_000
    for one in labels.networks:
        features = one.features(labels.images)
        assert np.abs(features.mean(0)).max() < 1e-9 and features.var(0).mean() == pytest.approx(1)
        if one.kind == "supervised":
            assert (one.logits(labels.images).argmax(1) == labels.classes).mean() == one.accuracy > 0.9


@pytest.mark.parametrize("harm", ["noise", "blur", "shift", "collapse", "mixture"])
def test_distances_grow_with_the_dose(labels: Labels, harm: str) -> None:
    rng, known = np.random.default_rng(0), labels.learned_from[:600]

    def harmed(dose: int) -> np.ndarray:
        match harm:
            case "noise":
                found = known + dose * 24.0 * rng.normal(size=known.shape)
            case "blur":
                found = gaussian_filter(known.astype(float), (0, dose * 0.45, dose * 0.45, 0))
            case "shift":
                found = np.roll(known, dose, 2)
            case "mixture":
                found = known + (known[::-1].astype(float) - known) * dose / 4
            case _:
                found = known[: 600 // (1 + 30 * dose)].repeat(1 + 30 * dose, axis=0)
        return np.clip(found, 0, 255).round().astype(np.uint8)

    doses = [harmed(dose) for dose in range(3)]
    for network in (labels.of_kind("supervised")[0], labels.of_kind("self-supervised")[0]):
        reference = network.features(labels.reference)
        found = [kernel_distance(network.features(images), reference) for images in doses]
        values = [one.value for one in found]
        assert values == sorted(values) and values[2] > 2 * found[2].error(), (network.name, values)
        assert abs(values[0]) < 3 * found[0].error()


def test_a_class_that_is_never_made_shows(labels: Labels) -> None:
    """By the same images with and without it; alone, one class of ten may hide in the error."""
    images, classes = SOURCE.labelled([one for one in SOURCE.samples if one.split == "train"])
    rises = []
    for network in labels.of_kind("supervised"):
        found, reference = network.features(images), network.features(labels.reference)
        whole = kernel_distance(found, reference).value
        rises.append([kernel_distance(found[classes != k], reference).value - whole for k in range(10)])
    assert (np.mean(rises, axis=0) > 0).all()
