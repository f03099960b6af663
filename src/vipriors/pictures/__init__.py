"""What predictions look like on the images that they are about; nothing here knows what would be right."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Picture:
    """A picture and what is said under it."""

    png: bytes
    caption: str

    @property
    def source(self) -> str:
        """For an `img` element."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of `(H, W, 3)` or `(H, W)`."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
