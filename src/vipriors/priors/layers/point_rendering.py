"""Segmentation as rendering: a head that labels single points, taken where a coarse prediction is unsure.

Source: Kirillov, Wu, He, Girshick, "PointRend: image segmentation as rendering", CVPR 2020.

Points `(B, N, 2)` are places (x, y) from 0 to 1 across the image, so that they mean the same on maps of any
resolution: the middle of the pixel in row i and column j of an H x W grid is ((j + 0.5) / W, (i + 0.5) / H).

>>> coarse, fine = torch.rand(2, 5, 8, 8), torch.rand(2, 16, 32, 32)
>>> head = PointHead(16, 5, width=64)
>>> label = lambda points: head(sampled(fine, points), sampled(coarse, points))
>>> render(coarse, label, (100, 120), count=500).shape
torch.Size([2, 5, 100, 120])
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional


def sampled(maps: Tensor, points: Tensor) -> Tensor:
    """Features between the pixels of maps, bilinearly: `(B, C, h, w)` at `(B, N, 2)` to `(B, C, N)`.

    Further out than the middle of the outermost pixels they are those of these.
    """
    # In the points' precision: half of it cannot tell neighbouring places apart.
    grid = (2 * points - 1)[:, :, None]
    found = functional.grid_sample(maps.to(points.dtype), grid, "bilinear", "border", align_corners=False)
    return found[..., 0]


def nearest(maps: Tensor, points: Tensor) -> Tensor:
    """The pixels of maps that points lie in: `(B, H, W)` at `(B, N, 2)` to `(B, N)`."""
    height, width = maps.shape[1:]
    columns, rows = (
        (points[..., axis] * side).long().clamp(0, side - 1) for axis, side in ((0, width), (1, height))
    )
    return maps.flatten(1).gather(1, rows * width + columns)


def uncertainty(logits: Tensor) -> Tensor:
    """The second largest logit less the largest, 0 at most: `(B, K, ...)`, K from 2 on, to `(B, ...)`."""
    # Half precision would make many of them equal.
    best = logits.float().topk(2, dim=1).values
    return best[:, 1] - best[:, 0]


def least_certain(uncertainties: Tensor, count: int) -> Tensor:
    """Indices of the `count` largest of each row, `(B, M)` to `(B, count)`; of equals the first."""
    return uncertainties.sort(dim=1, descending=True, stable=True).indices[:, :count]


@torch.no_grad()
def biased_points(
    coarse: Tensor, count: int, oversampling: float, biased: float, generator: Generator
) -> Tensor:
    """Points to learn from: most of them where a coarse prediction is unsure, the others anywhere.

    Args:
        coarse: Logits `(B, K, h, w)`.
        count: N.
        oversampling: Of k N points drawn evenly, k being this,
        biased: the least certain ones are taken, this share of N, rounded down; the others are drawn anew.
        generator: Where the draws come from, on the CPU.

    Returns:
        `(B, N, 2)`.
    """
    images, sure = len(coarse), int(biased * count)

    def draw(number: int) -> Tensor:
        return torch.rand(images, number, 2, generator=generator).to(coarse.device)

    candidates = draw(int(oversampling * count))
    # Logits first, then what is uncertain: half way between two sure pixels of different classes nothing is.
    chosen = least_certain(uncertainty(sampled(coarse, candidates)), sure)
    return torch.cat([candidates.gather(1, chosen[..., None].expand(-1, -1, 2)), draw(count - sure)], 1)


class PointHead(nn.Module):
    """The same perceptron for each point: from its fine features and its coarse logits to its logits.

    Args:
        features: Fine features of a point.
        classes: K.
        width: Of the hidden layers.
        depth: Hidden layers.
        again: Show the coarse logits to each layer, not to the first alone.
    """

    def __init__(
        self, features: int, classes: int, width: int = 256, depth: int = 3, again: bool = False
    ) -> None:
        super().__init__()
        self.again = again
        more = classes if again else 0
        inputs = [features + classes, *[width + more] * depth]
        self.hidden = nn.ModuleList(nn.Conv1d(size, width, 1) for size in inputs[:-1])
        self.last = nn.Conv1d(inputs[-1], classes, 1)
        for layer in self.hidden:
            assert isinstance(layer, nn.Conv1d) and layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.last.weight, std=0.001)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """`(B, features, N)` and `(B, K, N)` to `(B, K, N)`."""
        x = torch.cat([fine, coarse], 1)
        for layer in self.hidden:
            x = functional.relu(layer(x))
            x = torch.cat([x, coarse], 1) if self.again else x
        logits: Tensor = self.last(x)
        return logits


def render(coarse: Tensor, label: Callable[[Tensor], Tensor], size: tuple[int, int], count: int) -> Tensor:
    """Logits at any size: enlarged to twice the size again and again, each time mended where least certain.

    Args:
        coarse: Logits `(B, K, h, w)`.
        label: From points `(B, N, 2)` to their logits `(B, K, N)`; of the coarse logits and fine features as
            they are, not as they have been mended.
        size: `(H, W)`.
        count: Pixels that `label` is asked for in each step.

    Returns:
        `(B, K, H, W)`.
    """
    steps = grids((coarse.shape[2], coarse.shape[3]), size)
    # Of a grid that is labelled whole nothing shows what came before.
    whole = [number for number, (height, width) in enumerate(steps) if height * width <= count]
    logits = coarse
    for height, width in steps[whole[-1] if whole else 0 :]:
        logits = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        if count == 0:
            continue
        pixels = least_certain(uncertainty(logits).flatten(1), count)
        found = label(middles(pixels, (height, width))).to(logits.dtype)
        places = pixels[:, None].expand(-1, logits.shape[1], -1)
        logits = logits.flatten(2).scatter(2, places, found).reshape(logits.shape)
    return logits


def grids(start: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int]]:
    """The sizes on the way from one size to another, each about twice the one before; the last is `size`."""
    found = [size]
    while any(-(-side // 2) > first for side, first in zip(found[0], start, strict=True)):
        # However long one side is, the other is never less than it was at the start.
        height, width = (
            max(-(-side // 2), min(side, first)) for side, first in zip(found[0], start, strict=True)
        )
        found.insert(0, (height, width))
    return found


def middles(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """The points in the middle of pixels, given by their numbers row by row: `(B, N)` to `(B, N, 2)`."""
    height, width = size
    return torch.stack([(pixels % width + 0.5) / width, (pixels // width + 0.5) / height], -1)
