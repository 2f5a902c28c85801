"""A form read as it arrives: the content of its one file is handed on, its other fields are few and small.

Starlette's parser would write the file to the system's folder for temporary files first, which may be memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.body import FILE_FIELD, MAX_FIELD_BYTES, MAX_FIELDS
from serving.errors import ServiceError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_HEADER_BYTES = 4096


@dataclass
class _Part:
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    header_bytes: int = 0
    disposition: bytes = b""
    name: str = ""
    is_file: bool = False
    data: bytearray = field(default_factory=bytearray)


class FormReader:
    """Reads a multipart form piece by piece; `fields` are complete, and `file_name` known, when it was finished.

    Raises:
        ServiceError: The content type names no boundary.
    """

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        if not (boundary := options.get(b"boundary")):
            raise _bad("its content type names no boundary")
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self._found = False
        self._ended = False
        self._part = _Part()
        self._content: list[bytes] = []
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise _bad("its boundary can't be used") from error

    def feed(self, data: bytes) -> list[bytes]:
        """Read on, and return the pieces of the file's content that came.

        Raises:
            ServiceError: This is no such form, or it holds more than one file or too many or too large fields.
        """
        self._content = []
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _bad("it is malformed") from error
        return self._content

    def finish(self) -> None:
        """Check that the form is complete.

        Raises:
            ServiceError: It was cut short, or there was no file in it.
        """
        if not self._ended:
            raise _bad("it is cut short")
        if not self._found:
            raise _bad(f"there is no file in a field '{FILE_FIELD}'")

    def _begin_part(self) -> None:
        self._part = _Part()

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._part.header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._part.value += data[start:end]

    def _count_header(self, count: int) -> None:
        self._part.header_bytes += count
        if self._part.header_bytes > MAX_HEADER_BYTES:
            raise _bad(f"a part's headers are longer than {MAX_HEADER_BYTES} bytes")

    def _end_header(self) -> None:
        part = self._part
        if part.header.lower() == b"content-disposition":
            part.disposition = bytes(part.value)
        part.header, part.value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        if file_name is None:
            if len(self.fields) >= MAX_FIELDS:
                raise _bad(f"it has more than {MAX_FIELDS} fields")
            return
        if self._found or self._part.name != FILE_FIELD:
            raise _bad(f"it may have one file, in a field '{FILE_FIELD}'")
        self._part.is_file = self._found = True
        self.file_name = file_name.decode("utf-8", "replace")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self._content.append(data[start:end])
            return
        self._part.data += data[start:end]
        if len(self._part.data) > MAX_FIELD_BYTES:
            raise _bad(f"a field is longer than {MAX_FIELD_BYTES} bytes")

    def _end_part(self) -> None:
        part = self._part
        if part.is_file:
            return
        if not part.name or part.name in self.fields or part.name == FILE_FIELD:
            raise _bad(f"a field has no name, comes twice, or is a '{FILE_FIELD}' without a file")
        self.fields[part.name] = part.data.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


def _bad(reason: str) -> ServiceError:
    return ServiceError(400, "bad_form", f"the form can't be read: {reason}")
