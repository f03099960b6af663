"""The training loop against the textbook's formulas, written out plainly."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from vipriors.problems import BadInput
from vipriors.train import Batches, Execution, Recipe, seed_everything, train

CPU = torch.device("cpu")
CLASSES = 3


def make_network() -> nn.Module:
    seed_everything(0, CPU)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES)
    )


def make_batches(recipe: Recipe) -> Batches:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    return Batches(images, rng.integers(0, CLASSES, 10), batch_size=recipe.batch_size, seed=7, device=CPU)


def smoothed_loss(recipe: Recipe):
    def loss(network, images, targets, generator):
        logits = network(images.to(next(network.parameters()).dtype))
        return functional.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)

    return loss


def plain_loop(network: nn.Module, recipe: Recipe) -> tuple[nn.Module, nn.Module, list[float]]:
    """The same training with nothing but formulas: no optimiser, schedule or clipping from a library."""
    batches = make_batches(recipe)
    parameters = list(network.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    average = copy.deepcopy(network)
    warmup = round(recipe.steps * recipe.warmup)
    losses = []
    for step in range(recipe.steps):
        if step < warmup:
            lr = recipe.lr * (step + 1) / warmup
        else:
            lr = recipe.lr * math.cos(math.pi / 2 * (step - warmup) / (recipe.steps - warmup)) ** 2
        images, labels = batches(step)
        log_p = network(images.double()).log_softmax(1)
        targets = torch.full_like(log_p, recipe.label_smoothing / CLASSES)
        targets[torch.arange(len(labels)), labels] += 1 - recipe.label_smoothing
        loss = -(targets * log_p).sum(1).mean()
        losses.append(loss.item())
        gradients = list(torch.autograd.grad(loss, parameters))
        if recipe.clip_norm:
            norm = math.sqrt(sum((g**2).sum().item() for g in gradients))
            gradients = [g * min(1, recipe.clip_norm / (norm + 1e-6)) for g in gradients]
        with torch.no_grad():
            for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                decay = recipe.weight_decay if p.ndim > 1 else 0.0
                if recipe.optimizer == "sgd":
                    g = g + decay * p
                    m.copy_(recipe.momentum * m + g)
                    p -= lr * (g + recipe.momentum * m)
                else:
                    m.copy_(recipe.momentum * m + (1 - recipe.momentum) * g)
                    v.copy_(0.999 * v + 0.001 * g**2)
                    m_hat = m / (1 - recipe.momentum ** (step + 1))
                    v_hat = v / (1 - 0.999 ** (step + 1))
                    p.copy_(p - lr * decay * p - lr * m_hat / (v_hat.sqrt() + 1e-8))
            decay = min(recipe.ema, (1 + step) / (10 + step))
            for a, p in zip(average.parameters(), parameters, strict=True):
                a.copy_(decay * a + (1 - decay) * p)
            for a, b in zip(average.buffers(), network.buffers(), strict=True):
                a.copy_(b)
    return network, average, losses


RECIPES = {
    "sgd": Recipe(steps=20, batch_size=4),
    "no momentum": Recipe(steps=20, batch_size=4, momentum=0.0, weight_decay=0.0, warmup=0.0),
    "adamw": Recipe(steps=20, batch_size=4, optimizer="adamw", lr=0.01, weight_decay=0.1),
    "everything": Recipe(
        steps=20,
        batch_size=4,
        lr=0.5,
        warmup=0.3,
        label_smoothing=0.1,
        ema=0.8,
        clip_norm=0.5,
        weight_decay=0.1,
    ),
    "late average": Recipe(steps=20, batch_size=4, optimizer="adamw", ema=0.2, clip_norm=0.1, warmup=1.0),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_loop_equals_the_formulas(name, tmp_path):
    recipe = RECIPES[name]
    network = make_network().double()
    expected, average, losses = plain_loop(copy.deepcopy(network), recipe)
    initial = copy.deepcopy(network.state_dict())
    logged = []
    found = train(
        network,
        make_batches(recipe),
        recipe,
        smoothed_loss(recipe),
        execution=Execution("cpu"),
        monitor=lambda predicting: {"weight": next(predicting.parameters()).flatten()[0].item()},
        progress=lambda step, steps, text: logged.append((step, steps, text)),
        log_every=1,
    )
    for key, value in expected.state_dict().items():
        assert torch.allclose(network.state_dict()[key], value, rtol=1e-6, atol=1e-7), key
        assert not torch.equal(value, initial[key]), key
    predicting = average if recipe.ema else expected
    for key, value in predicting.state_dict().items():
        assert torch.allclose(found.state_dict()[key], value, rtol=1e-6, atol=1e-7), key
    assert (found is network) == (recipe.ema == 0)
    assert not found.training
    assert logged == [(i + 1, 20, f"loss {value:.3f}") for i, value in enumerate(losses)]


def test_the_log_means_over_the_steps_since_the_line_before(tmp_path):
    recipe = RECIPES["everything"]
    _, average, losses = plain_loop(make_network().double(), recipe)
    from small_job import log

    network = make_network().double()
    monitored = []

    def monitor(predicting):
        assert not predicting.training
        assert not torch.is_grad_enabled()
        monitored.append(next(predicting.parameters()).flatten()[0].item())
        return {"weight": monitored[-1]}

    train(
        network,
        make_batches(recipe),
        recipe,
        smoothed_loss(recipe),
        execution=Execution("cpu"),
        folder=tmp_path / "new" / "folder",
        monitor=monitor,
        log_every=8,
    )
    lines = log(tmp_path / "new" / "folder")
    assert [line["step"] for line in lines] == [8, 16, 20]
    means = [np.mean(losses[:8]), np.mean(losses[8:16]), np.mean(losses[16:])]
    assert [line["loss"] for line in lines] == pytest.approx(means, rel=1e-6)
    # Seven steps into the cosine's fourteen the rate is half of its peak; the last step's is not yet zero.
    rates = [recipe.lr * 0.5 * (1 + math.cos(math.pi * k / 14)) for k in (1, 9, 13)]
    assert [line["lr"] for line in lines] == pytest.approx(rates)
    assert [line["weight"] for line in lines] == monitored
    assert monitored[-1] == pytest.approx(next(average.parameters()).flatten()[0].item())


def test_about_a_hundred_lines_by_default(tmp_path):
    recipe = Recipe(steps=250, batch_size=2)
    train(
        make_network(), make_batches(recipe), recipe, smoothed_loss(recipe), execution=Execution("cpu"),
        folder=tmp_path,
    )  # fmt: skip
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 125


def test_frozen_parameters_stay():
    network = make_network()
    network[0].weight.requires_grad_(False)
    before = network[0].weight.clone()
    recipe = Recipe(steps=3, batch_size=4)
    train(network, make_batches(recipe), recipe, smoothed_loss(recipe), execution=Execution("cpu"))
    assert torch.equal(network[0].weight, before)


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe(steps=3, batch_size=4)
    train(make_network(), make_batches(recipe), recipe, smoothed_loss(recipe), execution=Execution("cpu"))
    assert not list(tmp_path.iterdir())


def test_a_recipe_that_cannot_be_trained_with_lists_all_that_is_wrong():
    with pytest.raises(BadInput) as caught:
        Recipe(steps=0, batch_size=-1, lr=math.nan, momentum=1, weight_decay=-0.1, warmup=1.5, clip_norm=-1)
    assert str(caught.value).splitlines() == [
        "steps: is 0; expected 1 or more",
        "batch_size: is -1; expected 1 or more",
        "lr: is nan; expected more than 0",
        "momentum: is 1; expected 0 to less than 1",
        "weight_decay: is -0.1; expected 0 or more",
        "warmup: is 1.5; expected 0 to 1",
        "clip_norm: is -1; expected 0 or more",
    ]
    with pytest.raises(BadInput, match=r"^label_smoothing: is 1; expected 0 to less than 1\nema: is 1; .*1$"):
        Recipe(label_smoothing=1, ema=1)
    Recipe(steps=1, batch_size=1, lr=1e-9, momentum=0, weight_decay=0, warmup=0, ema=0.9999, clip_norm=0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_training(value):
    recipe = Recipe(steps=10, batch_size=4)
    batches = make_batches(recipe)
    steps = iter(range(10))

    def loss(network, images, targets, generator):
        return network(images).square().mean() * (value if next(steps) == 5 else 1)

    with pytest.raises(FloatingPointError, match=rf"^the loss became {value} by step 6; try a smaller lr$"):
        train(make_network(), batches, recipe, loss, execution=Execution("cpu"), log_every=3)


def test_bfloat16_on_a_cpu():
    recipe = Recipe(steps=5, batch_size=4)
    dtypes = set()

    def loss(network, images, targets, generator):
        logits = network(images)
        dtypes.add(logits.dtype)
        return functional.cross_entropy(logits, targets)

    execution = Execution("cpu", precision="bfloat16")
    network = train(make_network(), make_batches(recipe), recipe, loss, execution=execution)
    assert dtypes == {torch.bfloat16}
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    plain = train(make_network(), make_batches(recipe), recipe, loss, execution=Execution("cpu"))
    assert dtypes == {torch.bfloat16, torch.float32}
    for found, expected in zip(network.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(found, expected, atol=0.05)
        assert not torch.equal(found, expected)


@pytest.mark.parametrize("compile", [False, True])
def test_the_compiled_network_is_the_one_that_runs(compile, monkeypatch):
    calls = []

    class Compiled:
        def __init__(self, model):
            self.model = model

        def __call__(self, images):
            calls.append(self.model.training)
            return self.model(images)

    monkeypatch.setattr(torch, "compile", Compiled)
    recipe, network = Recipe(steps=3, batch_size=4), make_network()
    execution = Execution("cpu", compile=compile)
    loss = lambda network, images, targets, generator: functional.cross_entropy(network(images), targets)  # noqa: E731
    result = train(network, make_batches(recipe), recipe, loss, execution=execution)
    assert calls == [True] * (3 if compile else 0)
    assert result is network


def test_the_device_meant(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Execution().resolved_device() == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Execution().resolved_device() == torch.device("cuda")
    assert Execution("cuda:1").resolved_device() == torch.device("cuda", 1)
    assert Execution("cpu").resolved_device() == CPU


def test_filters_are_laid_out_for_channels_last():
    network, recipe = make_network(), Recipe(steps=1, batch_size=4)
    train(network, make_batches(recipe), recipe, smoothed_loss(recipe), execution=Execution("cpu"))
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
