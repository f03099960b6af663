"""The gradient penalty against closed forms and finite differences, through the second derivative."""

import torch
from torch import nn
from torch.nn import functional

from vipriors.priors.losses import squared_gradient


def test_a_linear_network_in_closed_form():
    """The gradient of cross-entropy by the image is W^T (p - y)."""
    torch.manual_seed(0)
    weight = torch.randn(4, 12, dtype=torch.float64, requires_grad=True)
    images = torch.randn(5, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 1, 1, 2])
    logits = images.flatten(1) @ weight.T
    found = squared_gradient(functional.cross_entropy(logits, labels, reduction="none"), images)
    missed = logits.softmax(1) - functional.one_hot(labels, 4)
    expected = (missed @ weight).square().sum(1).mean()
    torch.testing.assert_close(found, expected)
    by_found, by_expected = (
        torch.autograd.grad(value, weight, retain_graph=True)[0] for value in (found, expected)
    )
    torch.testing.assert_close(by_found, by_expected)


def test_double_backward_through_a_network_against_differences():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 2),
    ).double()
    images, labels = torch.randn(4, 1, 5, 4, dtype=torch.float64), torch.tensor([0, 1, 1, 0])

    def losses(images):
        return functional.cross_entropy(network(images), labels, reduction="none")

    def by_differences():
        """The gradient itself from differences of the loss: no autograd at all."""
        total, step = 0.0, 1e-5
        with torch.no_grad():
            for index in range(images.numel()):
                moved = torch.zeros(images.numel(), dtype=torch.float64)
                moved[index] = step
                moved = moved.reshape(images.shape)
                total += ((losses(images + moved).sum() - losses(images - moved).sum()) / (2 * step)) ** 2
        return total / len(images)

    def penalty():
        traced = images.clone().requires_grad_()
        return squared_gradient(losses(traced), traced)

    torch.testing.assert_close(penalty().detach(), by_differences(), rtol=1e-5, atol=1e-9)
    weight = network[0].weight
    (gradient,) = torch.autograd.grad(penalty(), weight)
    for place in [(0, 0, 1, 1), (2, 0, 0, 2)]:
        before = weight.detach().clone()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.copy_(before)
                weight[place] += sign * 1e-5
            values.append(penalty().item())
        with torch.no_grad():
            weight.copy_(before)
        difference = (values[0] - values[1]) / 2e-5
        torch.testing.assert_close(gradient[place].item(), difference, rtol=1e-4, atol=1e-8)
