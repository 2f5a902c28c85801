"""FLAC (RFC 9639) by the program flac, of 16-bit PCM: the lossless anchor. Every round trip is checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from codec.audio import Audio
from codec.errors import BitstreamError
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_channels
from training.evaluation.codecs.tool import DECODED, SOURCE, pcm16, require_tools, through_files


@dataclass(frozen=True)
class FlacPoint:
    """FLAC at its strongest compression, without padding and seek table."""

    tools: ClassVar[tuple[str, ...]] = ("flac",)

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "flac"

    @property
    def bitrate_kbps(self) -> None:
        """Return None: it takes what it takes."""
        return

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`.

        Raises:
            BitstreamError: The decoded samples are not the encoded ones.
        """
        require_tools(self.codec, self.tools)
        check_channels(self.codec, audio, 8)
        coded = through_files(
            audio,
            sample_rate=audio.sample_rate,
            encode=["flac", "--silent", "--best", "--no-padding", "--no-seektable", "-o", "coded.flac", SOURCE],
            decode=["flac", "--silent", "--decode", "-o", DECODED, "coded.flac"],
            coded="coded.flac",
        )
        before, after = _checksum(audio), _checksum(coded.reconstruction)
        if before != after:
            raise BitstreamError(f"flac gave back other samples: their SHA-256 is {after[:12]}, not {before[:12]}")
        return coded


def _checksum(audio: Audio) -> str:
    return hashlib.sha256(pcm16(audio.samples).tobytes()).hexdigest()
