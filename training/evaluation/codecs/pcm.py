"""16-bit PCM in a WAV file, in memory: what a clip takes that isn't compressed."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import ClassVar

import soundfile

from codec.audio import Audio, read_audio
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.tool import pcm16


@dataclass(frozen=True)
class PcmPoint:
    """PCM of 16 bits a sample."""

    tools: ClassVar[tuple[str, ...]] = ()

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "pcm"

    @property
    def bitrate_kbps(self) -> None:
        """Return None: it takes what it takes."""
        return

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        file = io.BytesIO()
        started = time.process_time()
        soundfile.write(file, pcm16(audio.samples).T, audio.sample_rate, format="WAV", subtype="PCM_16")
        encoded = time.process_time()
        file.seek(0)
        reconstruction = read_audio(file)
        finished = time.process_time()
        return Coded(
            num_bytes=len(file.getvalue()),
            reconstruction=reconstruction,
            encode_s=encoded - started,
            decode_s=finished - encoded,
        )
