"""The parameters of docs/api.md, by name; what is left out, or None, is the service's default."""

from __future__ import annotations

from typing import Literal, TypedDict


class EncodeOptions(TypedDict, total=False):
    """How to encode."""

    model: str | None
    bitrate_kbps: float | None
    num_quantizers: int | None
    denoise: bool


class OutputOptions(TypedDict, total=False):
    """Which audio file to give."""

    format: Literal["wav", "flac"]
    bit_depth: Literal[16, 24, "float"]


class DecodeOptions(OutputOptions, total=False):
    """What to decode, and to what; `start` and `duration` in seconds."""

    start: float | None
    duration: float | None


class RoundTripOptions(EncodeOptions, OutputOptions, total=False):
    """How to encode, and what to decode to."""


class JobOptions(EncodeOptions, DecodeOptions, total=False):
    """Those of the job's operation."""


class EncodeStreamOptions(EncodeOptions, total=False):
    """How to encode, and what the PCM is; `block_ms` is how much audio a block of the container holds."""

    sample_rate: int | None
    channels: int | None
    format: Literal["s16", "f32"]
    block_ms: int | None


class DecodeStreamOptions(TypedDict, total=False):
    """What PCM to give."""

    format: Literal["s16", "f32"]
