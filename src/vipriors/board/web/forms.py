"""Forms: their fields, and a reader of those with a file (multipart/form-data)."""

from __future__ import annotations

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vipriors.board.store import too_large
from vipriors.problems import BadInput

LARGEST_FORM = 2**18
"""Bytes of all fields of a form, without the file."""

MOST_FIELDS = 100
"""Of a form with a file."""

FILE = "file"
"""The field of the file. It must come after all others, so that they are known when it begins."""


class Form:
    """The fields of a form, each once or more."""

    def __init__(self, fields: list[tuple[str, str]]):
        self.fields = fields

    def __getitem__(self, name: str) -> str:
        """The first value of a field; empty if it was not sent."""
        return next((value for key, value in self.fields if key == name), "")

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.fields)

    def kept(self) -> dict[str, str]:
        """What was typed, but for passwords and tokens, to show it again beside the problems."""
        return {key: value for key, value in self.fields if "password" not in key and key != "form_token"}


class FormReader:
    """Reads a form with a file as it comes.

    Args:
        content_type: of the request.
        limit: most bytes of the file.
        check: looks at the fields when all are there, before the file comes; raises if it is to be refused.

    Attributes:
        form: the fields that are there.
        file_name: as the sender calls the file; None as long as there is none.
        pending: what has come of the file and is to be taken from here.

    Raises:
        BadInput: it is no such form.
    """

    around = LARGEST_FORM
    """Bytes that may come beside the file."""

    def __init__(self, content_type: str, limit: int, check: Callable[[Form], None]):
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise _unreadable()
        self.limit = limit
        self.form = Form([])
        self.file_name: str | None = None
        self.pending = bytearray()
        self._check = check
        self._size = self._size_of_fields = 0
        self._in_file = self._ended = False
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_header_field": self._add_to_header,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
        except FormParserError:
            raise _unreadable() from None

    def take(self, piece: bytes) -> None:
        """Reads on.

        Raises:
            TooLarge: the file is.
            BadInput: it is no form, its fields are too large, or something follows the file.
        """
        try:
            self._parser.write(piece)
        except FormParserError:
            raise _unreadable() from None

    def finish(self) -> None:
        """Ends what has come.

        Raises:
            BadInput: the form has not ended.
        """
        if not self._ended:
            raise BadInput.single("form", "ends before its last boundary; send it again")

    def _begin(self) -> None:
        if self.file_name is not None:
            raise BadInput.single("form", "something follows the file; expected the file last")
        if len(self.form.fields) >= MOST_FIELDS:
            raise BadInput.single("form", f"has more than {MOST_FIELDS} fields")
        self._header, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._disposition = b""

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._count(len(self._header) + len(self._value))
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise _unreadable()
        self._name = options[b"name"].decode("utf-8", "replace")
        file_name = options.get(b"filename")
        self._in_file = file_name is not None
        if file_name is not None:
            if self._name != FILE:
                raise BadInput.single(f"form, field {self._name}", f"is a file; expected the name {FILE!r}")
            self._check(self.form)
            self.file_name = file_name.decode("utf-8", "replace")

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._size += end - start
            if self._size > self.limit:
                raise too_large(self.limit)
            self.pending += data[start:end]
        else:
            self._count(end - start)
            self._content += data[start:end]

    def _count(self, size: int) -> None:
        self._size_of_fields += size
        if self._size_of_fields > LARGEST_FORM:
            raise BadInput.single("form", f"its fields are larger than {LARGEST_FORM:,} bytes")

    def _end_part(self) -> None:
        if self._in_file:
            return
        try:
            text = self._content.decode("utf-8")
        except UnicodeDecodeError:
            raise BadInput.single(f"form, field {self._name}", "is not UTF-8") from None
        self.form.fields.append((self._name, text.replace("\r\n", "\n")))

    def _end(self) -> None:
        if self.file_name is None:
            self._check(self.form)
        self._ended = True


def _unreadable() -> BadInput:
    return BadInput.single("form", "cannot be read; expected multipart/form-data")
