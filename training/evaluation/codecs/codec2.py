"""Codec 2 (David Rowe): c2enc and c2dec of the package codec2, a .c2 file; 8 kHz, mono.

It keeps no waveform. That the sound is 20 ms late was measured from envelopes. A frame takes whole bytes, so that its
1.3 kbps are 1.4 in a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate, check_channels
from training.evaluation.codecs.tool import RAW_DECODED, RAW_SOURCE, require_tools, through_files

SAMPLE_RATE = 8_000
# A frame of 40 ms holds whole frames of every mode.
DELAY, FRAME = 160, 320
BITRATES = (1.2, 1.3, 1.4, 1.6, 2.4, 3.2)


@dataclass(frozen=True)
class Codec2Point:
    """Codec 2 in one of its modes."""

    tools: ClassVar[tuple[str, ...]] = ("c2enc", "c2dec")
    bitrate_kbps: float

    def __post_init__(self) -> None:
        check_bitrate(self.codec, self.bitrate_kbps, BITRATES)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "codec2"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 1)
        mode = f"{self.bitrate_kbps * 1000:.0f}"
        return through_files(
            audio,
            sample_rate=SAMPLE_RATE,
            encode=["c2enc", mode, RAW_SOURCE, "coded.c2"],
            decode=["c2dec", mode, "coded.c2", RAW_DECODED],
            coded="coded.c2",
            delay=DELAY,
            frame=FRAME,
        )
