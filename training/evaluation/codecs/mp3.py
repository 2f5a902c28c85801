"""MP3 (MPEG-1, 2 and 2.5 layer III) by LAME, with its average bitrate.

At low bitrates its constant one is worse, and its first frame then has no room for the tag that says how late the
sound is; with the tag, `lame --decode` cuts the encoder's and the decoder's delay exactly. LAME may choose a lower
sample rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate, check_channels, fitting_rate
from training.evaluation.codecs.tool import DECODED, SOURCE, require_tools, through_files

SAMPLE_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
BITRATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 320)


@dataclass(frozen=True)
class Mp3Point:
    """MP3 at a bitrate, of all channels together."""

    tools: ClassVar[tuple[str, ...]] = ("lame",)
    bitrate_kbps: float

    def __post_init__(self) -> None:
        check_bitrate(self.codec, self.bitrate_kbps, BITRATES)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "mp3"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 2)
        return through_files(
            audio,
            sample_rate=fitting_rate(audio.sample_rate, SAMPLE_RATES),
            encode=["lame", "--quiet", "--abr", f"{self.bitrate_kbps:g}", SOURCE, "coded.mp3"],
            decode=["lame", "--quiet", "--decode", "coded.mp3", DECODED],
            coded="coded.mp3",
        )
