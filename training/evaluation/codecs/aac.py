"""AAC-LC (ISO/IEC 14496-3) by ffmpeg's own encoder, in an MP4 file, whose edit list makes ffmpeg cut the delay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate_within, check_channels, fitting_rate
from training.evaluation.codecs.tool import DECODED, FFMPEG, SOURCE, require_tools, through_files

SAMPLE_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True)
class AacPoint:
    """AAC at a bitrate, of all channels together."""

    tools: ClassVar[tuple[str, ...]] = ("ffmpeg",)
    bitrate_kbps: float

    def __post_init__(self) -> None:
        check_bitrate_within(self.codec, self.bitrate_kbps, 8, 512)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "aac"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 2)
        options = ["-c:a", "aac", "-b:a", f"{self.bitrate_kbps:g}k", "-fflags", "+bitexact"]
        return through_files(
            audio,
            sample_rate=fitting_rate(audio.sample_rate, SAMPLE_RATES),
            encode=[*FFMPEG, "-i", SOURCE, *options, "coded.m4a"],
            decode=[*FFMPEG, "-i", "coded.m4a", "-c:a", "pcm_s16le", DECODED],
            coded="coded.m4a",
        )
