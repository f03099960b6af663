"""The numbers of task generation: generated images beside hidden ones, reconstructions beside theirs.

Of the generated images, beside the hidden reference images, by the networks' features:

- `closeness`: 1 less `kfd` over the kernel distance of the mean image. It is 1 on average for images from the
  same source, and about 0 for a generator that always makes the mean image. Linear in `kfd`.
- `kfd`: kernel distance, the mean over the supervised networks; unbiased, and below 0 as often as above where
  there is no difference. `kfd_self_supervised`, `kfd_random`: by the other networks. Smaller is better.
- `ffd`: Fréchet distance, the mean over the supervised networks, its bias taken off.
- `precision`, `recall`: shares of as many generated as reference images within each other's reach.
- `novelty`: how far generated images are from the nearest image learned from, over how far reference ones
  are (medians, in pixels). Far below 1 they are copies, which are close to the reference for nothing.

Of the reconstructions: `class_agreement`, the share that the supervised networks together put in the class of
the image; `feature_error` and `pixel_error`, mean squared differences.

The intervals say how far the draw of images moves a number, not how far another training would.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.problems import BadInput
from vipriors.tasks.accuracy import accuracy
from vipriors.tasks.feature_distances import (
    Kernel,
    Values,
    covered,
    frechet_corrected,
    frechet_error,
    interval,
    kernel_distance,
    kernel_distance_to_point,
    mean_kernel,
    nearest,
)
from vipriors.tasks.feature_network import KINDS, FeatureNetwork
from vipriors.tasks.generation_labels import Images, Labels
from vipriors.tasks.score import Estimate

Estimates = dict[str, Estimate]


def estimates_of(
    generated: Images, reconstructed: Images, given: NDArray[np.bool_], labels: Labels
) -> tuple[Estimates, dict[str, Any]]:
    """All scores with their intervals, and what stands beside them.

    Args:
        generated: `(N, H, W, C)`.
        reconstructed: `(M, H, W, C)`, in the order of the labels.
        given: `(M,)`, whether a reconstruction was handed in.
        labels: what they are held against.
    """
    estimates, details = _of_generated(generated, labels)
    more, words = _of_reconstructed(reconstructed, given, labels)
    return estimates | more, details | words


def _of_generated(generated: Images, labels: Labels) -> tuple[Estimates, dict[str, Any]]:
    real = {one.name: one.features(labels.reference) for one in labels.networks}
    fake = {one.name: one.features(generated) for one in labels.networks}
    kernels = {name: kernel_distance(fake[name], real[name]) for name in real}
    supervised = labels.of_kind("supervised")
    names = [network.name for network in supervised]
    average = labels.learned_from.mean(0, keepdims=True).round().astype(np.uint8)
    zero = float(
        np.mean([kernel_distance_to_point(one.features(average)[0], real[one.name]) for one in supervised])
    )
    if zero < 1e-9:
        raise BadInput.single("labels, reference", "all images look the same to the networks")
    mean = mean_kernel([kernels[name] for name in names])
    estimates = {"closeness": interval(1 - mean.value / zero, mean.error() / zero)}
    for kind in KINDS:
        if found := [kernels[network.name] for network in labels.of_kind(kind)]:
            key = "kfd" if kind == "supervised" else f"kfd_{kind.replace('-', '_')}"
            estimates[key] = interval((one := mean_kernel(found)).value, one.error())
    corrected = {name: frechet_corrected(fake[name], real[name]) for name in names}
    # The networks see the same images, so their errors go together: the mean has no smaller one.
    error = float(np.mean([frechet_error(fake[name], real[name]) for name in names]))
    estimates["ffd"] = interval(float(np.mean(list(corrected.values()))), error)
    made, known = fake[names[0]], real[names[0]]
    n = min(len(made), len(known))
    estimates["precision"] = accuracy(covered(known[:n], made[:n]))
    estimates["recall"] = accuracy(covered(made[:n], known[:n]))
    estimates["novelty"], copies = _novelty(generated, labels)
    half = len(labels.reference) // 2
    details = {
        "n_generated": len(generated),
        "n_reference": len(labels.reference),
        "n_learned_from": len(labels.learned_from),
        "copies": copies,
        "kfd_of_the_mean_image": zero,
        "kfd_of_images_learned_from": _mean_distance(supervised, labels.learned_from, real),
        "kfd_of_two_halves_of_the_reference": mean_kernel(
            [kernel_distance(real[name][:half], real[name][half:]) for name in names]
        ).value,
        "networks": [
            {
                "name": network.name,
                "sha256": network.sha256,
                "accuracy": None if np.isnan(network.accuracy) else network.accuracy,
                "kfd": kernels[network.name].value,
                "ffd": corrected.get(network.name),
            }
            for network in labels.networks
        ],
    }
    return estimates, details


def _mean_distance(networks: list[FeatureNetwork], images: Images, real: dict[str, Values]) -> float:
    distances: list[Kernel] = [kernel_distance(one.features(images), real[one.name]) for one in networks]
    return mean_kernel(distances).value


def _novelty(generated: Images, labels: Labels) -> tuple[Estimate, int]:
    """The ratio of the medians of the distances to images learned from, and how many are one of them."""
    known = _flat(labels.learned_from)
    own, usual = nearest(_flat(generated), known)[0], nearest(_flat(labels.reference), known)[0]
    whole = float(np.median(usual)) or 1.0
    # A median's interval by the law of how many lie below it; that of the reference is taken as it is.
    ordered = np.sort(own)
    reach = 0.98 * len(own) ** 0.5
    low, high = (
        ordered[int(np.clip(len(own) / 2 + side, 0, len(own) - 1))] / whole for side in (-reach, reach)
    )
    seen = {image.tobytes() for image in labels.learned_from}
    copies = sum(image.tobytes() in seen for image in generated)
    return Estimate(float(np.median(own)) / whole, float(low), float(high)), copies


def _of_reconstructed(
    reconstructed: Images, given: NDArray[np.bool_], labels: Labels
) -> tuple[Estimates, dict[str, Any]]:
    supervised = labels.of_kind("supervised")
    agrees = (_classes(supervised, reconstructed) == labels.classes) & given
    apart = [one.features(reconstructed) - one.features(labels.images) for one in supervised]
    features = np.mean([(each**2).mean(1) for each in apart], axis=0)
    pixels = ((_flat(reconstructed) - _flat(labels.images)) ** 2).mean(1)
    estimates = {
        "class_agreement": accuracy(agrees),
        "feature_error": _mean(features),
        "pixel_error": _mean(pixels),
    }
    known = _classes(supervised, labels.images) == labels.classes
    return estimates, {"class_agreement_of_the_images_themselves": float(known.mean())}


def _classes(networks: list[FeatureNetwork], images: Images) -> NDArray[np.int64]:
    logits = [network.logits(images) for network in networks]
    shares = [np.exp(one - one.max(1, keepdims=True)) for one in logits]
    found: NDArray[np.int64] = np.mean([one / one.sum(1, keepdims=True) for one in shares], axis=0).argmax(1)
    return found


def _mean(values: Values) -> Estimate:
    error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return interval(float(values.mean()), error)


def _flat(images: Images) -> Values:
    return images.reshape(len(images), -1).astype(np.float64) / 255
