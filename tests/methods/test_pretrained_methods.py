"""Learning without labels: what a step is made of, what it may see, and how it is judged."""

import dataclasses
import json
import math
import os
import signal

import numpy as np
import pytest
import torch
from method_cases.classification import few_labels, spots
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure
from vipriors.methods.classification._contrast import vectors
from vipriors.methods.classification._pretrained import pool, some, split_head, views_found
from vipriors.methods.protocol import Context, Labelled, TrainingSet
from vipriors.priors.layers import SplitBatchNorm2d
from vipriors.priors.losses import in_batch_info_nce_loss, info_nce_loss
from vipriors.problems import BadInput
from vipriors.train import Execution, Interrupted, Standardise
from vipriors.train.probe import features

CPU = Execution("cpu")
FEW = {"steps": "4", "batch_size": "8", "width": "8", "stages": "2"}
IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CONTRASTS = ("moco", "end-to-end-contrast")


def fitted(name: str, data: TrainingSet, folder=None, **settings: str):
    method = configure(name, "tiny", (FEW if name in CONTRASTS else {"width": "8", "stages": "2"}) | settings)
    return method.fit(data, Context(seed=2, folder=folder, execution=CPU))


def scaffolded(name: str, **settings: str):
    torch.manual_seed(0)
    method = configure(name, "tiny", FEW | settings)
    network = nn.Sequential(Standardise(torch.zeros(1), torch.ones(1)), method.network((1, 8, 8), 3))
    return method, method.pretraining(network, 40).train()


def encoder_weights(network: nn.Module) -> list[torch.Tensor]:
    return [*split_head(network)[0].state_dict().values()]


def views(batch, generator):
    """Not at random: the image, then its mirror."""
    views.calls += 1
    return batch if views.calls % 2 else batch.flip(3)


views.calls = 0


def test_a_step_of_momentum_contrast_by_hand():
    """The slow copy follows, then keys are made; a batch's keys are among the next one's negatives."""
    method, scaffold = scaffolded("moco", queue="16", key_momentum="0.75", groups="1", temperature="0.3")
    start = scaffold.queue.keys.clone()
    with torch.no_grad():
        for weight in scaffold.network.parameters():
            weight.add_(0.1)
    slow = [
        0.75 * key + 0.25 * weight
        for key, weight in zip(scaffold.key_network.parameters(), scaffold.network.parameters(), strict=True)
    ]
    loss = method.pretext_loss(scaffold, IMAGES, torch.arange(8), views, torch.Generator())
    for key, expected in zip(scaffold.key_network.parameters(), slow, strict=True):
        torch.testing.assert_close(key, expected)
    # One group: normalisation does not depend on the order.
    queries = vectors(scaffold.network, scaffold.projector, IMAGES)
    keys = vectors(scaffold.key_network, scaffold.key_projector, IMAGES.flip(3))
    torch.testing.assert_close(loss, info_nce_loss(queries, keys, start, 0.3))
    torch.testing.assert_close(scaffold.queue.keys, torch.cat([keys, start[:8]]))
    loss.backward()
    frozen = [*scaffold.key_network.parameters(), *scaffold.key_projector.parameters()]
    assert not any(p.requires_grad or p.grad is not None for p in frozen)
    learned = [*split_head(scaffold.network)[0].parameters(), *scaffold.projector.parameters()]
    assert all(p.grad is not None and p.grad.any() for p in learned)


def test_a_step_end_to_end_by_hand():
    method, scaffold = scaffolded("end-to-end-contrast", groups="1", temperature="0.3")
    loss = method.pretext_loss(scaffold, IMAGES, torch.arange(8), views, torch.Generator())
    queries = vectors(scaffold.network, scaffold.projector, IMAGES)
    keys = vectors(scaffold.network, scaffold.projector, IMAGES.flip(3))
    expected = in_batch_info_nce_loss(queries, keys, 0.3)
    torch.testing.assert_close(loss, expected)
    weight = scaffold.network[1][0].weight
    found = torch.autograd.grad(loss, weight)[0]
    torch.testing.assert_close(found, torch.autograd.grad(expected, weight)[0], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", CONTRASTS)
def test_batches_are_normalised_in_parts_and_keys_in_another_order(name):
    _, scaffold = scaffolded(name, groups="4")
    norms = [module for module in scaffold.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(isinstance(norm, SplitBatchNorm2d) and norm.groups == 4 for norm in norms)
    seen = []
    standardise = (scaffold.key_network if name == "moco" else scaffold.network)[0]
    standardise.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    found = scaffold(IMAGES, IMAGES.flip(3))[1]
    assert sorted(map(torch.sum, seen[-1])) == sorted(map(torch.sum, IMAGES.flip(3)))
    assert not torch.equal(seen[-1], IMAGES.flip(3))
    again = scaffold(IMAGES, IMAGES.flip(3))[1]
    assert not torch.allclose(found, again), "other parts, other statistics"


def test_the_queue_holds_at_most_half_of_the_images():
    assert len(scaffolded("moco")[1].queue.keys) == 20
    assert len(scaffolded("moco", queue="16")[1].queue.keys) == 16


@pytest.mark.parametrize("name", [*CONTRASTS, "random-features"])
def test_features_know_no_labels_and_see_every_image(name):
    data = few_labels(12, 60)
    found = fitted(name, data).model.network
    other = dataclasses.replace(data, train=Labelled(data.train.images, data.train.labels[::-1].copy()))
    again = fitted(name, other).model.network
    for one, two in zip(encoder_weights(found), encoder_weights(again), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(found[1][-1].weight, again[1][-1].weight)
    fewer = fitted(name, dataclasses.replace(data, unlabelled=None)).model.network
    pairs = zip(encoder_weights(found), encoder_weights(fewer), strict=True)
    assert not all(torch.equal(one, two) for one, two in pairs)
    assert len(pool(data)) == 72 and np.array_equal(pool(data)[:12], data.train.images)


@pytest.mark.parametrize("name", [*CONTRASTS, "random-features"])
def test_the_probe_is_scikit_learns_on_frozen_features(name):
    data = few_labels(12, 60)
    model = fitted(name, data).model
    encoder, _ = split_head(model.network)
    assert len(pool(data)) < 1000, "all of them standardise"
    everything = features(encoder, pool(data), CPU).double().numpy()
    scaler = StandardScaler().fit(everything)
    x = scaler.transform(everything)
    oracle = LogisticRegression(tol=1e-9, max_iter=10_000).fit(x[:12], data.train.labels)
    np.testing.assert_allclose(model.probabilities(pool(data)), oracle.predict_proba(x), atol=2e-3)


def test_random_features_have_random_weights_and_the_statistics_of_all_images():
    data = few_labels(12, 60)
    found = fitted("random-features", data)
    method = configure("random-features", "tiny", {"width": "8", "stages": "2"})
    network = found.model.network
    convolution, norm = network[1][0], network[1][1].norm1
    assert (norm.weight == 1).all() and not norm.bias.any()
    maps = convolution(network[0](torch.from_numpy(pool(data)).permute(0, 3, 1, 2) / 255))
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, maps.var((0, 2, 3)), atol=1e-4, rtol=1e-4)
    again = method.fit(data, Context(seed=3, execution=CPU)).model.network
    assert not torch.equal(convolution.weight, again[1][0].weight)
    assert "steps" not in found.facts


def test_fine_tuning_goes_on_from_what_was_learned(tmp_path):
    data = few_labels(12, 60)
    probe = fitted("moco", data).model.network
    few = {"evaluation": "fine-tune", "tune_steps": "1", "tune_lr": "1e-9"}
    tuned = fitted("moco", data, tmp_path, **few)
    for one, two in zip(probe.parameters(), tuned.model.network.parameters(), strict=True):
        if one is not probe[1][-1].weight and one is not probe[1][-1].bias:
            torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)
    assert not probe[1][-1].weight.allclose(tuned.model.network[1][-1].weight), "with another head"
    assert not any(isinstance(module, SplitBatchNorm2d) for module in tuned.model.network.modules())
    assert tuned.facts["steps"] == 4 + 1
    assert [len(file.read_text().splitlines()) for file in sorted(tmp_path.rglob("log.jsonl"))] == [1, 4]
    more = fitted("moco", data, **few | {"tune_steps": "60", "tune_lr": "0.05"})
    found = more.model.probabilities(data.train.images)
    assert (found.argmax(1) == data.train.labels).mean() > 0.9
    assert not torch.allclose(more.model.network[1][0].weight, probe[1][0].weight)


def test_fine_tuning_is_taken_up_again_to_the_bit(tmp_path):
    data = few_labels(12, 60)
    method = configure("moco", "tiny", FEW | {"evaluation": "fine-tune", "tune_steps": "6"})

    def stop(step: int, steps: int, text: str) -> None:
        if (step, steps) == (3, 6):
            os.kill(os.getpid(), signal.SIGINT)

    whole = method.fit(data, Context(1, tmp_path / "whole", execution=CPU))
    with pytest.raises(Interrupted):
        method.fit(data, Context(1, tmp_path / "parts", execution=CPU, progress=stop))
    found = method.fit(data, Context(1, tmp_path / "parts", resume=True, execution=CPU))
    for key in ("initial_weights_sha256", "final_weights_sha256", "steps"):
        assert found.facts[key] == whole.facts[key]


def test_the_log_has_the_probe_and_how_many_views_are_found(tmp_path):
    data = dataclasses.replace(
        few_labels(12, 60), held_out=Labelled(spots(np.arange(9) % 3, 5), np.arange(9) % 3)
    )
    model = fitted("moco", data, tmp_path, steps="8", lr="0.05").model
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == lines[-1]["step"] == 8
    assert all(0 <= line["found"] <= 1 for line in lines)
    accuracy = (model.probabilities(data.held_out.images).argmax(1) == data.held_out.labels).mean()
    assert lines[-1]["val_top1"] == accuracy


@pytest.mark.parametrize("name", CONTRASTS)
def test_its_own_key_is_learned_to_be_found(name):
    """Two batches by turns, so that a queue of one batch never holds an image that is sought."""
    method, scaffold = scaffolded(name, queue="8") if name == "moco" else scaffolded(name)
    batches = torch.rand(2, 8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    learned = [weight for weight in scaffold.parameters() if weight.requires_grad]
    optimizer, losses = torch.optim.SGD(learned, 0.05, momentum=0.9), []
    for step in range(60):
        loss = method.pretext_loss(
            scaffold, batches[step % 2], torch.arange(8), lambda batch, generator: batch, torch.Generator()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.7 * math.log(8), "guessing among eight or nine"


def test_views_that_are_found():
    network = nn.Sequential(nn.Identity(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    many = spots(np.arange(30) % 3, 3)
    assert views_found(network, many, lambda batch, generator: batch, CPU) == 1

    def unlike(batch, generator):
        return torch.rand(batch.shape, generator=generator)

    assert views_found(network, many, unlike, CPU) < 0.3
    assert len(some(many, 30)) == 30 and len(some(many, 29)) == 15 and len(some(many, 7)) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixup": "0.2"}, "mixup: is 0.2; expected 0, for a probe sees no such labels"),
        ({"label_smoothing": "0.1"}, "label_smoothing: is 0.1; expected 0, for a probe"),
        ({"groups": "3"}, "groups: is 3; expected a divisor of batch_size, which is 16"),
        ({"queue": "0"}, "queue: is 0; expected 1 or more"),
        ({"key_momentum": "1.5"}, "key_momentum: is 1.5; expected 0 to 1"),
        (
            {"crop": "0", "tune_lr": "0"},
            r"(?s)tune_lr: is 0.0; .*crop: is 0.0; expected more than 0, at most 1",
        ),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(BadInput, match=message):
        configure("moco", "tiny", settings)
    configure("moco", "tiny", {"mixup": "0.2", "evaluation": "fine-tune"})


def test_colour_images_lose_their_colour_at_times():
    method, generator = configure("moco", "tiny", {}), torch.Generator().manual_seed(0)
    seen = method.views(Invariance(), (3, 8, 8))(torch.rand(200, 3, 8, 8), generator)
    grey = (seen[:, 0] - seen[:, 1]).abs().amax((1, 2)) < 1e-5
    assert 0.1 < grey.float().mean() < 0.3
    assert functional.mse_loss(seen, seen.clamp(0, 1)) == 0
