"""Bounds on streams."""

from __future__ import annotations

from dataclasses import dataclass

from codec.audio import AudioLimits


@dataclass(frozen=True, kw_only=True)
class StreamLimits:
    """Bounds on one stream, and on how many there are at once in one worker."""

    audio: AudioLimits
    max_streams: int = 8
    # How long a client may send nothing while it is waited for, or take nothing of what is sent to it.
    idle_seconds: float = 30.0
    max_message_bytes: int = 1 << 20
