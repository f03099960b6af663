"""Colour changes of a batch, with separate parameters for each image.

Each equals the function of the same name in `torchvision.transforms.v2.functional` on one image, for
float images `(B, C, H, W)` in [0, 1]. `posterize` and `equalize` are defined on 8-bit values: they round down
to the 256 levels first, and equal torchvision on uint8. With other than three channels there is no colour:
`saturation`, `hue` and `grayscale` change nothing, `contrast` turns about the mean of all channels, and the
rest act on each channel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vipriors.priors.augment._batch import coordinate_dtype, like_layout, per_image, require_images

LUMA = (0.2989, 0.587, 0.114)
"""What red, green and blue count in the grey value (ITU-R 601-2)."""


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each image by `factor` `(B,)`, 0 or more (1: as it is)."""
    return (images * per_image(factor, images)).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Stretch each image about its mean grey by `factor` `(B,)`, 0 or more (0: flat grey, 1: as it is)."""
    weight = per_image(factor, images)
    # Rows first: a sum of all pixels in one go is split between threads, and its last bits with it.
    means = images.mean(-1).mean(-1)
    share = (
        means.new_tensor(LUMA)
        if images.shape[1] == 3
        else means.new_full((images.shape[1],), 1 / images.shape[1])
    )
    return torch.lerp((means * share).sum(1).view(-1, 1, 1, 1), images, weight).clamp_(0, 1)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Move the colours away from grey by `factor` `(B,)`, 0 or more (0: grey, 1: as they are)."""
    weight = per_image(factor, images)
    return torch.lerp(_grey(images), images, weight).clamp_(0, 1) if images.shape[1] == 3 else images


def hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hues by `turn` `(B,)` of a full circle, -0.5 to 0.5 (0: as they are)."""
    sixths = 6 * per_image(turn, images)
    if images.shape[1] != 3:
        return images
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
    low, high = images.amin(1, keepdim=True), images.amax(1, keepdim=True)
    chroma = high - low
    span = chroma.where(chroma > 0, 1)
    angle = torch.where(
        high == red,
        (green - blue) / span,
        torch.where(high == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    # In the hexagon model each channel is the same trapezoid of the angle, a third of a circle apart.
    apart = images.new_tensor((5.0, 3.0, 1.0)).view(1, 3, 1, 1)
    phase = (angle + sixths + apart).remainder_(6)
    return (high - chroma * torch.minimum(phase, 4 - phase).clamp_(0, 1)).clamp_(0, 1)


def grayscale(images: Tensor) -> Tensor:
    """The grey value in all three channels."""
    require_images(images)
    return _grey(images).expand_as(images).clone() if images.shape[1] == 3 else images


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Move each pixel away from a 3×3 blur by `factor` `(B,)`, 0 or more (0: the blur, 1: as it is).

    The border of one pixel stays as it is.
    """
    weight = per_image(factor, images)
    if min(images.shape[2:]) <= 2:
        return images
    inner = images[..., 1:-1, 1:-1]
    # The kernel is 1 all around and 5 in the middle, over 13: the sum of all nine, and four times the middle.
    rows = images[..., :-2, :] + images[..., 1:-1, :] + images[..., 2:, :]
    blurred = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * inner) / 13
    result = images.clone()
    result[..., 1:-1, 1:-1] = torch.lerp(blurred, inner, weight)
    return result.clamp_(0, 1)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` `(B,)` of each 8-bit value, 0 to 8 (8: only the rounding to 8 bits)."""
    step = torch.exp2(8 - per_image(bits, images, coordinate_dtype(images)))
    return (_levels(images).div_(step).floor_().mul_(step) / 255).to(images.dtype)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values at or above `threshold` `(B,)`."""
    return torch.where(images >= per_image(threshold, images), 1 - images, images)


def invert(images: Tensor) -> Tensor:
    """One minus each value."""
    require_images(images)
    return 1 - images


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel of each image to run from 0 to 1; a flat channel stays as it is."""
    require_images(images)
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = low == high
    return ((images - low.where(~flat, 0)) / (high - low).where(~flat, 1)).clamp_(0, 1)


def equalize(images: Tensor) -> Tensor:
    """Make the 8-bit histogram of each channel of each image as even as a table of values can (as Pillow)."""
    require_images(images)
    levels = _levels(images).long().flatten(2)
    histogram = levels.new_zeros((*levels.shape[:2], 256))
    histogram.scatter_add_(
        2, levels, torch.ones((), dtype=torch.long, device=levels.device).expand_as(levels)
    )
    upto = histogram.cumsum(2)
    below_top = upto.where(upto < levels.shape[2], 0).amax(2, keepdim=True)
    step = below_top // 255
    below = F.pad(upto[..., :-1], (1, 0))
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=levels.device))
    even = (table.to(coordinate_dtype(images)) / 255).to(images.dtype).gather(2, levels)
    return like_layout(even.view(images.shape), images)


def _grey(images: Tensor) -> Tensor:
    return images[:, :1] * LUMA[0] + images[:, 1:2] * LUMA[1] + images[:, 2:] * LUMA[2]


def _levels(images: Tensor) -> Tensor:
    """The 8-bit levels as floats: 256 equal intervals, so that k/255 is level k (as torchvision's)."""
    return (images.to(coordinate_dtype(images)) * 255.999).floor_()
