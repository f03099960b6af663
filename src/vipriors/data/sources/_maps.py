"""What the sources of label maps share: headers of PNG files, and making the label files of many images."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput, Problem

SHOWN = 3
"""Names in a message; a copy may lack thousands."""

HEADER_BYTES = 33
"""Of a PNG: its signature and first chunk, which say size and form."""

_COLOURS = {0: "grey", 2: "colour", 3: "palette", 4: "grey with alpha", 6: "colour with alpha"}


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What the first bytes of a PNG say."""

    size: tuple[int, int]
    """Width and height in pixels."""
    form: tuple[int, int]
    """Bits of a channel, and colour type: 0 grey, 2 colour, 3 palette, 4 and 6 with alpha."""

    def __str__(self) -> str:
        """The form in words: `16-bit grey`."""
        bits, colour = self.form
        return f"{bits}-bit {_COLOURS.get(colour, f'colour type {colour}')}"


def png_header(head: bytes) -> PngHeader | None:
    """Read the first `HEADER_BYTES` of a file; None if it is no PNG."""
    if len(head) < HEADER_BYTES or not head.startswith(b"\x89PNG\r\n\x1a\n") or head[12:16] != b"IHDR":
        return None
    width, height, bits, colour = struct.unpack_from(">IIBB", head, 16)
    return PngHeader((width, height), (bits, colour))


def listed(place: object, verb: str, names: Sequence[str], what: str, expected: str) -> list[Problem]:
    """One problem for all names that share a fault, none without names.

    `listed(folder, "has", names, "of 9 images without a label map", "a PNG of that name")` reads
    `has 2 of 9 images without a label map: a.jpg, b.jpg; expected a PNG of that name`.
    """
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    found = f"{verb} {len(names)} {what}: {', '.join(names[:SHOWN])}{more}"
    return [Problem(str(place), f"{found}; expected {expected}")]


def sizes_differ(name: str, size: tuple[int, int], image_size: tuple[int, int]) -> str:
    """In words: `a.png is 4 x 5, its image 5 x 5`."""
    return f"{name} is {size[0]} x {size[1]}, its image {image_size[0]} x {image_size[1]}"


def for_each(
    named: Named, make: Callable[[str, SourceSample], Iterable[tuple[str, bytes]]]
) -> Iterator[tuple[str, bytes]]:
    """The label files that `make` makes of the id and sample of each image.

    Raises:
        BadInput: after the last image, with every problem that `make` raised, and names that occur twice.
    """
    problems: list[Problem] = []
    first: dict[str, str] = {}
    for id, sample in named:
        try:
            files = list(make(id, sample))
        except BadInput as error:
            problems += error.problems
            continue
        for name, content in files:
            # Names meet on file systems that ignore case.
            if (other := first.setdefault(name.casefold(), id)) != id:
                message = f"its labels would be called {name}, as those of {other}; expected another id"
                problems.append(Problem(f"id {id}", message))
            else:
                yield name, content
    if problems:
        raise BadInput(problems)
