"""InfoNCE against sums of exponentials written out, its gradient in closed form, and its bounds."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch.nn import functional

from vipriors.priors.losses import in_batch_info_nce_loss, info_nce_loss


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, dtype=torch.float64, generator=generator), dim=-1)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_value_and_gradient_against_explicit_sums(temperature, margin):
    q, k, n = unit(5, 6).requires_grad_(), unit(5, 6, seed=1), unit(9, 6, seed=2)
    found = info_nce_loss(q, k, n, temperature, margin)
    (gradient,) = torch.autograd.grad(found, q)
    expected = []
    for row, (query, key) in enumerate(zip(q.detach().numpy(), k.numpy(), strict=True)):
        logits = np.array([query @ key - margin, *(n.numpy() @ query)]) / temperature
        expected.append(logsumexp(logits) - logits[0])
        shares = np.exp(logits - logsumexp(logits))
        # (sum of what is likely to be taken for the key, less the key) / temperature
        drawn = (shares @ np.vstack([key, n.numpy()]) - key) / temperature / len(q)
        np.testing.assert_allclose(gradient[row].numpy(), drawn, rtol=1e-10)
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-12)


def test_in_the_batch_each_key_is_the_others_negative():
    q, k = unit(4, 6), unit(4, 6, seed=1)
    rows = [
        info_nce_loss(q[i : i + 1], k[i : i + 1], k[[j for j in range(4) if j != i]], 0.2).item()
        for i in range(4)
    ]
    assert in_batch_info_nce_loss(q, k, 0.2).item() == pytest.approx(np.mean(rows), rel=1e-12)


def test_both_sides_learn_in_the_batch():
    q, k = unit(4, 6).requires_grad_(), unit(4, 6, seed=1).requires_grad_()
    in_batch_info_nce_loss(q, k).backward()
    assert q.grad.abs().sum() > 0 and k.grad.abs().sum() > 0


def test_what_is_known_of_its_size():
    q, k, n = unit(64, 128), unit(64, 128, seed=1), unit(8192, 128, seed=2)
    # Against random directions E exp(q n / T) is about exp(1 / (2 d T^2)).
    expected = math.log(8192) + 1 / (2 * 128 * 0.07**2) - float((q * k).sum(1).mean()) / 0.07
    assert info_nce_loss(q, k, n, 0.07).item() == pytest.approx(expected, abs=0.05)
    assert info_nce_loss(q, k, n[:0]).item() == 0
    for keys in (k, q, -q):
        assert info_nce_loss(q, keys, n, 0.07) >= 0, "log(K + 1) less the loss is never above log(K + 1)"
    same = q[:1].expand(7, -1)
    assert info_nce_loss(same, same, same).item() == pytest.approx(math.log(8))
    assert in_batch_info_nce_loss(same, same).item() == pytest.approx(math.log(7))


def test_in_half_precision_it_is_summed_in_single():
    q, k, n = (vectors.float() for vectors in (unit(4, 16), unit(4, 16, seed=1), unit(64, 16, seed=2)))
    expected = info_nce_loss(q, k, n, 0.05), in_batch_info_nce_loss(q, k, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        found = info_nce_loss(q, k, n, 0.05), in_batch_info_nce_loss(q, k, 0.05)
    assert found == expected
