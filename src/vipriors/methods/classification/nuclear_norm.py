"""Batch nuclear-norm maximisation: sure and diverse predictions on images without labels.

Source: Cui, Wang, Zhuo, Li, Huang, Tian, "Towards discriminability and diversity: batch nuclear-norm
maximization under label insufficient situations", CVPR 2020.

Mechanism: beside cross-entropy of the labelled batch, the nuclear norm of the matrix of predictions `(B, K)`
on a batch without labels is made large. Its Frobenius norm is large where predictions are sure, its rank
counts the classes predicted; minimising the entropy alone lets large classes swallow small ones. It is the
same for few labels and for another domain. `term` has the losses it is held against; weight 0 is supervised.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, so that only the loss differs; from random weights.
2. The norm is divided by the number of images, as printed; the released code has three other divisors. Where
   there are two domains it is the number of classes (`weight` 6.4 here); with few labels it is as here.
3. For few labels no consistency between augmentations beside it (the paper adds it to such methods).
4. The batch without labels is drawn anew at every step, apart from the labelled one, and goes through the
   network by itself, so that normalisation sees one domain at a time; running statistics are of both.
5. The score is that of the last step; the released code reports the best on the test.
6. Without images that have no labels, the labelled ones serve, their labels unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vipriors.card import Card, Claim
from vipriors.methods.classification._network import Beside
from vipriors.methods.classification.residual import Residual
from vipriors.methods.protocol import TrainingSet
from vipriors.priors.augment import Compose
from vipriors.priors.losses.nuclear_norm import (
    batch_frobenius_norm_loss,
    batch_nuclear_norm_loss,
    entropy_loss,
    fast_batch_nuclear_norm_loss,
    information_loss,
    predicted_classes,
)
from vipriors.train import Execution, NetworkClassifier, Unlabelled

CARD = Card(
    system="R15",
    name="Batch nuclear-norm maximisation",
    source="Towards discriminability and diversity: batch nuclear-norm maximization under label insufficient "
    "situations, CVPR 2020",
    claims=(
        Claim(
            "accuracy up over entropy minimisation, with 2 labels a class and the others' images",
            "digits-few-labels",
            "top1",
            baseline="nuclear-norm,term=entropy",
            equal={"parameters": 1.0, "flops_per_image": 1.0, "steps": 1.0},
            published="gains on CIFAR-100 with 5,000 and 10,000 labels; the numbers are not known here",
        ),
        Claim(
            "accuracy up over entropy minimisation on a domain that is seen without labels",
            "digits-two-domains",
            "top1",
            baseline="nuclear-norm,term=entropy",
            equal={"parameters": 1.0, "flops_per_image": 1.0, "steps": 1.0},
            published="Office-Home mean 67.9 with ResNet-50; entropy minimisation is not known here",
        ),
        Claim(
            "the same with the weight of the released code for two domains",
            "digits-two-domains",
            "top1",
            baseline="nuclear-norm,term=entropy",
            # 64 images by 10 classes: the released code for two domains divides the norm by the classes.
            method="nuclear-norm,weight=6.4",
            equal={"parameters": 1.0, "flops_per_image": 1.0, "steps": 1.0},
            published="Office-Home mean 67.9 with ResNet-50; entropy minimisation is not known here",
        ),
    ),
)

TERMS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "nuclear": batch_nuclear_norm_loss,
    "fast": fast_batch_nuclear_norm_loss,
    "frobenius": batch_frobenius_norm_loss,
    "entropy": entropy_loss,
    "information": information_loss,
}
WATCHED = 640
"""Images without labels that are looked at for a line of the log, or a batch if that is more."""


@dataclass(frozen=True)
class NuclearNorm(Residual):
    """Hyper-parameters of the network that also learns from images without labels."""

    term: Literal["nuclear", "fast", "frobenius", "entropy", "information"] = "nuclear"
    """What is made small on them; `fast` sums column norms, `entropy` and the others are rivals."""
    weight: float = 1.0
    """Of the term, beside cross-entropy; 0 leaves these images alone."""
    unlabelled_batch: int = 64
    """Images without labels in a batch; at least twice as many as classes."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {**Residual.tuning, "weight": (0.1, 3.0)}

    def beside(self, data: TrainingSet, execution: Execution) -> Beside | None:
        """The term on a batch without labels."""
        if self.weight == 0:
            return None
        return _Term(self, data.train.images if data.unlabelled is None else data.unlabelled, execution)


class _Term:
    """The weighted term, with the images that it is of."""

    def __init__(self, method: NuclearNorm, images: np.ndarray[Any, Any], execution: Execution) -> None:
        self.term, self.weight = TERMS[method.term], method.weight
        self.execution = execution
        device = execution.resolved_device()
        self.batches = Unlabelled(images, batch_size=method.unlabelled_batch, device=device)
        self.watched = images[: max(WATCHED, self.batches.batch_size)]

    def __call__(self, network: nn.Module, augment: Compose, generator: torch.Generator) -> Tensor:
        """The term of a batch, which goes through the network by itself."""
        logits = network(augment(self.batches(generator), generator))
        return self.weight * self.term(logits.float().softmax(1))

    def watch(self, network: nn.Module) -> dict[str, float]:
        """Diversity, the share of the classes predicted in a batch; how sure predictions are, and how even.

        `entropy` and `mean_entropy` are those of the predictions and of their mean, as shares of the largest.
        """
        classifier = NetworkClassifier(network, self.execution)
        probabilities = torch.from_numpy(classifier.probabilities(self.watched))
        size, (images, classes) = self.batches.batch_size, probabilities.shape
        # Whole batches alone: a smaller one has room for fewer classes.
        batches = [probabilities[start : start + size] for start in range(0, images - size + 1, size)]
        entropy = float(entropy_loss(probabilities))
        return {
            "diversity": sum(map(predicted_classes, batches)) / len(batches) / classes,
            "entropy": entropy,
            "mean_entropy": entropy - float(information_loss(probabilities)),
        }
