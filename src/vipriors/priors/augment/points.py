"""Vary clouds of points: chosen points, yaw, mirror, scale and jitter, with a separate draw for every cloud.

Clouds are float `(B, N, 3)`, x, y and z of each point with z upwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vipriors.priors.augment._batch import require


def chosen(clouds: Tensor, count: int, generator: Generator) -> Tensor:
    """`count` points of each cloud, without repeats, in random order; all of them where there are no more."""
    size, found, _ = clouds.shape
    order = torch.rand(size, found, generator=generator, device=generator.device).argsort(1)[:, :count]
    return take(clouds, order)


def take(clouds: Tensor, indices: Tensor) -> Tensor:
    """The points at `indices` `(B, M)` of each cloud `(B, N, C)`: `(B, M, C)`."""
    return clouds.gather(1, indices.to(clouds.device)[:, :, None].expand(-1, -1, clouds.shape[2]))


def turn(clouds: Tensor, angles: Tensor) -> Tensor:
    """Each cloud turned about the z axis by its angle `(B,)` in radians, counter-clockwise from above."""
    angles = angles.to(clouds.device, clouds.dtype)
    cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
    x, y, z = clouds.unbind(2)
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y, z], 2)


def mirror_angles(clouds: Tensor, steps: int = 60) -> Tensor:
    """Angle in radians, `(B,)`, from the x axis to the vertical plane through the origin that mirrors best.

    Of `steps` angles from 0 to less than pi, it is the one with the least Chamfer distance between a cloud
    and its mirror image.
    """
    best = torch.full((len(clouds),), math.inf, device=clouds.device)
    angle = torch.zeros(len(clouds), device=clouds.device)
    x, y, z = clouds.unbind(2)
    for step in range(steps):
        candidate = math.pi * step / steps
        c, s = math.cos(2 * candidate), math.sin(2 * candidate)
        image = torch.stack([c * x + s * y, s * x - c * y, z], 2)
        # A mirror image of the mirror image is the cloud, so both directions of the distance are equal.
        apart = torch.cdist(clouds, image).amin(2).mean(1)
        angle = torch.where(apart < best, candidate, angle)
        best = torch.minimum(apart, best)
    return angle


@dataclass(frozen=True)
class VaryClouds:
    """What leaves the class of a cloud as it is."""

    flip: bool = False
    """Mirror every second cloud from left to right."""
    rotate: float = 0.0
    """Turn about the z axis by up to this many degrees either way."""
    scale: float = 0.0
    """Grow or shrink by up to this share."""
    jitter: float = 0.0
    """Standard deviation of what moves each point, cut off at five times that."""

    def __post_init__(self) -> None:
        require(
            "VaryClouds",
            (0 <= self.rotate <= 180, f"rotate is {self.rotate}; expected 0 to 180"),
            (0 <= self.scale < 1, f"scale is {self.scale}; expected 0 to less than 1"),
            (self.jitter >= 0, f"jitter is {self.jitter}; expected 0 or more"),
        )

    def __call__(self, clouds: Tensor, generator: Generator) -> Tensor:
        """Clouds `(B, N, 3)` to the same shape."""
        count, device = len(clouds), generator.device

        def draw(reach: float) -> Tensor:
            return (2 * torch.rand(count, generator=generator, device=device) - 1) * reach

        if self.flip:
            sign = torch.ones(count, 3, device=device)
            sign[:, 0] = draw(1.0).sign()
            clouds = clouds * sign[:, None].to(clouds.device, clouds.dtype)
        if self.rotate:
            clouds = turn(clouds, draw(math.radians(self.rotate)))
        if self.scale:
            clouds = clouds * (1 + draw(self.scale))[:, None, None].to(clouds.device, clouds.dtype)
        if self.jitter:
            noise = torch.randn(clouds.shape, generator=generator, device=device).clamp_(-5, 5)
            clouds = clouds + self.jitter * noise.to(clouds.device, clouds.dtype)
        return clouds
