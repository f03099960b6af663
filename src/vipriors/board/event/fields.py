"""The kinds of values that an event's file holds, each checked where it is read."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from PIL import Image
from pydantic import AfterValidator, PlainValidator, StringConstraints, ValidationInfo

from vipriors.board.markup import is_link, wrong_links

Value = TypeVar("Value")

PICTURE_FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
MOST_PICTURE_BYTES = 4_000_000
MOST_PICTURE_SIDE = 6_000


@dataclass
class Reading:
    """What is known while a file is read.

    Attributes:
        folder: of the file, in which pictures are looked for.
        lists: names of the lists of papers, to which sessions may point.
        seen: names so far, by kind, since each names a page or a place in one.
    """

    folder: Path = Path()
    lists: frozenset[str] = frozenset()
    seen: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class Picture:
    """A picture, as its file is.

    Attributes:
        name: of the file in the site: made from its content, with the suffix of its format.
        data: the bytes.
    """

    name: str
    data: bytes = field(repr=False)


def reading(info: ValidationInfo) -> Reading:
    """The reading that a value is part of."""
    return info.context if isinstance(info.context, Reading) else Reading()


def zone_of(name: str) -> tzinfo:
    """A time zone: `UTC`, `UTC+1`, `UTC-03:30`, `AoE` (anywhere on earth), or `Europe/Amsterdam`.

    Raises:
        ValueError: there is none of this name.
    """
    if name == "UTC":
        return UTC
    if name == "AoE":
        return timezone(timedelta(hours=-12))
    if match := re.fullmatch(r"UTC([+-])([0-9]{1,2})(?::([0-5][0-9]))?", name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        if offset <= timedelta(hours=14):
            return timezone(offset if match[1] == "+" else -offset)
    elif re.fullmatch(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)+", name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, OSError):
            pass
    raise ValueError("expected a time zone such as UTC, UTC+1, AoE or Europe/Amsterdam")


def _when(value: object) -> date:
    """A day, or a day with an hour."""
    text = value.isoformat() if isinstance(value, date) else value
    try:
        if isinstance(text, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text)
        if isinstance(text, str) and re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("expected a day such as 2020-07-10, or with an hour 2020-07-10 23:59")


def _day(value: object) -> date:
    found = _when(value)
    if isinstance(found, datetime):
        raise ValueError("expected a day such as 2020-07-10")
    return found


def _clock(value: object) -> time:
    if isinstance(value, time):
        return value
    if isinstance(value, str) and (match := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value)):
        return time(int(match[1]), int(match[2]))
    raise ValueError("expected an hour from 00:00 to 23:59")


def _zone(name: str) -> str:
    zone_of(name)
    return name


def _url(url: str) -> str:
    if not is_link(url):
        raise ValueError("expected a link that starts with https://, http:// or mailto:")
    return url


def _board_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and not (parts.query or parts.fragment)
    except ValueError:
        well = False
    # The host stands in the pages' policy of what may be framed, so it holds nothing that ends a part of it.
    if not well or not re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?", parts.netloc):
        raise ValueError("expected the address of a board, such as https://board.example.org")
    if not re.fullmatch(r"[A-Za-z0-9._~/-]*", parts.path):
        raise ValueError("expected an address whose path has only letters, digits and ._~/-")
    return url.rstrip("/")


def _markdown(text: str) -> str:
    if wrong := wrong_links(text):
        found = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise ValueError(f"links must start with https://, http:// or mailto:, unlike {found}")
    return text


def _picture(value: object, info: ValidationInfo) -> Picture:
    if isinstance(value, Picture):
        return value
    folder = reading(info).folder.resolve()
    path = (folder / value).resolve() if isinstance(value, str) and value and "\0" not in value else folder
    if not path.is_relative_to(folder):
        raise ValueError("expected a picture in the folder of the event's file or below")
    if not path.is_file():
        raise ValueError("expected the path of a picture; there is no such file")
    if (size := path.stat().st_size) > MOST_PICTURE_BYTES:
        raise ValueError(f"the picture has {size:,} bytes; expected at most {MOST_PICTURE_BYTES:,}")
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=list(PICTURE_FORMATS)) as image:
            suffix, sides = PICTURE_FORMATS[str(image.format)], image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("expected a PNG, JPEG or WebP picture") from None
    if max(sides) > MOST_PICTURE_SIDE:
        raise ValueError(
            f"expected at most {MOST_PICTURE_SIDE:,} pixels a side; the picture has {max(sides):,}"
        )
    return Picture(f"{hashlib.sha256(data).hexdigest()[:16]}{suffix}", data)


def _list_name(name: str, info: ValidationInfo) -> str:
    lists = reading(info).lists
    if name not in lists:
        raise ValueError(
            f"expected the name of a list of papers: {', '.join(sorted(lists)) or 'there is none'}"
        )
    return name


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", name):
        raise ValueError("expected at most 60 small letters, digits and hyphens")
    return name


def _email(address: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", address):
        raise ValueError("expected an address such as someone@example.org")
    return address


def _not_empty(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if not values:
        raise ValueError("expected at least one")
    return values


def unique(kind: str) -> AfterValidator:
    """Refuses a name that another of its kind already has."""

    def check(name: str, info: ValidationInfo) -> str:
        seen = reading(info).seen
        if (kind, name) in seen:
            raise ValueError(f"another {kind} has this name")
        seen.add((kind, name))
        return name

    return AfterValidator(check)


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]
"""Plain text."""
Markdown = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50_000), AfterValidator(_markdown)
]
"""Text with emphasis, lists and links."""
Name = Annotated[str, AfterValidator(_name)]
"""What a page or a place in it is called."""
Url = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_url)]
BoardUrl = Annotated[str, StringConstraints(max_length=300), AfterValidator(_board_url)]
Email = Annotated[str, AfterValidator(_email)]
When = Annotated[date, PlainValidator(_when)]
Day = Annotated[date, PlainValidator(_day)]
Clock = Annotated[time, PlainValidator(_clock)]
Zone = Annotated[str, AfterValidator(_zone)]
PictureFile = Annotated[Picture, PlainValidator(_picture)]
"""In the file the path of a picture, relative to it."""
ListName = Annotated[str, AfterValidator(_list_name)]
# `min_length` would also complain of a list whose only item is wrong.
Some = Annotated[tuple[Value, ...], AfterValidator(_not_empty)]
"""At least one."""
