"""What a detector sees where colours say nothing: edges, whatever the colours on their two sides.

Few images show few of all colours that things and backgrounds may have, and a network takes the colours that
it saw for the things. The colour gradient tensor is the same for any turn of the colour space: for a light
thing on a dark ground and the reverse, for red on green and blue on yellow. Divided by its mean around, it is
about the same for any contrast.

Sources: Di Zenzo, "A note on the gradient of a multi-image", CVGIP 1986; Bigün, Granlund, "Optimal
orientation detection of linear symmetry", ICCV 1987, whose doubled angle makes opposite directions one.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.train import Standardise

Sees = Literal["colours", "edges", "both"]


class Sight(nn.Module):
    """What a backbone is given of images: their colours standardised, their edges, or both.

    Args:
        sees: Which.
        channels: Of the images.
    """

    def __init__(self, sees: Sees, channels: int) -> None:
        super().__init__()
        self.standardise = (
            None if sees == "edges" else Standardise(torch.zeros(channels), torch.ones(channels))
        )
        self.edges = None if sees == "colours" else Edges()
        self.channels = {"colours": channels, "edges": 3, "both": channels + 3}[sees]

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` in [0, 1] to `(B, channels, H, W)`."""
        parts = [part(images) for part in (self.standardise, self.edges) if part is not None]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class Edges(nn.Module):
    """Strength and doubled-angle orientation of edges, each relative to the strength around.

    Args:
        window: Pixels a side of what counts as around; odd.
        faint: Strength, of images in [0, 1], that is not taken for an edge even where nothing else is.
        blurs: How often the image is averaged over 3x3 pixels before.
    """

    def __init__(self, window: int = 15, faint: float = 0.01, blurs: int = 2) -> None:
        super().__init__()
        self.window, self.faint, self.blurs = window, faint, blurs

    def forward(self, images: Tensor) -> Tensor:
        """Images `(B, C, H, W)` in [0, 1] to `(B, 3, H, W)`.

        The three are the strength s, s cos 2a and s sin 2a, where a is the angle of the gradient.
        """
        for _ in range(self.blurs):
            images = _mean(images, 3)
        padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
        down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
        xx, yy, xy = ((a * b).sum(1) for a, b in ((across, across), (down, down), (across, down)))
        xx, yy, xy = _mean(torch.stack((xx, yy, xy), dim=1), 3).unbind(1)
        strength = (xx + yy + 1e-12).sqrt()
        found = torch.stack((strength, (xx - yy) / strength, 2 * xy / strength), dim=1)
        return found / (_mean(strength.unsqueeze(1), self.window) + self.faint)


def _mean(x: Tensor, window: int) -> Tensor:
    """Means over squares around each pixel, as far as they are in the picture."""
    return functional.avg_pool2d(x, window, 1, window // 2, count_include_pad=False)
