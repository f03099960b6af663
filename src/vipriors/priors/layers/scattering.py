"""Wavelet scattering: features of two layers of fixed wavelets, stable to shifts and small deformations.

Source: Bruna, Mallat, "Invariant scattering convolution networks", TPAMI 2013; as the front end of a network:
Oyallon, Belilovsky, Zagoruyko, "Scaling the scattering transform", ICCV 2017. The wavelets are those of the
library kymatio (Andreux et al., JMLR 2020), which is the oracle in the tests.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def gabor(
    size: tuple[int, int], sigma: float, theta: float = 0.0, xi: float = 0.0, slant: float = 1.0
) -> Tensor:
    """A complex wave under a Gaussian, wrapped around the image, `(H, W)` complex128, centred on the corner.

    Args:
        size: H and W.
        sigma: Deviation of the Gaussian along the wave, in pixels.
        theta: Direction of the wave, in radians from the vertical axis.
        xi: Its frequency in radians a pixel.
        slant: Deviation along the wave over that across it.
    """
    rows, columns = ((torch.arange(-2 * n, 3 * n, dtype=torch.float64)) for n in size)
    along = math.cos(theta) * rows[:, None] + math.sin(theta) * columns
    across = -math.sin(theta) * rows[:, None] + math.cos(theta) * columns
    envelope = torch.exp(-(along**2 + slant**2 * across**2) / (2 * sigma**2))
    wave = torch.polar(envelope * slant / (2 * math.pi * sigma**2), xi * along)
    return wave.reshape(5, size[0], 5, size[1]).sum((0, 2))


def morlet(size: tuple[int, int], sigma: float, theta: float, xi: float, slant: float) -> Tensor:
    """A Gabor wavelet without a mean: it answers to nothing on a flat image. `(H, W)` complex128."""
    wave, envelope = gabor(size, sigma, theta, xi, slant), gabor(size, sigma, theta, 0.0, slant)
    return wave - wave.sum() / envelope.sum() * envelope


def _subsampled(spectrum: Tensor, factor: int) -> Tensor:
    """The spectrum `(..., H, W)` of every factor-th pixel: `(..., H / factor, W / factor)`."""
    height, width = spectrum.shape[-2:]
    folded = spectrum.reshape(*spectrum.shape[:-2], factor, height // factor, factor, width // factor)
    return folded.mean((-4, -2))


def _cropped(spectrum: Tensor, factor: int) -> Tensor:
    """The low frequencies of a filter `(..., H, W)`, for maps with every factor-th pixel."""
    for axis in (-2, -1):
        kept = spectrum.shape[axis] // factor
        low = spectrum.narrow(axis, 0, kept // 2)
        negative = spectrum.narrow(axis, spectrum.shape[axis] - (kept - kept // 2), kept - kept // 2)
        spectrum = torch.cat([low, negative], axis)
    return spectrum


class Scattering2d(nn.Module):
    """The scattering transform: wavelet, modulus, wavelet, modulus, and a blur; nothing is learned.

    Channels of the outcome for every channel of the images: the blurred image, then a response for every
    scale `j1` and direction, then for every pair of scales `j1 < j2` and of directions.

    Args:
        size: H and W of the images.
        scales: J; the outcome has every 2^J-th pixel.
        directions: L, over a half turn.
        order: 1 leaves out the second layer of wavelets.
    """

    psi: Tensor
    phi: Tensor

    def __init__(self, size: tuple[int, int], scales: int = 2, directions: int = 8, order: int = 2) -> None:
        super().__init__()
        self.scales, self.directions, self.order = scales, directions, order
        step = 2**scales
        padded = tuple(((side + step) // step + 1) * step for side in size)
        height, width = ((whole - side) for whole, side in zip(padded, size, strict=True))
        self.borders = (width // 2, width - width // 2, height // 2, height - height // 2)
        wavelets = [
            morlet(
                padded,
                sigma=0.8 * 2**j,
                theta=(directions // 2 - 1 - direction) * math.pi / directions,
                xi=0.75 * math.pi / 2**j,
                slant=4 / directions,
            )
            for j in range(scales)
            for direction in range(directions)
        ]
        # The spectra are real, the wavelets being symmetric. They are fixed, so they are not stored.
        psi = torch.fft.fft2(torch.stack(wavelets)).real.float()
        self.register_buffer("psi", psi.reshape(scales, directions, *padded), persistent=False)
        phi = torch.fft.fft2(gabor(padded, 0.8 * 2 ** (scales - 1))).real.float()
        self.register_buffer("phi", phi, persistent=False)

    @property
    def factor(self) -> int:
        """Channels out for each channel in."""
        scales, directions = self.scales, self.directions
        second = directions**2 * scales * (scales - 1) // 2
        return 1 + scales * directions + (second if self.order == 2 else 0)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, C * factor, H // 2^J, W // 2^J)`."""
        x = functional.pad(x.float(), self.borders, mode="reflect")
        spectrum = torch.fft.fft2(x)[:, :, None]
        found, deeper = [self._blurred(spectrum, 0)], []
        for j in range(self.scales):
            first = self._responses(spectrum, j, 0)
            found.append(self._blurred(first, j))
            later = range(j + 1, self.scales) if self.order == 2 else ()
            second = [self._blurred(self._responses(first[:, :, :, None], k, j), k) for k in later]
            if second:
                deeper.append(torch.cat(second, 3).flatten(2, 3))
        return torch.cat(found + deeper, 2).flatten(1, 2)

    def _responses(self, spectrum: Tensor, j: int, done: int) -> Tensor:
        """Spectra of the moduli at one scale, every `2^j`-th pixel, of spectra with every `2^done`-th."""
        psi = _cropped(self.psi[j], 2**done)
        modulus = torch.fft.ifft2(_subsampled(spectrum * psi, 2 ** (j - done))).abs()
        moduli: Tensor = torch.fft.fft2(modulus)
        return moduli

    def _blurred(self, spectrum: Tensor, done: int) -> Tensor:
        """The blurred maps, every `2^J`-th pixel and without the border, of spectra of every `2^done`-th."""
        phi = _cropped(self.phi, 2**done)
        blurred: Tensor = torch.fft.ifft2(_subsampled(spectrum * phi, 2 ** (self.scales - done)))
        return blurred.real[..., 1:-1, 1:-1]
