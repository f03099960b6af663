"""Several seeds of a method at once are what each is by itself."""

import numpy as np
import pytest
import torch

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure
from vipriors.methods.classification._together import fit_together
from vipriors.methods.protocol import Context, Labelled, TrainingSet
from vipriors.problems import BadInput
from vipriors.train import Execution

SEEDS, CPU = (0, 1), Execution("cpu")


def training_set(seed: int, classes: int = 3) -> TrainingSet:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (15, 8, 8, 1), np.uint8)
    labels = np.arange(15) % classes
    names = tuple(map(str, range(classes)))
    return TrainingSet(Labelled(images, labels), names, Invariance(shift=1, flip=True))


@pytest.mark.parametrize("changes", [{}, {"mixup": "0.4", "label_smoothing": "0.1", "ema": "0.9"}])
def test_each_seed_is_what_it_is_by_itself(changes: dict[str, str]) -> None:
    torch.set_num_threads(1)
    method = configure("residual", "tiny", {"steps": "8", "width": "4", "batch_size": "6", **changes})
    sets = [training_set(seed) for seed in SEEDS]
    images = training_set(7).train.images
    for data, seed, found in zip(sets, SEEDS, fit_together(method, sets, SEEDS, CPU), strict=True):
        alone = method.fit(data, Context(seed, execution=CPU))
        ours, theirs = found.model.probabilities(images), alone.model.probabilities(images)
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
        for key in ("steps", "parameters", "flops_per_image", "initial_weights_sha256"):
            assert found.facts[key] == alone.facts[key]
        assert ours.std() > 1e-3


def test_methods_and_sets_that_cannot_be_stacked_are_refused() -> None:
    for name in ("cosine", "distilled-prior", "moco"):
        method = configure(name, "tiny", {"steps": "2"})
        with pytest.raises(BadInput, match="trains by more than cross-entropy"):
            fit_together(method, [training_set(0)], [0], CPU)
    residual = configure("residual", "tiny", {"steps": "2"})
    with pytest.raises(BadInput, match="differ in images or classes"):
        fit_together(residual, [training_set(0), training_set(0, classes=5)], SEEDS, CPU)
