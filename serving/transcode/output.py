"""One entry's output, made by a model and written whole or not at all, with the source's time of modification."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from codec.audio import probe_audio
from codec.audio_blocks import write_blocks_as
from codec.chunked import WindowCoder
from codec.compress_blocks import Progress, decompress_blocks
from codec.description import describe_source
from codec.errors import DataError
from codec.metadata import Metadata
from codec.weights import LoadedPackage
from serving.conversion import Encoded, encode_source
from serving.transcode.digest import content_sha256
from serving.transcode.entry import Entry
from serving.transcode.fragments import write_fragment
from serving.transcode.place import open_place
from serving.transcode.probe import read_container_header
from serving.transcode.reason import explain
from serving.transcode.tokens.make import token_record
from serving.transcode.work import Job, Task

_PROBE = bytes(1 << 16)


class BlockedError(Exception):
    """The output can't be written, whatever it is."""


class UnusableError(Exception):
    """The source can't be transcoded."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What was written, and the seconds of audio in it."""

    seconds: float
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Content:
    """An entry's content, opened, with its checksum and the texts beside it."""

    file: Path | BinaryIO
    sha256: str
    notes: dict[str, str]


class OutputMaker:
    """Makes and writes the outputs of a job; windows go `through` a coder (codec/chunked.py).

    Making takes a `turn`, which is told the audio's seconds. It is held as long as a core is kept busy or codes are in
    memory, and not while a file is sent far away.
    """

    def __init__(
        self,
        job: Job,
        model: LoadedPackage,
        through: WindowCoder | None,
        turn: Callable[[float], AbstractContextManager[None]],
    ) -> None:
        self._job = job
        self._model = model
        self._through = through
        self._turn = turn
        self._place = open_place(job.target)

    def make(self, task: Task, content: Content, progress: Progress) -> Output:
        """Make and write a task's output; `progress` is told how far that is.

        Raises:
            BlockedError: It can't be written.
            UnusableError: The entry can't be transcoded.
        """
        work = self._decode if self._job.settings.decode else self._encode
        return work(task, content, progress)

    def _encode(self, task: Task, content: Content, progress: Progress) -> Output:
        with _usable():
            seconds = probe_audio(content.file, self._job.limits).seconds
        with self._turn(seconds), _usable():
            encoded = self._container(task.entry, content, progress)
            data = encoded.data
            if self._job.settings.sink != "tree":
                data = write_fragment(self._record(task.entry, data, content.notes))
        with self._writing(task) as path:
            path.write_bytes(data)
            _set_time(path, task.entry.mtime_ns)
        return Output(seconds=encoded.seconds, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    def _container(self, entry: Entry, content: Content, progress: Progress) -> Encoded:
        settings = self._job.settings
        metadata = describe_source(
            content.file, source_name=entry.name, mtime_ns=entry.mtime_ns, source_sha256=content.sha256
        )
        return encode_source(
            self._model,
            content.file,
            self._job.limits,
            num_quantizers=settings.num_quantizers,
            denoise=settings.denoise,
            through=self._through,
            progress=progress,
            metadata=metadata,
        )

    def _record(self, entry: Entry, container: bytes, notes: dict[str, str]) -> list[tuple[str, bytes]]:
        """Return the members that an entry becomes in a shard."""
        if self._job.settings.sink == "tokens":
            return token_record(self._model, container, entry.name, notes, delay=self._job.settings.delay)
        stem = entry.name.removesuffix(Path(entry.name).suffix)
        texts = [(f"{stem}.{suffix}", text.encode()) for suffix, text in sorted(notes.items())]
        return [(self._job.settings.output_name(entry.name), container), *texts]

    def _decode(self, task: Task, content: Content, progress: Progress) -> Output:
        with _usable():
            header = read_container_header(content.file)
        seconds = header.source_num_samples / header.source_sample_rate
        with self._writing(task) as path:
            with self._turn(seconds):
                metadata = self._write_audio(path, Path(task.payload).suffix[1:].lower(), content.file, progress)
            mtime_ns = task.entry.mtime_ns if metadata is None or metadata.mtime_ns is None else metadata.mtime_ns
            _set_time(path, mtime_ns)
            sha256, num_bytes = content_sha256(path), path.stat().st_size
        return Output(seconds=seconds, num_bytes=num_bytes, sha256=sha256)

    def _write_audio(self, path: Path, format: str, file: Path | BinaryIO, progress: Progress) -> Metadata | None:
        """Decode a container to a file, and return the metadata that are in both."""
        with _usable():
            data = file.read_bytes() if isinstance(file, Path) else file.read()
            audio = decompress_blocks(self._model, data, self._job.limits, progress=progress, through=self._through)
        header = audio.header
        with _usable(path):
            write_blocks_as(
                format,
                path,
                audio.blocks,
                sample_rate=header.source_sample_rate,
                channels=header.channels,
                num_samples=header.source_num_samples,
                metadata=audio.metadata,
            )
        return audio.metadata

    @contextmanager
    def _writing(self, task: Task) -> Iterator[Path]:
        """Yield where to write; what goes wrong there is not the source's fault."""
        try:
            with self._place.writing(task.payload, self._job.scratch) as path:
                yield path
        except OSError as error:
            raise BlockedError(f"can't write '{task.payload}': {error.strerror or error}") from None
        except DataError as error:  # from a URL
            raise BlockedError(str(error)) from None


def _set_time(path: Path, mtime_ns: int | None) -> None:
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


@contextmanager
def _usable(written: Path | None = None) -> Iterator[None]:
    """Say of what goes wrong that the source is at fault, unless no more can be `written` to that file."""
    try:
        yield
    except Exception as error:  # whatever it is, it belongs to this file alone
        if written is not None:
            _check_room(written)
        raise UnusableError(explain(error)) from error


def _check_room(path: Path) -> None:
    """Write a little more to a file: libsndfile doesn't say why it could not."""
    with path.open("ab") as file:
        file.write(_PROBE)
        file.flush()
        os.fsync(file.fileno())
