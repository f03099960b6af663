"""Text files handed in by people, read strictly, in linear time, and without failing on any bytes.

`read` opens a CSV file, `lines` any other text. The dialect of CSV is the plainest one: UTF-8, a header,
commas, no quotes. What Excel adds (a byte order mark, CRLF line ends) is accepted. Everything stays `bytes`,
so no digit but `0` to `9` can pass for a number.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vipriors.tasks.findings import Findings, shown

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Limits:
    """What a file may hold at most, checked before the work that would grow with it."""

    file_bytes: int
    line_bytes: int
    lines: int


@dataclass(frozen=True)
class Table:
    """A readable file.

    `rows` gives each row's line number (the header is row 1, as an editor shows it) and fields. A row that is
    not `width` plain fields is added to the findings when it is met, and only its first field is given.
    """

    width: int
    rows: Iterator[tuple[int, list[bytes]]]


def read(data: bytes, headers: Sequence[bytes], limits: Limits, findings: Findings) -> Table | None:
    """Opens a file whose first line should be one of `headers`.

    Args:
        data: the file, any bytes.
        headers: accepted first lines, each with another number of columns; the first is the usual one.
        limits: the caps on the file's size.
        findings: takes the problems; rows add theirs while they are iterated over.

    Returns:
        The table, or None if `data` cannot be read as one at all.
    """
    fault = _fault_of_file(data, limits)
    if fault:
        findings.add("faults of the file", fault)
        return None
    stream = io.BytesIO(data)
    stream.seek(start := len(_BOM) if data.startswith(_BOM) else 0)
    shape = _width_and_header_rows(_without_end(stream.readline()), headers, findings)
    if shape is None:
        return None
    width, header_rows = shape
    if header_rows == 0:
        stream.seek(start)
    return Table(width, _rows(stream, header_rows + 1, width, limits, findings))


def lines(
    data: bytes, limits: Limits, findings: Findings, expected: str = "rows"
) -> Iterator[tuple[int, bytes]] | None:
    """Opens a text file that has no header, or one of its own kind.

    Args:
        data: the file, any bytes.
        limits: the caps on the file's size.
        findings: takes the problems; lines that are too long add theirs while they are iterated over.
        expected: what an empty file should have held.

    Returns:
        Each line's number and content without its end, but for those that are too long; or None if `data`
        cannot be read as lines of text at all.
    """
    fault = _fault_of_file(data, limits, expected)
    if fault:
        findings.add("faults of the file", fault)
        return None
    stream = io.BytesIO(data)
    stream.seek(len(_BOM) if data.startswith(_BOM) else 0)
    return _lines(stream, limits, findings)


def _lines(stream: io.BytesIO, limits: Limits, findings: Findings) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(stream, 1):
        if len(line) > limits.line_bytes:
            findings.add("rows that are too long", _too_long(line, limits), number)
        else:
            yield number, _without_end(line)


def _width_and_header_rows(
    first: bytes, headers: Sequence[bytes], findings: Findings
) -> tuple[int, int] | None:
    """The number of columns, and of header rows (1, or 0 where the header is missing), from the first row."""
    width = first.count(b",") + 1
    if first in headers:
        return width, 1
    for separator, name in ((b";", "semicolons"), (b"\t", "tabs")):
        if separator in first and first.replace(separator, b",") in headers:
            findings.add("faults of the file", f"columns are separated by {name}; expected commas")
            return None
    widths = [header.count(b",") + 1 for header in headers]
    options = " or ".join(f"{shown(h)} ({n} columns)" for h, n in zip(headers, widths, strict=True))
    if width not in widths:
        message = f"the header has {width} columns: {shown(first)}; expected {options}"
        findings.add("faults of the header", message, 1)
        return widths[0], 1
    names, expected_names = first.split(b","), headers[widths.index(width)].split(b",")
    if re.search(rb"[0-9]", names[1]):  # where a class stands, or a name without digits
        message = f"no header: {shown(first)} looks like data; expected {options} above it"
        findings.add("faults of the header", message, 1)
        return width, 0
    for column, (name_, expected) in enumerate(zip(names, expected_names, strict=True), start=1):
        if name_ != expected:
            message = f"column {column} is named {shown(name_)}; expected {shown(expected)}"
            findings.add("faults of the header", message, 1)
    return width, 1


def _rows(
    stream: io.BytesIO, first: int, width: int, limits: Limits, findings: Findings
) -> Iterator[tuple[int, list[bytes]]]:
    for number, line in enumerate(stream, first):
        row = _without_end(line)
        fields = row.count(b",") + 1  # counted before splitting: a hostile row may be nothing but commas
        if fields == width and b'"' not in row and len(line) <= limits.line_bytes:
            yield number, row.split(b",")
            continue
        if len(line) > limits.line_bytes:
            findings.add("rows that are too long", _too_long(line, limits), number)
        if b'"' in row:
            findings.add("rows with quotes", f"{shown(row)} has quotes; expected plain fields", number)
        if fields != width:
            found = f"the row has {fields} fields: {shown(row)}" if row else "the row is empty"
            findings.add("rows with a wrong number of fields", f"{found}; expected {width} fields", number)
        yield number, [row.partition(b",")[0].strip(b'"')]


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line


def _too_long(line: bytes, limits: Limits) -> str:
    return f"the row has {len(line):,} bytes; expected at most {limits.line_bytes:,}"


def _fault_of_file(data: bytes, limits: Limits, expected: str = "a header and rows") -> str | None:
    """Why these bytes are not lines of text within the limits, if so."""
    if data in (b"", _BOM):
        return f"the file is empty; expected {expected}"
    if len(data) > limits.file_bytes:
        return f"the file has {len(data):,} bytes; expected at most {limits.file_bytes:,}"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the file is UTF-16 (its byte order mark is at byte 0); expected UTF-8"
    if (offset := data.find(b"\0")) >= 0:
        return f"NUL at byte {offset}; expected UTF-8 text"
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            return f"byte {error.start} is {data[error.start]:#04x}, which is not UTF-8; expected UTF-8 text"
    if b"\n" not in data and b"\r" in data:
        return "lines end in CR alone; expected LF or CRLF"
    if (lines := data.count(b"\n")) > limits.lines:
        return f"the file has {lines:,} lines; expected at most {limits.lines:,}"
    return None
