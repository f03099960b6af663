"""Learning from images without labels: what the term sees, and what it leaves alone."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from method_cases.classification import few_labels, spots
from torch import nn

from vipriors.methods import configure
from vipriors.methods.classification.nuclear_norm import TERMS
from vipriors.methods.protocol import Context, TrainingSet
from vipriors.train import Execution, Unlabelled

CPU = Execution("cpu")
FEW = {"steps": "6", "batch_size": "8", "width": "8"}


def weights(name: str, data: TrainingSet, folder=None, **settings: str) -> str:
    method = configure(name, "tiny", FEW | settings)
    return method.fit(data, Context(seed=2, folder=folder, execution=CPU)).facts["final_weights_sha256"]


def test_weight_0_is_the_supervised_run_to_the_bit():
    data = few_labels(6, 90)
    plain = weights("residual", data)
    assert weights("nuclear-norm", data, weight="0") == plain
    assert weights("nuclear-norm", data, weight="0.001") != plain


def test_a_method_that_does_not_use_them_is_unchanged():
    data = few_labels(6, 90)
    assert weights("residual", data) == weights("residual", dataclasses.replace(data, unlabelled=None))


def test_every_term_learns_otherwise_and_from_the_images_without_labels():
    data = few_labels(6, 90)
    found = {term: weights("nuclear-norm", data, term=term) for term in TERMS}
    assert len(set(found.values())) == len(TERMS)
    assert configure("nuclear-norm", "tiny", {}).term == "nuclear"
    other = dataclasses.replace(data, unlabelled=spots(np.arange(90) % 2, 5))
    assert weights("nuclear-norm", other) != found["nuclear"]
    alone = dataclasses.replace(data, unlabelled=None)
    itself = dataclasses.replace(data, unlabelled=data.train.images)
    assert weights("nuclear-norm", alone) == weights("nuclear-norm", itself)


def test_both_batches_go_through_the_network_by_themselves():
    """So that normalisation sees one of them at a time; and the loss is the weighted sum."""
    data, seen = few_labels(6, 90), []

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 3, dtype=torch.float32)

        def forward(self, x):
            seen.append(x)
            return self.layer(x.flatten(1))

    method = configure("nuclear-norm", "tiny", {"weight": "0.3", "unlabelled_batch": "40"})
    beside, network = method.beside(data, CPU), Network()
    value = beside(network, lambda batch, generator: batch, torch.Generator().manual_seed(0))
    (batch,) = seen
    assert batch.shape == (40, 1, 8, 8)
    probabilities = network(batch).softmax(1).detach().numpy()
    assert value.item() == pytest.approx(-0.3 * np.linalg.norm(probabilities, "nuc") / 40, rel=1e-5)
    known = {image.tobytes() for image in data.unlabelled}
    drawn = [(image.numpy() * 255).round().astype(np.uint8).tobytes() for image in batch]
    assert set(drawn) <= known and len(set(drawn)) == 40, "none twice"


def test_a_batch_without_labels_depends_on_the_step_alone():
    pool = Unlabelled(few_labels(6, 90).unlabelled, batch_size=16, device=torch.device("cpu"))
    one, other, again = (pool(torch.Generator().manual_seed(seed)) for seed in (0, 1, 0))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert one.min() >= 0 and 0.5 < one.max() <= 1
    few = Unlabelled(few_labels(6, 90).unlabelled[:5], batch_size=16, device=torch.device("cpu"))
    assert few(torch.Generator()).shape == (5, 1, 8, 8)


def test_the_log_has_the_diversity(tmp_path):
    weights("nuclear-norm", few_labels(6, 90), tmp_path, steps="30", lr="0.05", unlabelled_batch="30")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    for line in lines:
        assert 1 / 3 <= line["diversity"] <= 1
        assert 0 <= line["entropy"] <= line["mean_entropy"] + 1e-6 <= 1 + 2e-6
    assert lines[-1]["diversity"] == 1
    assert "val_top1" not in lines[-1]


def test_the_diversity_is_that_of_whole_batches():
    data = few_labels(6, 90)
    beside = configure("nuclear-norm", "tiny", {"unlabelled_batch": "40"}).beside(data, CPU)

    class First(nn.Module):
        """Names the first class, but for the last ten images, which are in no whole batch."""

        def __init__(self) -> None:
            super().__init__()
            self.seen = 0

        def forward(self, x):
            rows = torch.arange(self.seen, self.seen + len(x))
            self.seen += len(x)
            return nn.functional.one_hot((rows >= 80).long() * 2, 3).float() * 50

    large = dataclasses.replace(data, unlabelled=np.repeat(data.unlabelled, 8, 0))
    watched = configure("nuclear-norm", "tiny", {"unlabelled_batch": "700"}).beside(large, CPU).watch(First())
    assert watched["diversity"] == pytest.approx(2 / 3), "a batch of more images than are looked at otherwise"
    found = beside.watch(First())
    assert found["diversity"] == pytest.approx(1 / 3)
    assert found["entropy"] == pytest.approx(0, abs=1e-6)
    shares = np.array([80, 10]) / 90
    assert found["mean_entropy"] == pytest.approx(-(shares * np.log(shares)).sum() / np.log(3), rel=1e-4)
