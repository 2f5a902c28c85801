"""Opus (RFC 6716) by libopus: opusenc and opusdec of opus-tools, an Ogg file.

Variable bitrate and frames of 20 ms, opusenc's defaults, and whether it is speech or music is Opus's own decision.
Phase inversion of stereo is off, since metrics score a downmix. No room is reserved for later tags. Opus works at
48 kHz, and the resampling there and back is ours, as with every codec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate_within, check_channels
from training.evaluation.codecs.tool import DECODED, SOURCE, require_tools, through_files

SAMPLE_RATE = 48_000


@dataclass(frozen=True)
class OpusPoint:
    """Opus at a bitrate, of all channels together."""

    tools: ClassVar[tuple[str, ...]] = ("opusenc", "opusdec")
    bitrate_kbps: float

    def __post_init__(self) -> None:
        check_bitrate_within(self.codec, self.bitrate_kbps, 6, 512)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "opus"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 2)
        options = ["--bitrate", f"{self.bitrate_kbps:g}", "--framesize", "20", "--no-phase-inv", "--padding", "0"]
        return through_files(
            audio,
            sample_rate=SAMPLE_RATE,
            encode=["opusenc", "--quiet", *options, SOURCE, "coded.opus"],
            decode=["opusdec", "--quiet", "--no-dither", "--rate", str(SAMPLE_RATE), "coded.opus", DECODED],
            coded="coded.opus",
        )
