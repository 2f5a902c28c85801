"""What every compared codec gives: audio to bytes on disk and back, and the time that both take.

A codec is compared at operating points: `opus` at 6 and at 12 kbps are two of them. Axes: samples [C, T].
"""

from dataclasses import dataclass
from typing import Protocol

from codec.audio import Audio


@dataclass(frozen=True, kw_only=True)
class Coded:
    """What became of a clip: its size, container included, and its reconstruction, of the same rate and length."""

    num_bytes: int
    reconstruction: Audio
    # Seconds on one thread; of an external program the whole process, of ours without loading the model.
    encode_s: float
    decode_s: float


class OperatingPoint(Protocol):
    """A codec at one bitrate."""

    @property
    def codec(self) -> str:
        """Return the codec's name, the same at all of its bitrates: 'opus', 'speech:3'."""

    @property
    def bitrate_kbps(self) -> float | None:
        """Return the nominal bitrate; None for a codec that takes what it takes (FLAC, PCM)."""

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip.

        Raises:
            MissingToolError: A program that it needs isn't installed; the message says what to install.
            CapabilityError: The codec can't code such a clip (its rate, channels), with the reason.
        """
