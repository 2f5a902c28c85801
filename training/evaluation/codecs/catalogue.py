"""The codecs that ours is compared with: their operating points by name, as 'opus:12', 'lyra:6' or 'flac'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from codec.errors import BitrateError, CapabilityError, MissingToolError
from training.evaluation.codecs.aac import AacPoint
from training.evaluation.codecs.amrwb import AmrWbPoint
from training.evaluation.codecs.base import OperatingPoint
from training.evaluation.codecs.codec2 import Codec2Point
from training.evaluation.codecs.flac import FlacPoint
from training.evaluation.codecs.lc3 import Lc3Point
from training.evaluation.codecs.lyra import LyraPoint
from training.evaluation.codecs.mp3 import Mp3Point
from training.evaluation.codecs.opus import OpusPoint
from training.evaluation.codecs.pcm import PcmPoint
from training.evaluation.codecs.speex import SpeexPoint
from training.evaluation.codecs.tool import missing_packages
from training.evaluation.codecs.vorbis import VorbisPoint

LYRA = "lyra"
Lossless = type[FlacPoint] | type[PcmPoint]
Lossy = (
    type[OpusPoint]
    | type[AacPoint]
    | type[Mp3Point]
    | type[VorbisPoint]
    | type[SpeexPoint]
    | type[AmrWbPoint]
    | type[Lc3Point]
    | type[Codec2Point]
)
LOSSLESS: Mapping[str, Lossless] = {"flac": FlacPoint, "pcm": PcmPoint}
LOSSY: Mapping[str, Lossy] = {
    "opus": OpusPoint,
    "aac": AacPoint,
    "mp3": Mp3Point,
    "vorbis": VorbisPoint,
    "speex": SpeexPoint,
    "amrwb": AmrWbPoint,
    "lc3": Lc3Point,
    "codec2": Codec2Point,
}
CODECS = (*LOSSY, LYRA, *LOSSLESS)

# What a model is compared with unless told otherwise; Lyra only where its graphs are.
SPEECH_SPECS = (
    "codec2:3.2",
    "opus:6",
    "opus:8",
    "opus:10",
    "opus:12",
    "opus:16",
    "opus:24",
    "speex:12.8",
    "amrwb:6.6",
    "amrwb:12.65",
    "lc3:16",
    "lc3:24",
    "mp3:24",
    "flac",
    "pcm",
)
MUSIC_SPECS = (
    "opus:16",
    "opus:24",
    "opus:32",
    "opus:48",
    "opus:64",
    "opus:96",
    "aac:64",
    "mp3:64",
    "vorbis:64",
    "flac",
    "pcm",
)


def peer_point(spec: str, lyra_directory: Path | None = None) -> OperatingPoint:
    """Return the operating point `CODEC:KBPS`, or `CODEC` of a lossless one.

    Raises:
        CapabilityError: There is no such codec, or a lossless one was given a bitrate.
        BitrateError: The codec has no such bitrate, or none was given.
        MissingToolError: Lyra without `lyra_directory`, the folder of its three .tflite files.
    """
    name, colon, bitrate = spec.partition(":")
    if name in LOSSLESS:
        if colon:
            raise CapabilityError(f"'{spec}' gives {name} a bitrate, which it doesn't take: write '{name}'")
        return LOSSLESS[name]()
    if name in LOSSY:
        return LOSSY[name](_bitrate(spec, bitrate))
    if name != LYRA:
        raise CapabilityError(f"there is no codec '{name}' to compare with; choose one of {', '.join(CODECS)}")
    bitrate_kbps = _bitrate(spec, bitrate)
    if lyra_directory is None:
        raise MissingToolError("lyra needs the folder of Lyra v2's three .tflite files: none was given")
    return LyraPoint(bitrate_kbps, lyra_directory)


def missing_tools() -> dict[str, tuple[str, ...]]:
    """Return the codecs whose tools aren't installed, each with the Debian packages that would help.

    Lyra is no part of it: it needs a folder, and says itself what it misses.
    """
    tools = {name: point.tools for name, point in [*LOSSY.items(), *LOSSLESS.items()]}
    return {name: packages for name, wanted in tools.items() if (packages := missing_packages(wanted))}


def available() -> tuple[str, ...]:
    """Return the codecs whose tools are installed, Lyra aside."""
    missing = missing_tools()
    return tuple(name for name in CODECS if name != LYRA and name not in missing)


def _bitrate(spec: str, text: str) -> float:
    try:
        bitrate = float(text)
    except ValueError:
        bitrate = math.nan
    if not math.isfinite(bitrate):
        raise BitrateError(f"'{spec}' has no bitrate in kbps: write it as 'opus:12'")
    return bitrate
