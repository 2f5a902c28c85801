"""What the service's answers hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Result = TypeVar("Result")
Operation = Literal["encode", "decode"]
FINISHED = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A container, the model that made it, and what it costs: its actual bits per second."""

    data: bytes
    model: str
    fingerprint: str
    seconds: float
    measured_kbps: float


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """An audio file, and the model that decoded it."""

    data: bytes
    format: str
    model: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """An audio file of what a codec makes of another, and what the container between took."""

    data: bytes
    format: str
    model: str
    fingerprint: str
    seconds: float
    measured_kbps: float
    container_bytes: int


@dataclass(frozen=True, kw_only=True)
class StreamCodes:
    """The codes [K, L] of one stream, and the scales of its segments, of a codec that codes in segments."""

    codes: NDArray[np.int64]
    scales: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Codes:
    """A container's codes; `offsets[k] + codes[k, l]` numbers the entries of all stages as one vocabulary."""

    model: str
    fingerprint: str
    sample_rate: int
    hop_length: int
    frame_rate: float
    codebook_size: int
    num_quantizers: int
    num_samples: int
    channels: int
    source_sample_rate: int
    source_num_samples: int
    offsets: tuple[int, ...]
    streams: tuple[StreamCodes, ...]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Codes:
        """Build from the service's JSON."""
        import numpy as np

        streams = tuple(
            StreamCodes(codes=np.array(stream["codes"], np.int64), scales=tuple(stream["scales"]))
            for stream in body["streams"]
        )
        return _known(cls, {**body, "offsets": tuple(body["offsets"]), "streams": streams})


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that is served; `version` is None of a package that is in no registry."""

    name: str
    reference: str
    version: int | None
    codec: str
    fingerprint: str
    sample_rate: int
    channels: int
    hop_length: int
    frame_rate: float
    num_quantizers: int
    codebook_size: int
    bitrates_kbps: tuple[float, ...]
    can_denoise: bool

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Model:
        """Build from the service's JSON."""
        return _known(cls, {**body, "bitrates_kbps": tuple(body["bitrates_kbps"])})


@dataclass(frozen=True, kw_only=True)
class FileCounts:
    """How many files a job has."""

    total: int
    done: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class FileFailure:
    """A file of a job that failed, and why."""

    file: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class JobError:
    """Why a whole job failed."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job; `progress` is from 0 to 1."""

    id: str
    operation: str
    state: str
    progress: float
    created: datetime
    finished: datetime | None
    files: FileCounts
    failures: tuple[FileFailure, ...]
    error: JobError | None
    expires: datetime | None

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more: it is done, failed or cancelled."""
        return self.state in FINISHED

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Job:
        """Build from the service's JSON."""
        times = {name: body[name] and datetime.fromisoformat(body[name]) for name in ("created", "finished", "expires")}
        return _known(
            cls,
            {
                **body,
                **times,
                "files": _known(FileCounts, body["files"]),
                "failures": tuple(_known(FileFailure, failure) for failure in body["failures"]),
                "error": None if body["error"] is None else _known(JobError, body["error"]),
            },
        )


@dataclass(frozen=True, kw_only=True)
class PcmFormat:
    """What the PCM of a decoded stream is; samples are interleaved and little endian."""

    format: str
    sample_rate: int
    channels: int
    fingerprint: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> PcmFormat:
        """Build from the service's message."""
        return _known(cls, body)


@dataclass(frozen=True, kw_only=True)
class StreamSummary:
    """The totals of a stream; of a decoded one `num_samples` a channel, of an encoded one what the container takes."""

    seconds: float
    num_samples: int | None = None
    num_bytes: int | None = None
    measured_kbps: float | None = None
    fingerprint: str | None = None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> StreamSummary:
        """Build from the service's message."""
        return _known(cls, {**body, "num_bytes": body.get("bytes")})


def _known(cls: type[Result], body: Mapping[str, Any]) -> Result:
    """Build a dataclass of the fields that it has; a newer service may tell more."""
    return cls(**{field.name: body[field.name] for field in fields(cls) if field.name in body})  # type: ignore[arg-type]
