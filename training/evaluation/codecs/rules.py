"""What codecs refuse: bitrates they don't have and channels they can't code; and the sample rates they know."""

from __future__ import annotations

from collections.abc import Sequence

from codec.audio import Audio
from codec.errors import BitrateError, CapabilityError


def check_bitrate(codec: str, bitrate_kbps: float, known: Sequence[float]) -> None:
    """Check that a codec has a bitrate.

    Raises:
        BitrateError: It doesn't; the message says which it has.
    """
    if bitrate_kbps not in known:
        rates = ", ".join(f"{rate:g}" for rate in known)
        raise BitrateError(f"{codec} has no bitrate of {bitrate_kbps:g} kbps; choose one of {rates}")


def check_bitrate_within(codec: str, bitrate_kbps: float, least: float, most: float) -> None:
    """Check that a bitrate is in a codec's range, ends included.

    Raises:
        BitrateError: It isn't.
    """
    if not least <= bitrate_kbps <= most:
        raise BitrateError(f"{codec} has no bitrate of {bitrate_kbps:g} kbps; choose one from {least:g} to {most:g}")


def check_channels(codec: str, audio: Audio, most: int) -> None:
    """Check that a codec can code so many channels.

    Raises:
        CapabilityError: It can't.
    """
    if audio.channels > most:
        raise CapabilityError(f"{codec} codes at most {most} channel(s), and the clip has {audio.channels}")


def fitting_rate(sample_rate: int, known: Sequence[int]) -> int:
    """Return the lowest of a codec's rates that loses nothing of `sample_rate`, or its highest."""
    return min((rate for rate in known if rate >= sample_rate), default=max(known))
