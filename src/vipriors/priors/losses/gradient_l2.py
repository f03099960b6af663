"""Gradient penalty: what is lost should change little when the image changes little.

Source: Drucker, LeCun, "Improving generalization performance using double backpropagation", IEEE Transactions
on Neural Networks 1992; for few images: Bietti, Mialon, Chen, Mairal, "A kernel perspective for regularizing
deep neural networks", ICML 2019, where it is called grad-l2.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_gradient(losses: Tensor, images: Tensor) -> Tensor:
    """Mean over the images of the squared norm of the gradient of each one's loss.

    Images that are normalised together share their gradients; then it is the gradient of the sum of losses.

    Args:
        losses: `(B,)`, one for each image.
        images: `(B, C, H, W)`, requiring a gradient since before the losses were computed.
    """
    (gradients,) = torch.autograd.grad(losses.sum(), images, create_graph=True)
    return gradients.flatten(1).square().sum(1).mean()
