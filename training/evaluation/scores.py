"""Scores: one row for each clip and operating point, kept as lines of JSON, so that an evaluation can go on."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip to evaluate on: `name` is its path below the folder, `kind` speech, music, sound or another word."""

    name: str
    seconds: float
    sample_rate: int
    channels: int
    kind: str = "unknown"
    # ISO 639-1 code of speech, empty otherwise.
    language: str = ""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One clip at one operating point: its `metrics` by name; in `undefined` those without a value, and why.

    Real-time factors are seconds of audio per second of work on one thread.
    """

    clip: Clip
    codec: str
    bitrate_kbps: float | None
    num_bytes: int
    encode_realtime: float
    decode_realtime: float
    metrics: dict[str, float]
    undefined: dict[str, str] = field(default_factory=dict)

    @property
    def measured_kbps(self) -> float:
        """Return the actual bitrate, container included."""
        return self.num_bytes * 8 / self.clip.seconds / 1000

    @property
    def point(self) -> str:
        """Return the operating point's name: 'opus 12', 'flac'."""
        return point_name(self.codec, self.bitrate_kbps)


def point_name(codec: str, bitrate_kbps: float | None) -> str:
    """Return the name of a codec at a bitrate: 'opus 12', 'flac'."""
    return codec if bitrate_kbps is None else f"{codec} {bitrate_kbps:g}"


def is_speech(kind: str, sample_rate: int) -> bool:
    """Tell whether a clip is judged as speech; what is of no known kind is up to 16 kHz."""
    return kind == "speech" or (kind == "unknown" and sample_rate <= 16_000)
