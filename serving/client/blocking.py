"""The client that waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx

from codec.files import atomic_path
from serving.client import calls
from serving.client.blocking_stream import Stream
from serving.client.calls import Call, Query
from serving.client.connection import Connection, check_answer, read_answer
from serving.client.error import ClientError
from serving.client.options import (
    DecodeOptions,
    DecodeStreamOptions,
    EncodeOptions,
    EncodeStreamOptions,
    JobOptions,
    RoundTripOptions,
)
from serving.client.pacing import pauses
from serving.client.results import Codes, Decoded, Encoded, Job, Model, Operation, RoundTrip
from serving.client.retry import Retry
from serving.client.sound import file_bytes, sound_bytes, source_of, upload_of

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from serving.client.sound import File, Sound

Result = TypeVar("Result")


class Client:
    """A service's client; any number of threads may share one.

    `key` is an API key, `timeout` the seconds that an answer may take. Audio is a file's bytes, its path, or an array
    [T] or [channels, T] with its `sample_rate`; parameters are those of docs/api.md.

    Every method raises ClientError when the service refuses or can't be reached.

    Example:
        with Client("http://127.0.0.1:3000") as nacre:
            encoded = nacre.encode(samples, sample_rate=44_100, bitrate_kbps=6)
            wav = nacre.decode(encoded.data).data
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 60.0, retry: Retry | None = None) -> None:
        self._connection = Connection(url=url, key=key, timeout=timeout, retry=retry or Retry())
        self._http = httpx.Client(**self._connection.http_options())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def encode(self, audio: Sound, *, sample_rate: int | None = None, **options: Unpack[EncodeOptions]) -> Encoded:
        """Encode audio to a container."""
        return self._send(calls.encode(sound_bytes(audio, sample_rate), options))

    def codes(self, audio: Sound, *, sample_rate: int | None = None, **options: Unpack[EncodeOptions]) -> Codes:
        """Encode audio to codes, as arrays."""
        return self._send(calls.codes(sound_bytes(audio, sample_rate), options))

    def decode(self, container: File, **options: Unpack[DecodeOptions]) -> Decoded:
        """Decode a container, or only `duration` seconds of it from `start` on."""
        return self._send(calls.decode(file_bytes(container), options))

    def round_trip(
        self, audio: Sound, *, sample_rate: int | None = None, **options: Unpack[RoundTripOptions]
    ) -> RoundTrip:
        """Return what a model makes of audio."""
        return self._send(calls.round_trip(sound_bytes(audio, sample_rate), options))

    def models(self) -> tuple[Model, ...]:
        """List the models that are served; the first is taken where none is named."""
        return self._send(calls.models())

    def model(self, name: str) -> Model:
        """Describe one model."""
        return self._send(calls.model(name))

    def limits(self) -> dict[str, Any]:
        """Return every limit of the service, by name."""
        return self._send(calls.limits())

    def submit(
        self,
        operation: Operation,
        file: Sound,
        *,
        sample_rate: int | None = None,
        name: str | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Have an audio file, a container, or a zip or tar of many converted in the background.

        A path is sent from disk. `name` is the file's, for the result's. However often a request is repeated, it makes
        one job; with an `idempotency_key` of your own that holds for repeated calls too.
        """
        return self._send(calls.submit(operation, upload_of(file, sample_rate), options, name, idempotency_key))

    def jobs(self, limit: int = 20) -> tuple[Job, ...]:
        """List your newest jobs."""
        return self._send(calls.jobs(limit))

    def job(self, job_id: str) -> Job:
        """Tell how far a job is."""
        return self._send(calls.job(job_id))

    def wait(
        self, job_id: str, *, timeout: float | None = None, on_progress: Callable[[Job], object] = lambda job: None
    ) -> Job:
        """Wait until a job is done, failed or cancelled, at most `timeout` seconds; `on_progress` hears of it often."""
        for pause in pauses(job_id, timeout):
            job = self.job(job_id)
            on_progress(job)
            if job.is_finished:
                break
            time.sleep(pause)
        return job

    def result(self, job_id: str) -> bytes:
        """Return what a job made: the file, or a zip of all that could be converted."""
        return self._send(calls.result(job_id))

    def save_result(self, job_id: str, path: str | os.PathLike[str]) -> None:
        """Write what a job made to a file, which appears whole or not at all; it is never held in memory."""
        self._repeat(lambda: self._download(calls.result_path(job_id), Path(path)))

    def cancel(self, job_id: str) -> None:
        """Cancel a job, or remove a finished one, with what it holds."""
        self._send(calls.cancel(job_id))

    def stream_encode(self, pcm: bytes | Iterable[bytes], **options: Unpack[EncodeStreamOptions]) -> Stream:
        """Encode PCM while it comes; the pieces together are the container.

        Example:
            with nacre.stream_encode(microphone, sample_rate=16_000, block_ms=100) as stream:
                for piece in stream:
                    send(piece)
            print(stream.summary.measured_kbps)
        """
        return self._stream("/v1/stream/encode", options, source_of(pcm))

    def stream_decode(self, container: File | Iterable[bytes], **options: Unpack[DecodeStreamOptions]) -> Stream:
        """Decode a container while it comes; the pieces together are the PCM, which `format` describes.

        Example:
            with nacre.stream_decode("speech.nac") as stream:
                for piece in stream:
                    play(piece, stream.format.sample_rate, stream.format.channels)
        """
        return self._stream("/v1/stream/decode", options, source_of(container))

    def _stream(self, path: str, query: Query, source: Iterable[bytes]) -> Stream:
        options = self._connection.socket_options(path, query)
        return Stream(lambda: self._repeat(lambda: self._open(options)), source, self._connection.timeout)

    def _open(self, options: dict[str, Any]) -> ClientConnection:
        from websockets.sync.client import connect

        with self._connection.opening():
            return connect(**options)

    def _send(self, call: Call[Result]) -> Result:
        return self._repeat(lambda: self._send_once(call))

    def _send_once(self, call: Call[Result]) -> Result:
        with call.arguments() as arguments, self._connection.translated():
            response = self._http.request(call.method, call.path, **arguments)
        return read_answer(call, response)

    def _download(self, source: str, target: Path) -> None:
        with self._connection.translated(), self._http.stream("GET", source) as response:
            if not response.is_success:
                response.read()
            check_answer(response)
            with atomic_path(target) as temporary, temporary.open("wb") as file:
                for data in response.iter_bytes():
                    file.write(data)

    def _repeat(self, attempt: Callable[[], Result]) -> Result:
        """Return what `attempt` does, made again while that may help."""
        number = 1
        while True:
            try:
                return attempt()
            except ClientError as error:
                delay = self._connection.retry.delay(number, error)
                if delay is None:
                    raise
            time.sleep(delay)
            number += 1
