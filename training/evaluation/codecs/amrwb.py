"""AMR-WB (3GPP TS 26.171) by VisualOn's encoder in ffmpeg and ffmpeg's decoder, an AMR file; 16 kHz, mono.

Its delay is not written in the file. It was measured by cross-correlation: 94 samples, give or take one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate, check_channels
from training.evaluation.codecs.tool import DECODED, FFMPEG, SOURCE, require_tools, through_files

SAMPLE_RATE = 16_000
DELAY, FRAME = 94, 320
ENCODER = "libvo_amrwbenc"
BITRATES = (6.6, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85)


@dataclass(frozen=True)
class AmrWbPoint:
    """AMR-WB in one of its modes."""

    tools: ClassVar[tuple[str, ...]] = ("ffmpeg", ENCODER)
    bitrate_kbps: float

    def __post_init__(self) -> None:
        check_bitrate(self.codec, self.bitrate_kbps, BITRATES)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "amrwb"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 1)
        options = ["-c:a", ENCODER, "-b:a", f"{self.bitrate_kbps:g}k"]
        return through_files(
            audio,
            sample_rate=SAMPLE_RATE,
            encode=[*FFMPEG, "-i", SOURCE, *options, "coded.amr"],
            decode=[*FFMPEG, "-c:a", "amrwb", "-i", "coded.amr", "-c:a", "pcm_s16le", DECODED],
            coded="coded.amr",
            delay=DELAY,
            frame=FRAME,
        )
