"""LC3 (Bluetooth SIG) by Google's liblc3: elc3 and dlc3 of liblc3-tools, their own file format; frames of 10 ms.

A frame has 20 to 400 bytes a channel, and the file two more for its length, 1.6 kbps. dlc3 cuts the delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from codec.errors import CapabilityError
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate_within, check_channels, fitting_rate
from training.evaluation.codecs.tool import DECODED, SOURCE, require_tools, through_files

SAMPLE_RATES = (8_000, 16_000, 24_000, 32_000, 48_000)
# Of one channel, in kbps.
LEAST, MOST = 16, 320


@dataclass(frozen=True)
class Lc3Point:
    """LC3 at a bitrate, of all channels together."""

    tools: ClassVar[tuple[str, ...]] = ("elc3", "dlc3")
    bitrate_kbps: float

    def __post_init__(self) -> None:
        check_bitrate_within(self.codec, self.bitrate_kbps, LEAST, 2 * MOST)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "lc3"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 2)
        if not LEAST <= self.bitrate_kbps / audio.channels <= MOST:
            rule = f"{LEAST} to {MOST} kbps a channel"
            raise CapabilityError(f"lc3 takes {rule}: {self.bitrate_kbps:g} don't suit {audio.channels} channel(s)")
        return through_files(
            audio,
            sample_rate=fitting_rate(audio.sample_rate, SAMPLE_RATES),
            encode=["elc3", "-b", f"{self.bitrate_kbps * 1000:.0f}", SOURCE, "coded.lc3"],
            decode=["dlc3", "coded.lc3", DECODED],
            coded="coded.lc3",
        )
