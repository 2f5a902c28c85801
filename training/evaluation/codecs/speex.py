"""Speex, wide band: speexenc and speexdec of the package speex, an Ogg file; 16 kHz, mono.

Each quality from 0 to 10 has one bitrate, and a bitrate here means that quality. Frames are 20 ms; speexdec cuts the
delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate, check_channels
from training.evaluation.codecs.tool import DECODED, SOURCE, require_tools, through_files

SAMPLE_RATE = 16_000
FRAME = 320
# By quality (Speex manual, table of wide-band modes).
BITRATES = (3.95, 5.75, 7.75, 9.8, 12.8, 16.8, 20.6, 23.8, 27.8, 34.2, 42.2)


@dataclass(frozen=True)
class SpeexPoint:
    """Speex at the bitrate of a quality."""

    tools: ClassVar[tuple[str, ...]] = ("speexenc", "speexdec")
    bitrate_kbps: float

    def __post_init__(self) -> None:
        check_bitrate(self.codec, self.bitrate_kbps, BITRATES)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "speex"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 1)
        quality = BITRATES.index(self.bitrate_kbps)
        return through_files(
            audio,
            sample_rate=SAMPLE_RATE,
            encode=["speexenc", "--wideband", "--quality", str(quality), SOURCE, "coded.spx"],
            decode=["speexdec", "coded.spx", DECODED],
            coded="coded.spx",
            frame=FRAME,
        )
