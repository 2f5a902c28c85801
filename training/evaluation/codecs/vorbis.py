"""Vorbis I by libvorbis: oggenc and oggdec of vorbis-tools, an Ogg file.

Its bitrate only chooses a quality: what comes out depends on the clip. oggenc refuses bitrates that are too low for the
clip's sample rate and channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate_within, check_channels
from training.evaluation.codecs.tool import DECODED, SOURCE, require_tools, through_files

HIGHEST_RATE = 48_000


@dataclass(frozen=True)
class VorbisPoint:
    """Vorbis at a nominal bitrate, of all channels together."""

    tools: ClassVar[tuple[str, ...]] = ("oggenc", "oggdec")
    bitrate_kbps: float

    def __post_init__(self) -> None:
        check_bitrate_within(self.codec, self.bitrate_kbps, 8, 500)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "vorbis"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 2)
        return through_files(
            audio,
            sample_rate=min(audio.sample_rate, HIGHEST_RATE),
            encode=["oggenc", "--quiet", "--bitrate", f"{self.bitrate_kbps:g}", "--output", "coded.ogg", SOURCE],
            decode=["oggdec", "--quiet", "--output", DECODED, "coded.ogg"],
            coded="coded.ogg",
        )
