"""A client of the HTTP API, blocking or asynchronous; it needs httpx, and nothing of a codec's.

    from serving.client import Client

    with Client("http://127.0.0.1:3000") as nacre:
        encoded = nacre.encode("speech.wav", bitrate_kbps=6)
        print(encoded.measured_kbps, nacre.decode(encoded.data, format="flac").model)

        job = nacre.submit("encode", "archive.zip")
        nacre.wait(job.id, on_progress=lambda job: print(f"{job.progress:.0%}"))
        nacre.save_result(job.id, "encoded.zip")

        for piece in nacre.stream_encode(microphone, sample_rate=16_000, block_ms=100):
            send(piece)

Whatever goes wrong is a `ClientError`. Requests that are safe to repeat, which are all, are repeated after a failed
connection and when the service is busy (`Retry`).
"""

from serving.client.asynchronous import AsyncClient
from serving.client.blocking import Client
from serving.client.error import ClientError
from serving.client.results import (
    Codes,
    Decoded,
    Encoded,
    FileCounts,
    FileFailure,
    Job,
    JobError,
    Model,
    PcmFormat,
    RoundTrip,
    StreamCodes,
    StreamSummary,
)
from serving.client.retry import Retry

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Codes",
    "Decoded",
    "Encoded",
    "FileCounts",
    "FileFailure",
    "Job",
    "JobError",
    "Model",
    "PcmFormat",
    "Retry",
    "RoundTrip",
    "StreamCodes",
    "StreamSummary",
]
