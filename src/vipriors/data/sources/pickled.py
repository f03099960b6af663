"""Reads pickles of plain containers and arrays without running anything that they name.

The CIFAR authors publish pickles, and a pickle is a program. Here the only callables it can reach are
stand-ins that record what an array is made of; not even numpy's own reconstruction runs on what a file says.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path

from vipriors.problems import BadInput

MAX_BYTES = 1 << 30
"""Largest pickle that is read; a CIFAR-100 training file has 155 MB."""


class PickledArray:
    """An array as its pickle describes it: `kind` such as `u1`, `shape`, and the bytes of its `values`."""

    kind: str = ""
    shape: tuple[int, ...] = ()
    fortran: bool = False
    values: bytes = b""

    def __setstate__(self, state: object) -> None:
        """Take the state that numpy writes: (version, shape, dtype, is Fortran-ordered, bytes)."""
        match state:
            case (int(), tuple(shape), _PickledDtype(kind=kind), bool() | int() as fortran, bytes(values)):
                pass
            case _:
                raise pickle.UnpicklingError("an array has an unexpected state")
        if not all(type(side) is int and side >= 0 for side in shape):
            raise pickle.UnpicklingError(f"an array has the shape {shape}")
        if kind != "u1" or math.prod(shape) != len(values):
            found = f"{len(values)} bytes of {kind} for the shape {shape}"
            raise pickle.UnpicklingError(f"an array has {found}; expected one unsigned byte (u1) a value")
        self.kind, self.shape, self.fortran, self.values = kind, shape, bool(fortran), values


class _PickledDtype:
    def __init__(self, kind: object = "", *_: object):
        self.kind = kind.decode("latin-1") if isinstance(kind, bytes) else kind

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment mean nothing for single bytes."""


def _reconstruct(*_: object) -> PickledArray:
    return PickledArray()


def _encode(text: object, encoding: object) -> bytes:
    """How Python 3 writes bytes at protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes are not written as latin1 text")
    return text.encode("latin-1")


_STAND_INS: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): _PickledDtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """Only stand-ins: nothing is imported."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data needs; nothing was run")
        return _STAND_INS[module, name]


def read_pickle(path: Path) -> object:
    """Read a pickle of dictionaries, lists, text, bytes, numbers and `PickledArray`s.

    Raises:
        BadInput: damaged, too large, or asking for anything else.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise BadInput.single(path, f"has {size} bytes; expected at most {MAX_BYTES}")
    try:
        with path.open("rb") as file:
            content: object = _Unpickler(file, encoding="bytes").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        ImportError,
        OverflowError,
        MemoryError,
    ) as error:
        raise BadInput.single(path, f"cannot be read as a pickle of plain data: {error}") from None
    return content
