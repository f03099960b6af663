"""What every augmentation shares: checks, one number per image, and draws from an explicit generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from vipriors.problems import BadInput, Problem


def require(place: str, *checks: tuple[bool, str]) -> None:
    """Raise `BadInput` with the message of every check that does not hold."""
    problems = [Problem(place, message) for holds, message in checks if not holds]
    if problems:
        raise BadInput(problems)


def require_probability(place: str, p: float) -> None:
    """Raise `BadInput` unless `p` is a probability."""
    require(place, (0 <= p <= 1, f"p is {p}; expected 0 to 1"))


def require_range(place: str, name: str, bounds: tuple[float, float], low: float, high: float) -> None:
    """Raise `BadInput` unless `bounds` is an increasing pair within `low` to `high`."""
    ok = len(bounds) == 2 and low <= bounds[0] <= bounds[1] <= high
    require(place, (ok, f"{name} is {bounds}; expected (least, most) within {low} to {high}"))


def require_images(images: Tensor) -> None:
    """Raise `BadInput` unless `images` is a float batch `(B, C, H, W)`."""
    found = f"found {images.dtype} {tuple(images.shape)}"
    require(
        "images", (images.ndim == 4 and images.is_floating_point(), f"{found}; expected float (B, C, H, W)")
    )


def per_image(values: Tensor, images: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """One number for each image, `(B, 1, 1, 1)`, on the device of `images` and in their dtype by default."""
    require_images(images)
    require(
        "augmentation parameter",
        (
            values.shape == images.shape[:1],
            f"shape {tuple(values.shape)}; expected one for each image, {tuple(images.shape[:1])}",
        ),
    )
    return values.to(images.device, dtype or images.dtype).view(-1, 1, 1, 1)


def coordinate_dtype(images: Tensor) -> torch.dtype:
    """The dtype to compute pixel positions in: half precision cannot tell neighbouring pixels apart."""
    return torch.float64 if images.dtype == torch.float64 else torch.float32


def like_layout(result: Tensor, images: Tensor) -> Tensor:
    """`result` in the memory format of `images` (channels-last stays channels-last)."""
    channels_last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return result.contiguous(memory_format=layout)


def box_mask(top: Tensor, left: Tensor, height: Tensor, width: Tensor, images: Tensor) -> Tensor:
    """True inside each image's box, `(B, 1, H, W)`; what lies beyond the border is cut off.

    Args:
        top: first row of each box, `(B,)`, in pixels; may be negative.
        left: first column, likewise.
        height: rows in each box, `(B,)`.
        width: columns in each box, `(B,)`.
        images: `(B, C, H, W)`.
    """
    top, left, height, width = (per_image(value, images, torch.int64) for value in (top, left, height, width))
    row = torch.arange(images.shape[2], device=images.device).view(1, 1, -1, 1)
    column = torch.arange(images.shape[3], device=images.device).view(1, 1, 1, -1)
    return (row >= top) & (row < top + height) & (column >= left) & (column < left + width)


def by_group(
    images: Tensor,
    group: Tensor,
    operations: Sequence[Callable[[Tensor, Tensor], Tensor] | None],
    parameter: Tensor,
) -> Tensor:
    """Apply to each image the operation of its group, one call for each group present.

    Where `group` lives on the CPU, nothing here waits for the device.

    Args:
        images: `(B, C, H, W)`.
        group: index into `operations` for each image, `(B,)`.
        operations: each maps images `(n, C, H, W)` and parameters `(n,)` to images; None leaves them alone.
        parameter: one number for each image, `(B,)`, on the device of `group`.
    """
    result = images.clone()
    for index, operation in enumerate(operations):
        rows = (group == index).nonzero().flatten()
        if operation is not None and len(rows):
            chosen = rows.to(images.device)
            result.index_copy_(0, chosen, operation(images.index_select(0, chosen), parameter[rows]))
    return result


def uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    """`count` numbers drawn evenly from `[low, high)`, on the generator's device."""
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)


def integers(count: int, low: int, high: int, generator: Generator) -> Tensor:
    """`count` whole numbers drawn evenly from `low` to `high`, both included."""
    return torch.randint(low, high + 1, (count,), generator=generator, device=generator.device)


def coin(count: int, p: float, generator: Generator) -> Tensor:
    """`count` booleans, each true with probability `p`."""
    return torch.rand(count, generator=generator, device=generator.device) < p


def choose(changed: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Of each pair of images the changed one where `mask` `(B,)` is true."""
    # A blend by 0 or 1 copies exactly, several times faster than torch.where with a broadcast mask.
    return torch.lerp(images, changed, per_image(mask, images))


def sometimes(changed: Tensor, images: Tensor, p: float, generator: Generator) -> Tensor:
    """Of each pair of images the changed one with probability `p`."""
    return choose(changed, images, coin(len(images), p, generator))


def positions(room: Tensor, generator: Generator) -> Tensor:
    """For each entry of `room` (whole numbers) a whole number drawn evenly from 0 to it, both included."""
    return (torch.rand(room.shape, generator=generator, device=generator.device) * (room + 1)).long()


def shapes(
    count: int, area: int, scale: tuple[float, float], ratio: tuple[float, float], generator: Generator
) -> tuple[Tensor, Tensor]:
    """Ten candidate box shapes for each image: area even in `scale`, aspect log-even in `ratio`.

    Args:
        count: number of images.
        area: pixels in one image.
        scale: least and most share of `area`.
        ratio: least and most ratio of the first side to the second.
        generator: where the draws come from.

    Returns:
        First and second side in whole pixels, `(count, 10)` each.
    """
    share = uniform(count * 10, *scale, generator).view(count, 10)
    aspect = uniform(count * 10, math.log(ratio[0]), math.log(ratio[1]), generator).view(count, 10).exp()
    return (area * share * aspect).sqrt().round().long(), (area * share / aspect).sqrt().round().long()


def first_valid(valid: Tensor, *candidates: Tensor) -> tuple[Tensor, ...]:
    """Of each row's candidates `(B, N)` the first that is `valid` `(B, N)`; the very first if none is."""
    chosen = valid.long().argmax(1, keepdim=True)
    return tuple(candidate.gather(1, chosen).squeeze(1) for candidate in candidates)
