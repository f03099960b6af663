"""Writes named arrays as an `.npz` file whose bytes depend on the arrays alone."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray


def npz_bytes(arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False) -> bytes:
    """An `.npz` file, in the order of the names: the same bytes for the same arrays (and version of zlib).

    Raises:
        ValueError: an array holds objects.
    """
    stream = BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, array in sorted(arrays.items()):
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix; by default the system this runs on
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.compress_type = method
            content = BytesIO()
            np.lib.format.write_array(content, np.asarray(array, order="C"), (1, 0), allow_pickle=False)
            archive.writestr(info, content.getvalue())
    return stream.getvalue()
