"""The mechanism of the adversarial latent autoencoder and of the methods that it is measured against."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from method_cases import STEPS, fitted, small
from method_cases.generation import SHAPES, data_set, pictures
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import distributions, nn
from torch.func import jacrev, vmap
from torch.nn import functional

from vipriors.methods import card_of, listing, listings, load
from vipriors.methods.generation._adversarial import (
    Adversarial,
    critic_loss,
    generator_loss,
    gradient_penalty,
)
from vipriors.methods.generation._network import Dense, PixelNorm, flat
from vipriors.methods.generation.pixel_gaussian import PixelGaussian
from vipriors.methods.generation.vae import divergence
from vipriors.methods.protocol import Context, Labelled
from vipriors.problems import BadInput
from vipriors.train import Recipe
from vipriors.train.recipe import make_optimizer

NAMES = [listing.name for listing in listings() if listing.family == "generation"]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]


def test_the_methods() -> None:
    assert NAMES == ["alae", "gan-encoder", "noisy-copies", "pixel-gaussian", "vae"]
    assert NETWORKS == ["alae", "gan-encoder", "vae"]
    card = card_of(listing("alae"))
    assert card.system == "G2" and {one.baseline for one in card.claims} == {"vae", "gan-encoder"}


@pytest.mark.parametrize("name", NAMES)
def test_new_images_differ(name) -> None:
    assert len(np.unique(fitted(name).model.generate(20).reshape(20, -1), axis=0)) > 1


def test_all_methods_have_the_same_encoder_and_generator() -> None:
    bodies = [small(name).bodies((1, 8, 8)) for name in NETWORKS]
    assert bodies[0] == bodies[1] == bodies[2] == ([64, 12, 12, 5], [5, 12, 12, 64])
    counts = [
        {key: value.shape for key, value in small(name).network((1, 8, 8)).state_dict().items()}
        for name in ("alae", "gan-encoder")
    ]
    assert counts[0] == counts[1]  # of alae the critic is the encoder, of the other a network of its own


def test_a_variational_autoencoder_learns_to_reconstruct(tmp_path) -> None:
    data = data_set()
    found = fitted("vae", data, tmp_path, steps=250, ema=0.9, width=32)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert lines[-1]["val_pixel_error"] < 0.65 * lines[0]["val_pixel_error"]
    error = (found.model.reconstruct(data.held_out.images) / 255 - data.held_out.images / 255) ** 2
    assert lines[-1]["val_pixel_error"] == pytest.approx(error.mean())


@pytest.mark.parametrize("name", ["alae", "gan-encoder"])
def test_the_codes_of_generated_images_are_learned(name) -> None:
    """Against the same networks untrained; and the mean of what is generated comes near that of images."""
    data = data_set(count=48)

    def errors(steps: int) -> tuple[float, float]:
        network = fitted(name, data, steps=steps, ema=0.9, width=32, lr=0.005).model.network
        with torch.no_grad():
            codes = network.mapping(torch.randn(500, 5, generator=torch.Generator().manual_seed(1)))
            images = network.generator(codes)
            again = functional.mse_loss(network.encoder(images), codes) / codes.var(0).mean()
        real = flat(torch.from_numpy(data.train.images).movedim(-1, 1) / 255)
        return float(again), float((images.mean(0) - real.mean(0)).square().mean())

    before, after = errors(1), errors(450)
    assert after[0] < 0.5 * before[0] and after[1] < 0.6 * before[1]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("alae", {"gamma": -1.0}, "gamma: is -1.0; expected 0 or more"),
        ("alae", {"reciprocity": float("nan")}, "reciprocity: is nan; expected 0 or more"),
        ("gan-encoder", {"mapping_layers": 0}, "mapping_layers: is 0; expected 1 or more"),
        ("vae", {"beta": -0.1}, "beta: is -0.1; expected 0 or more"),
        ("vae", {"latent": 0}, "latent: is 0; expected 1 or more"),
        ("pixel-gaussian", {"components": 0}, "components: is 0; expected 1 or more"),
        ("noisy-copies", {"noise": 300.0}, "noise: is 300.0; expected 0 to less than 256"),
    ],
)
def test_what_cannot_be(name, changes, message) -> None:
    with pytest.raises(BadInput, match=message):
        small(name, **changes)


PARTS = ("mapping", "generator", "encoder", "critic", "discriminator")


def weights(network: Adversarial) -> dict[str, torch.Tensor]:
    return {
        part: torch.cat([p.detach().flatten() for p in getattr(network, part).parameters()]) for part in PARTS
    }


def turns(method, network, updates: int, seed: int = 0):
    """Updates one by one with the engine's optimiser: the losses, and which parts each has moved."""
    optimizer = make_optimizer(network, method)
    images = torch.from_numpy(pictures(8, SHAPES["grey"], 5)).movedim(-1, 1) / 255
    losses, moved = [], []
    for number in range(updates):
        before = weights(network)
        loss = method.loss(network, images, torch.Generator().manual_seed(100 * seed + number))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        after = weights(network)
        losses.append(float(loss.detach()))
        moved.append({part for part in PARTS if not torch.equal(before[part], after[part])})
    return losses, moved


@pytest.mark.parametrize("train_mapping", [True, False])
def test_each_update_moves_its_own_networks_alone(train_mapping) -> None:
    method = small("alae", train_mapping=train_mapping)
    torch.manual_seed(0)
    losses, moved = turns(method, method.network((1, 5, 4)), 6)
    first = {"encoder", "critic", "discriminator"}  # the critic is the encoder
    third = {"encoder", "critic", "generator"} | ({"mapping"} if train_mapping else set())
    assert moved == [first, {"mapping", "generator"}, third] * 2
    assert np.isfinite(losses).all()


def test_the_updates_of_the_baseline() -> None:
    method = small("gan-encoder")
    torch.manual_seed(0)
    _, moved = turns(method, method.network((1, 5, 4)), 6)
    assert moved == [{"critic", "discriminator"}, {"mapping", "generator"}, {"encoder"}] * 2


def test_without_reciprocity_it_is_the_plain_gan() -> None:
    ours, plain = (small(name, gamma=0.0, reciprocity=0.0) for name in ("alae", "gan-encoder"))
    torch.manual_seed(0)
    network = ours.network((1, 5, 4))
    other = plain.network((1, 5, 4))
    other.load_state_dict(network.state_dict())
    assert turns(ours, network, 2)[0] == turns(plain, other, 2)[0]
    found, expected = weights(network), weights(other)
    for part in ("mapping", "generator", "critic", "discriminator"):
        assert torch.equal(found[part], expected[part])


def test_reciprocity_is_nothing_where_the_encoder_is_the_inverse() -> None:
    method = small("alae", latent=3)
    network = method.network((1, 5, 4)).double()
    torch.manual_seed(0)
    network.generator = nn.Linear(3, 20).double()
    network.encoder = nn.Linear(20, 3).double()
    with torch.no_grad():
        inverse = torch.linalg.pinv(network.generator.weight)
        network.encoder.weight.copy_(inverse)
        network.encoder.bias.copy_(-inverse @ network.generator.bias)
    network.turn.fill_(2)
    torch.set_default_dtype(torch.float64)
    try:
        loss = method.loss(network, torch.zeros(16, 1, 5, 4), torch.Generator().manual_seed(0))
    finally:
        torch.set_default_dtype(torch.float32)
    loss.backward()
    assert float(loss.detach()) < 1e-25
    assert max(float(p.grad.abs().max()) for p in network.encoder.parameters()) < 1e-12


def test_nothing_is_learned_through_the_target() -> None:
    """Where generated images do not depend on the code, only the target does: no gradient comes of it."""
    method = small("alae")
    torch.manual_seed(0)
    network = method.network((1, 5, 4))
    with torch.no_grad():
        network.generator[0].weight.zero_()
    network.turn.fill_(2)
    loss = method.loss(network, torch.zeros(8, 1, 5, 4), torch.Generator().manual_seed(0))
    loss.backward()
    assert float(loss) > 0
    assert all((p.grad == 0).all() for p in network.mapping.parameters())


def test_the_discriminator_is_one_affine_map_and_the_penalty_the_norm_of_its_gradient() -> None:
    torch.manual_seed(0)
    network = small("alae").network((1, 5, 4)).double()
    one, two, three = network.discriminator
    with torch.no_grad():
        for layer in (one, two, three):
            layer.bias.normal_()
    a = (three.weight * three.scale) @ (two.weight * two.scale) @ (one.weight * one.scale)
    codes = torch.randn(9, 5, dtype=torch.float64)
    constant = network.discriminator(torch.zeros(1, 5, dtype=torch.float64))
    torch.testing.assert_close(network.discriminator(codes), codes @ a.T + constant)
    images = torch.randn(9, 20, dtype=torch.float64, requires_grad=True)
    jacobian = vmap(jacrev(lambda image: network.encoder(image[None])[0]))(images)
    expected = (jacobian.transpose(1, 2) @ a[0]).square().sum(1).mean()
    torch.testing.assert_close(gradient_penalty(network.judge(images), images), expected)


def test_losses_by_hand() -> None:
    torch.manual_seed(0)
    w = torch.randn(6, dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(2, 7, 6, dtype=torch.float64)

    def judge(x: torch.Tensor) -> torch.Tensor:
        return x @ w

    plain = (torch.log1p(torch.exp(fake @ w)) + torch.log1p(torch.exp(-(real @ w)))).mean()
    torch.testing.assert_close(critic_loss(judge, real, fake, 0.0), plain)
    # The gradient of a linear judge is its weights, for every image.
    torch.testing.assert_close(critic_loss(judge, real, fake, 3.0), plain + 1.5 * w.square().sum())
    (slope,) = torch.autograd.grad(critic_loss(judge, real, fake, 3.0), w)
    (without,) = torch.autograd.grad(critic_loss(judge, real, fake, 0.0), w)
    torch.testing.assert_close(slope - without, 3 * w)
    torch.testing.assert_close(generator_loss(judge, fake), torch.log1p(torch.exp(-(fake @ w))).mean())


def test_the_moving_average_is_of_all_networks() -> None:
    data = data_set()
    last, average = (fitted("alae", data, ema=ema).model.network for ema in (0.0, 0.9))
    assert all(not torch.equal(weights(last)[part], weights(average)[part]) for part in PARTS)
    assert int(average.turn) == int(last.turn) == STEPS
    assert average.critic is average.encoder


def test_layers() -> None:
    torch.manual_seed(0)
    x = torch.randn(2000, 50)
    for rate in (1.0, 0.1):
        layer = Dense(50, 40, rate)
        assert float(layer(x).var()) == pytest.approx(2, rel=0.1)  # what a rectifier halves again
        assert float(layer.weight.detach().std()) == pytest.approx(1 / rate, rel=0.05)
    normed = PixelNorm()(x * 7)
    torch.testing.assert_close(normed.square().mean(1), torch.ones(2000))
    assert torch.isfinite(PixelNorm()(torch.zeros(1, 3))).all()
    slow, quick = copy.deepcopy(layer), Dense(50, 40)
    assert slow.scale == pytest.approx(0.1 * quick.scale)


def test_divergence_by_torch() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(2, 6, 4)
    found = distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = distributions.kl_divergence(found, distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_the_gaussian_by_scikit_learn() -> None:
    images = pictures(60, SHAPES["grey"], 0)
    data = dataclasses.replace(data_set(), train=Labelled(images, np.zeros(60, np.int64)))
    model = PixelGaussian(components=4).fit(data, Context()).model
    x = images.reshape(60, -1).astype(float)
    pca = PCA(4, svd_solver="full").fit(x)
    expected = pca.inverse_transform(pca.transform(x)).round().clip(0, 255)
    assert np.abs(model.reconstruct(images).reshape(60, -1) - expected).max() <= 1
    np.testing.assert_allclose(model.axes.T @ model.axes, np.cov(x, rowvar=False), atol=1e-6)
    drawn = model.mean + np.random.default_rng(0).normal(size=(3, len(model.axes))) @ model.axes
    assert np.array_equal(model.generate(3).reshape(3, -1), drawn.round().clip(0, 255))


def test_copies_by_scikit_learn() -> None:
    data = data_set()
    model = fitted("noisy-copies", data, noise=0.0).model
    known = data.train.images.reshape(len(data.train.images), -1).astype(float)
    other = data.held_out.images.reshape(len(data.held_out.images), -1).astype(float)
    nearest = NearestNeighbors(n_neighbors=1).fit(known).kneighbors(other)[1][:, 0]
    assert np.array_equal(model.reconstruct(data.held_out.images), data.train.images[nearest])
    seen = {image.tobytes() for image in data.train.images}
    assert all(image.tobytes() in seen for image in model.generate(30))
