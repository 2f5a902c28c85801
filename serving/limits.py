"""What the service accepts: read from the environment once, checked there, and never changed while it runs.

Each field is set by `NACRE_` and its name in capitals, for example `NACRE_MAX_SECONDS=60`.
"""

from __future__ import annotations

import os

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from codec.audio import AudioLimits
from codec.errors import NacreError
from serving.jobs.limits import JobLimits
from serving.streams.limits import StreamLimits


class ServiceLimits(JobLimits):
    """Bounds on one request, on how many there are at once in one worker, and on streams and jobs."""

    max_body_bytes: PositiveInt = 64 * 2**20
    max_seconds: PositiveFloat = 300.0
    max_channels: PositiveInt = 2
    min_sample_rate: PositiveInt = 8_000
    max_sample_rate: PositiveInt = 192_000
    # How long a client may take to send its body.
    upload_seconds: PositiveFloat = 60.0
    # Requests that the model works on at once, and requests admitted beyond those: a longer queue answers no more of
    # them, and all of them later.
    concurrency: PositiveInt = 1
    queue: NonNegativeInt = 10
    # Where models run, as torch names it: cpu, cuda, cuda:1.
    device: str = "cpu"
    max_streams: PositiveInt = 8
    # How long a stream's client may send nothing, or take nothing.
    stream_idle_seconds: PositiveFloat = 30.0
    max_stream_message_bytes: PositiveInt = 2**20

    @property
    def audio(self) -> AudioLimits:
        """The bounds on audio, as codec/audio.py takes them."""
        return AudioLimits(
            max_seconds=self.max_seconds,
            max_channels=self.max_channels,
            min_sample_rate=self.min_sample_rate,
            max_sample_rate=self.max_sample_rate,
        )

    @property
    def streams(self) -> StreamLimits:
        """The bounds on streams."""
        return StreamLimits(
            audio=self.audio,
            max_streams=self.max_streams,
            idle_seconds=self.stream_idle_seconds,
            max_message_bytes=self.max_stream_message_bytes,
        )

    @classmethod
    def from_environment(cls) -> ServiceLimits:
        """Read the variables that are set; the others keep their defaults.

        Raises:
            NacreError: A variable's value is not what its limit takes.
        """
        given = {name: value for name in cls.model_fields if (value := os.environ.get(f"NACRE_{name.upper()}"))}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise NacreError(f"NACRE_{name.upper()} is {given[name]!r}: {first['msg'].lower()}") from None
