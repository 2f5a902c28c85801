"""The API's requests: what each sends, and how its answer is read; sending is the clients' affair."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote, unquote

import httpx

from serving.client.results import Codes, Decoded, Encoded, Job, Model, Operation, RoundTrip

if TYPE_CHECKING:
    from typing import BinaryIO

Result = TypeVar("Result")
# Parameters by name; None stands for one that isn't given.
Query = Mapping[str, object]
CONTAINER_TYPE = "application/vnd.nacre"
DEFAULT_NAME = "audio"


@dataclass(frozen=True, kw_only=True)
class Call(Generic[Result]):
    """One request, which may be made several times; `upload` is a file sent as a form, from disk if it is a path."""

    method: str
    path: str
    read: Callable[[httpx.Response], Result]
    query: Query = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    upload: tuple[str, bytes | Path] | None = None

    @contextmanager
    def arguments(self) -> Iterator[dict[str, Any]]:
        """Yield what httpx is asked with, once."""
        query = {name: as_text(value) for name, value in self.query.items() if value is not None}
        arguments: dict[str, Any] = {"params": query, "headers": self.headers, "content": self.content}
        if self.upload is None:
            yield arguments
            return
        name, source = self.upload
        if isinstance(source, bytes):
            yield {**arguments, "files": {"file": (name, source)}}
            return
        file: BinaryIO
        with source.open("rb") as file:
            yield {**arguments, "files": {"file": (name, file)}}


def encode(data: bytes, query: Query) -> Call[Encoded]:
    """Encode an audio file."""
    return Call(
        method="POST",
        path="/v1/encode",
        query=query,
        content=data,
        headers={"Accept": CONTAINER_TYPE},
        read=lambda response: Encoded(data=response.content, **_model(response), **_cost(response)),
    )


def codes(data: bytes, query: Query) -> Call[Codes]:
    """Encode an audio file to codes."""
    return Call(
        method="POST",
        path="/v1/encode",
        query=query,
        content=data,
        headers={"Accept": "application/json"},
        read=lambda response: Codes.of(response.json()),
    )


def decode(data: bytes, query: Query) -> Call[Decoded]:
    """Decode a container."""
    return Call(
        method="POST",
        path="/v1/decode",
        query=query,
        content=data,
        read=lambda response: Decoded(data=response.content, format=_format(response), **_model(response)),
    )


def round_trip(data: bytes, query: Query) -> Call[RoundTrip]:
    """Encode an audio file and decode it again."""
    return Call(
        method="POST",
        path="/v1/roundtrip",
        query=query,
        content=data,
        read=lambda response: RoundTrip(
            data=response.content,
            format=_format(response),
            container_bytes=int(response.headers["X-Nacre-Bytes"]),
            **_model(response),
            **_cost(response),
        ),
    )


def models() -> Call[tuple[Model, ...]]:
    """List the models."""
    return _get("/v1/models", lambda body: tuple(map(Model.of, body["models"])))


def model(name: str) -> Call[Model]:
    """Describe one model."""
    return _get(f"/v1/models/{quote(name, safe='')}", Model.of)


def limits() -> Call[dict[str, Any]]:
    """List the limits."""
    return _get("/v1/limits", dict)


def submit(
    operation: Operation, file: bytes | Path, query: Query, name: str | None, idempotency_key: str | None
) -> Call[Job]:
    """Make a job; its key is the same however often the request is made."""
    known = file.name if isinstance(file, Path) else DEFAULT_NAME
    return Call(
        method="POST",
        path="/v1/jobs",
        query={"operation": operation, **query},
        headers={"Idempotency-Key": idempotency_key or secrets.token_hex(16)},
        upload=(name or known, file),
        read=lambda response: Job.of(response.json()),
    )


def jobs(limit: int) -> Call[tuple[Job, ...]]:
    """List the newest jobs."""
    return _get("/v1/jobs", lambda body: tuple(map(Job.of, body["jobs"])), {"limit": limit})


def job(job_id: str) -> Call[Job]:
    """Ask how far a job is."""
    return _get(_job_path(job_id), Job.of)


def result(job_id: str) -> Call[bytes]:
    """Fetch what a job made."""
    return Call(method="GET", path=result_path(job_id), read=lambda response: response.content)


def cancel(job_id: str) -> Call[None]:
    """Cancel or remove a job."""
    return Call(method="DELETE", path=_job_path(job_id), read=lambda response: None)


def result_path(job_id: str) -> str:
    """Return where a job's result is."""
    return f"{_job_path(job_id)}/result"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _get(path: str, read: Callable[[Any], Result], query: Query | None = None) -> Call[Result]:
    return Call(method="GET", path=path, query=query or {}, read=lambda response: read(response.json()))


def as_text(value: object) -> str:
    """Return a parameter as it stands in a URL."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _model(response: httpx.Response) -> dict[str, Any]:
    headers = response.headers
    return {"model": unquote(headers["X-Nacre-Model"]), "fingerprint": headers["X-Nacre-Fingerprint"]}


def _cost(response: httpx.Response) -> dict[str, Any]:
    headers = response.headers
    return {
        "seconds": float(headers["X-Nacre-Seconds"]),
        "measured_kbps": float(headers["X-Nacre-Measured-Kbps"]),
    }


def _format(response: httpx.Response) -> str:
    return response.headers["Content-Type"].partition(";")[0].rpartition("/")[2]
