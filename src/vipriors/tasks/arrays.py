"""Named arrays in an `.npz` file from anyone: read without pickle or trust in sizes, and within caps."""

from __future__ import annotations

import struct
import sys
import tokenize
from io import BytesIO
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.archive import Limits, open_archive
from vipriors.tasks.findings import Findings, shown

Arrays = dict[str, NDArray[Any]]

_SUFFIX = ".npy"
_HEADER = 10_000
"""Bytes of a header at most; numpy's own cap on what it parses."""


def read_arrays(data: bytes, limits: Limits, findings: Findings) -> Arrays | None:
    """Reads an `.npz` file, or any zip archive of `.npy` files, compressed or not.

    Args:
        data: the file, any bytes.
        limits: the caps.
        findings: takes the problems.

    Returns:
        The arrays that can be read by their names, or None if the file is no archive.
    """
    archive = open_archive(data, limits, findings)
    if archive is None:
        return None
    arrays: Arrays = {}
    for path in archive.files:
        if not path.endswith(_SUFFIX):
            findings.add("entries that are no array", "is no .npy file; expected only arrays", entry=path)
        elif (content := archive.read(path, findings)) is not None:
            array = _array(content, path, findings)
            if array is not None:
                arrays[path.removesuffix(_SUFFIX)] = array
    return arrays


def _array(content: bytes, path: str, findings: Findings) -> NDArray[Any] | None:
    stream = BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"npy version {version[0]}.{version[1]}; expected 1.0")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER)
    except (ValueError, EOFError, SyntaxError, TypeError, struct.error, tokenize.TokenError) as error:
        findings.add("damaged arrays", f"damaged: {shown(str(error))}; expected an .npy file", entry=path)
        return None
    if dtype.kind not in "biufU":
        found = f"holds {shown(str(dtype))}"
        findings.add("arrays of another kind", f"{found}; expected numbers or text", entry=path)
        return None
    values = content[stream.tell() :]
    if min(shape, default=1) < 0 or prod(shape) * dtype.itemsize != len(values):
        found = f"{len(values):,} bytes for {dtype} {shape}"
        findings.add("damaged arrays", f"{found}; expected {prod(shape) * dtype.itemsize:,}", entry=path)
        return None
    if dtype.itemsize == 0:
        findings.add("arrays of another kind", "holds empty text; expected numbers or text", entry=path)
        return None
    if dtype.kind == "U" and (np.frombuffer(values, f"{dtype.str[0]}u4") > sys.maxunicode).any():
        findings.add("damaged arrays", "has characters that there are not; expected text", entry=path)
        return None
    array: NDArray[Any] = np.frombuffer(values, dtype).reshape(shape, order="F" if by_columns else "C")
    return array
