"""Open an entry anywhere: a path or a file to read and seek, with nothing unpacked that needn't be.

What a local archive has stored is read in place. What is packed or far away is held in memory if it is small, and is a
file in the scratch folder otherwise.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from codec.audio import AV_SUFFIXES
from codec.errors import DataError
from serving.transcode.entry import Entry, Locator, Note
from serving.transcode.place import is_url, open_file, scratch_path
from serving.transcode.sources.notes import MAX_NOTE_BYTES

HELD_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 18
_ZIP_HEADER = struct.Struct("<4s22sHH")
_FAULTS = (zlib.error, EOFError, OSError, ValueError, struct.error)


class EntryOpener:
    """Opens entries; of a gzipped tar it unpacks everything before an entry, but once for entries in ascending order.

    It is for one thread at a time as far as gzipped tars go. Close it, or use it in a `with`, when done.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._unpacked: tuple[str, BinaryIO] | None = None
        self._held = ExitStack()

    def __enter__(self) -> EntryOpener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is kept open between entries."""
        self._unpacked = None
        self._held.close()

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[Path | BinaryIO]:
        """Yield an entry's content: the path of a local file, or else a file to read and seek, or a path in scratch.

        Raises:
            DataError: It can't be read, or is damaged.
        """
        if entry.locator.kind == "file" and not is_url(entry.locator.url):
            yield Path(entry.locator.url)
            return
        named = PurePosixPath(entry.name).suffix.lower() in AV_SUFFIXES  # ffmpeg's formats are told by name
        with ExitStack() as stack:
            if not named and (window := self._in_place(entry, stack)) is not None:
                yield window
            elif not named and entry.size <= HELD_BYTES:
                yield io.BytesIO(b"".join(self._chunks(entry.locator, entry.size)))
            else:
                path = stack.enter_context(scratch_path(self._scratch, entry.name))
                with path.open("wb") as file:
                    for chunk in self._chunks(entry.locator, entry.size):
                        file.write(chunk)
                yield path

    @contextmanager
    def opened_with_notes(self, entry: Entry) -> Iterator[tuple[Path | BinaryIO, dict[str, str]]]:
        """Yield an entry's content, as `opened` does, and the texts beside it by suffix; what is no UTF-8 is replaced.

        Raises:
            DataError: Something can't be read, is damaged, or is too large for a text.
        """
        place = entry.locator.position
        notes = sorted(entry.notes, key=lambda note: note.locator.position)
        texts = {note.suffix: self._read_note(note) for note in notes if note.locator.position < place}
        with self.opened(entry) as content:
            texts |= {note.suffix: self._read_note(note) for note in notes if note.locator.position >= place}
            yield content, texts

    def _read_note(self, note: Note) -> str:
        if note.size > MAX_NOTE_BYTES:
            raise DataError(f"the {note.suffix} beside it has {note.size} bytes; at most {MAX_NOTE_BYTES} are read")
        return b"".join(self._chunks(note.locator, note.size)).decode("utf-8", "replace")

    def _in_place(self, entry: Entry, stack: ExitStack) -> BinaryIO | None:
        """Open what a local archive has stored as it is."""
        locator = entry.locator
        if is_url(locator.url) or locator.kind not in ("tar", "zip") or locator.deflated:
            return None
        file = stack.enter_context(open_file(locator.url))
        start = locator.position if locator.kind == "tar" else _zip_content(file, locator)
        return cast(BinaryIO, io.BufferedReader(_Window(file, start, entry.size)))

    def _chunks(self, locator: Locator, size: int) -> Iterator[bytes]:
        """Yield exactly `size` bytes of content."""
        left = size
        try:
            for chunk in self._raw_chunks(locator, size):
                left -= len(chunk)
                if left < 0:
                    raise DataError(f"it holds more bytes than '{locator.url}' says")
                yield chunk
        except DataError:
            raise
        except _FAULTS as error:
            raise DataError(f"it can't be read from '{locator.url}' ({error})") from None
        if left and locator.kind != "file":
            raise DataError(f"it is cut short in '{locator.url}'")

    def _raw_chunks(self, locator: Locator, size: int) -> Iterator[bytes]:
        if locator.kind == "tar.gz":
            file = self._unpacked_at(locator)
            file.seek(locator.position)
            yield from _read(file, size)
            return
        with open_file(locator.url) as file:
            if locator.kind == "zip":
                file.seek(_zip_content(file, locator))
                packed = _read(file, locator.packed)
                yield from _inflate(packed) if locator.deflated else packed
            elif locator.kind == "tar":
                file.seek(locator.position)
                yield from _read(file, size)
            else:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk

    def _unpacked_at(self, locator: Locator) -> BinaryIO:
        """Return the unpacked stream, not beyond the position wanted."""
        if self._unpacked is not None:
            url, file = self._unpacked
            if url == locator.url and file.tell() <= locator.position:
                return file
        self.close()
        packed = self._held.enter_context(open_file(locator.url))
        file = cast(BinaryIO, self._held.enter_context(gzip.GzipFile(fileobj=packed)))
        self._unpacked = (locator.url, file)
        return file


class _Window(io.RawIOBase):
    """A stretch of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(size, _CHUNK_BYTES))):
        size -= len(chunk)
        yield chunk


def _inflate(packed: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    for chunk in packed:
        data = unpacker.decompress(chunk, _CHUNK_BYTES)
        while data:
            yield data
            data = unpacker.decompress(unpacker.unconsumed_tail, _CHUNK_BYTES)
    yield unpacker.flush()


def _zip_content(file: BinaryIO, locator: Locator) -> int:
    """Return where an entry's content begins, behind the header that stands before it."""
    file.seek(locator.position)
    header = file.read(_ZIP_HEADER.size)
    if len(header) < _ZIP_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise DataError(f"the zip '{locator.url}' is damaged: an entry's header is not where it should be")
    _, _, name, extra = _ZIP_HEADER.unpack(header)
    return locator.position + _ZIP_HEADER.size + name + extra
