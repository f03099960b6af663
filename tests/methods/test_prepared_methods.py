"""Methods that learn or choose something besides the classifier: pre-training, mixing, choice by norm."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure
from vipriors.methods.classification.chimera_mix import Mixing, mix_by_grid, partners
from vipriors.methods.classification.distilled_prior import stages
from vipriors.methods.classification.strong_wide import Trial, smallest_that_fits, spread
from vipriors.methods.protocol import Context, Labelled, TrainingSet
from vipriors.priors.losses import expected_negative, margin_relu_distance
from vipriors.train import Execution, Standardise

SHAPE = (2, 8, 8)
IMAGES = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 2, 1, 1, 0, 2])


def scaffolded(name: str, **changes):
    torch.manual_seed(0)
    method = dataclasses.replace(configure(name, "tiny", {}), **{"width": 8, "steps": 4} | changes)
    network = nn.Sequential(Standardise(torch.zeros(2), torch.ones(2)), method.network(SHAPE, 3))
    return method, method.scaffold(network, SHAPE, 3).train()


def step(method, scaffold, labels=LABELS, seed=0):
    """One step; the loss and every weight's gradient, by name."""
    loss = method.loss(scaffold, IMAGES, labels, torch.Generator().manual_seed(seed))
    scaffold.zero_grad()
    loss.backward()
    return loss, {name: p.grad for name, p in scaffold.named_parameters()}


def test_the_stages_of_a_network_are_what_its_normalisations_give():
    _, scaffold = scaffolded("distilled-prior", blocks=2)
    network = scaffold.network
    body, seen = network[1], {}
    for training in (True, False):
        network.train(training)
        for name, module in body.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_hook(lambda m, i, output, name=name: seen.__setitem__(name, output))
        expected = body[:-1](network[0](IMAGES))
        # Blocks 1 and 2, 3 and 4, 5 and 6 are the stages; the next block begins with the normalisation.
        wanted = [seen[name] for name in ("3.norm1", "5.norm1", "7")]
        before = {name: value.clone() for name, value in body.state_dict().items()}
        maps, norms, features = stages(network, IMAGES)
        for found, other in zip(maps, wanted, strict=True):
            torch.testing.assert_close(found, other)
        assert norms == [body[3].norm1, body[5].norm1, body[7]]
        torch.testing.assert_close(features, expected)
        counted = {name for name, value in body.state_dict().items() if "num_batches" in name}
        assert {int(body.state_dict()[name] - before[name]) for name in counted} == {int(training)}


def test_the_first_phase_knows_no_labels_and_the_second_distils():
    method, scaffold = scaffolded("distilled-prior", share=0.5)
    assert scaffold.preparing
    one, gradients = step(method, scaffold)
    assert all(
        value is not None for name, value in gradients.items() if scaffold.get_parameter(name).requires_grad
    )
    assert not gradients["network.1.8.weight"].any()
    _, again = scaffolded("distilled-prior", share=0.5)
    assert torch.equal(step(method, again, labels=LABELS.flip(0))[0], one)

    with torch.no_grad():
        scaffold.network[1][0].weight.add_(0.1)
    step(method, scaffold)
    assert not scaffold.preparing
    loss, gradients = step(method, scaffold)
    network, teacher = scaffold.network, scaffold.teacher
    assert not any(module.training for module in teacher.modules())
    assert all(p.grad is None for p in teacher.parameters())
    assert gradients["network.1.8.weight"].any() and gradients["connectors.0.0.weight"].any()
    assert not gradients["projector.0.weight"].any()
    for (name, one), other in zip(teacher.named_parameters(), network.parameters(), strict=True):
        assert torch.equal(one, other), name
    maps, _, _ = stages(network, IMAGES)
    targets, norms, _ = stages(teacher, IMAGES)
    distance = sum(
        margin_relu_distance(connect(m), t, expected_negative(n.bias, n.weight))
        for m, t, n, connect in zip(maps, targets, norms, scaffold.connectors, strict=True)
    )
    expected = functional.cross_entropy(network(IMAGES), LABELS) + method.distillation * distance / 3
    torch.testing.assert_close(loss, expected)
    step(method, scaffold)
    assert int(scaffold.done) == 4


def test_the_queue_holds_the_latest_keys_and_the_keys_network_follows():
    method, scaffold = scaffolded("distilled-prior", queue=8, key_momentum=0.75)
    before = scaffold.queue.keys.clone()
    weight = scaffold.network[1][0].weight
    with torch.no_grad():
        weight.add_(1.0)
    step(method, scaffold)
    assert torch.equal(scaffold.queue.keys[6:], before[:2])
    torch.testing.assert_close(scaffold.queue.keys[:6].norm(dim=1), torch.ones(6))
    torch.testing.assert_close(scaffold.key_network[1][0].weight, weight - 0.75)


def test_in_evaluation_a_scaffold_is_its_network():
    for name in ("distilled-prior", "chimera-mix"):
        _, scaffold = scaffolded(name)
        scaffold.eval()
        assert torch.equal(scaffold(IMAGES), scaffold.network(IMAGES))


def test_partners_are_of_the_same_class_and_another_image_if_there_is_one():
    labels, generator = torch.tensor([0, 1, 0, 2, 0, 1]), torch.Generator().manual_seed(0)
    seen = [set() for _ in labels]
    for _ in range(60):
        for image, partner in enumerate(partners(labels, generator).tolist()):
            seen[image].add(partner)
    assert seen == [{2, 4}, {5}, {0, 4}, {3}, {0, 2}, {1}]


def test_mixing_takes_each_place_from_one_of_the_two():
    one, other = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6)
    grid = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    mixed = mix_by_grid(one, other, grid)
    assert torch.equal(mixed[0, :, :, :3], one[0, :, :, :3])
    assert torch.equal(mixed[0, :, :, 3:], other[0, :, :, 3:])
    assert torch.equal(mixed[1, :, :, :3], other[1, :, :, :3])


def test_who_learns_from_what_when_mixing():
    _, scaffold = scaffolded("chimera-mix")
    assert isinstance(scaffold, Mixing)
    grid, shown = torch.randint(2, (6, 1, 4, 4)).float(), torch.ones(6, dtype=torch.bool)
    names = [name for name, _ in scaffold.named_parameters()]

    def learners(part):
        logits, *losses = scaffold(IMAGES, LABELS, torch.tensor([4, 5, 3, 2, 0, 1]), grid, shown)
        value = functional.cross_entropy(logits, LABELS) if part == 3 else losses[part]
        gradients = torch.autograd.grad(value, [*scaffold.parameters()], allow_unused=True)
        return {n.partition(".")[0] for n, g in zip(names, gradients, strict=True) if g is not None}

    assert learners(0) == {"generator"}
    assert learners(1) == {"generator"}
    assert learners(2) == {"discriminator"}
    assert learners(3) == {"network"}


def test_the_adversarial_losses_by_hand():
    _, scaffold = scaffolded("chimera-mix", mixed=0.0)
    judge, make = scaffold.discriminator, scaffold.generator
    partner, grid = torch.tensor([4, 5, 3, 2, 0, 1]), torch.randint(2, (6, 1, 4, 4)).float()
    nothing = torch.zeros(6, dtype=torch.bool)
    logits, error, fooled, judged = scaffold(IMAGES, LABELS, partner, grid, nothing)
    features = make.encode(IMAGES)
    mixed = make.decode(mix_by_grid(features, features[partner], grid), IMAGES.shape[2:])
    torch.testing.assert_close(error, ((make.decode(features, IMAGES.shape[2:]) - IMAGES) ** 2).mean())
    torch.testing.assert_close(fooled, ((judge(mixed, LABELS) - 1) ** 2).mean())
    expected = ((judge(IMAGES, LABELS) - 1) ** 2).mean() + (judge(mixed, LABELS) ** 2).mean()
    torch.testing.assert_close(judged, expected)
    torch.testing.assert_close(logits, scaffold.network(IMAGES))


def test_the_smallest_weights_among_those_that_fit():
    trials = [
        Trial(0.1, 0.1, loss=2.0, norm=1.0),
        Trial(0.1, 0.01, loss=0.15, norm=5.0),
        Trial(0.01, 0.1, loss=0.10, norm=7.0),
        Trial(0.3, 0.1, loss=math.inf, norm=math.inf),
        Trial(0.01, 0.01, loss=0.21, norm=3.0),
    ]
    assert smallest_that_fits(trials, 0.1) == trials[1]
    assert smallest_that_fits(trials, 0.0) == trials[2]
    assert smallest_that_fits(trials, 5.0) == trials[0]
    assert spread(0.01, 0.1, 3) == [0.01, 0.0316, 0.1]
    assert spread(0.01, 0.1, 1) == [0.0316]


def test_when_nothing_fits_it_says_so():
    with pytest.raises(FloatingPointError, match=r"^the loss of every trial became infinite$"):
        smallest_that_fits([Trial(0.1, 0.1, loss=math.inf, norm=math.inf)], 0.1)


def test_the_choice_by_norm_is_recorded_and_used():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (12, 8, 8, 1), dtype=np.uint8), np.arange(12) % 3
    data = TrainingSet(Labelled(images, labels), ("a", "b", "c"), Invariance())
    context = Context(seed=1, execution=Execution("cpu"))
    wide = dataclasses.replace(
        configure("strong-wide", "tiny", {}),
        width=4,
        steps=6,
        batch_size=6,
        rates=2,
        decays=1,
        trial_share=0.5,
    )
    found = wide.fit(data, context)
    assert found.facts["trial_steps"] == 6
    assert found.facts["chosen_lr"] in (0.01, 0.1)
    assert found.facts["chosen_weight_decay"] == 0.01
    told = dataclasses.replace(
        configure("residual", "tiny", {}),
        width=4,
        steps=6,
        batch_size=6,
        lr=found.facts["chosen_lr"],
        weight_decay=0.01,
    ).fit(data, context)
    assert told.facts["final_weights_sha256"] == found.facts["final_weights_sha256"]
    trials = [wide.trial(data, context, lr, 0.01) for lr in (0.01, 0.1)]
    assert smallest_that_fits(trials, wide.tolerance).lr == found.facts["chosen_lr"]
    alone = dataclasses.replace(data, held_out=Labelled(images[::-1].copy(), labels))
    assert wide.fit(alone, context).facts["chosen_lr"] == found.facts["chosen_lr"]


@pytest.mark.parametrize("lr", [1e30])
def test_a_trial_that_diverges_fits_nothing(lr):
    images, labels = np.zeros((6, 8, 8, 1), np.uint8), np.arange(6) % 3
    images[:] = np.arange(6)[:, None, None, None] * 40
    data = TrainingSet(Labelled(images, labels), ("a", "b", "c"), Invariance())
    wide = dataclasses.replace(configure("strong-wide", "tiny", {}), width=4, steps=40, batch_size=6)
    found = wide.trial(data, Context(execution=Execution("cpu")), lr, 0.1)
    assert found.loss == math.inf
