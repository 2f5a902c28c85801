"""Evaluate a package on audio files through the real path: containers out, containers in.

So `measured_kbps` counts container bytes, and the real-time factors include packing and resampling.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from codec.audio import Audio, read_audio
from codec.compress import compress, decompress
from codec.weights import LoadedPackage, load_package
from training.metrics import measure


@dataclass(frozen=True, kw_only=True)
class ClipScore:
    """One clip at one bitrate; a metric that is undefined for the clip is NaN.

    Real-time factors are seconds of audio per second of work.
    """

    clip: str
    bitrate_kbps: float
    measured_kbps: float
    seconds: float
    mel_distance: float
    si_sdr_db: float
    stoi: float
    log_spectral_distance_db: float
    encode_realtime: float
    decode_realtime: float


@dataclass(frozen=True, kw_only=True)
class BitrateSummary:
    """Means over clips at one bitrate, by metric; `measured_kbps` and real-time factors are totals' ratios."""

    bitrate_kbps: float
    num_clips: int
    measured_kbps: float
    mel_distance: float
    si_sdr_db: float
    stoi: float
    log_spectral_distance_db: float
    encode_realtime: float
    decode_realtime: float


def evaluate_package(directory: Path, clips: Sequence[Path], bitrates_kbps: Sequence[float]) -> list[ClipScore]:
    """Score the package on every clip at every bitrate, in that order.

    Raises:
        PackageError: The directory is no package.
        AudioError: A clip can't be read, or its channels don't fit the codec.
        BitrateError: The codec has no such bitrate.
    """
    model = load_package(directory)
    for bitrate in bitrates_kbps:
        model.package.config.resolve_num_quantizers(bitrate_kbps=bitrate)
    return [
        _score(model, path.name, audio, bitrate)
        for path in clips
        for audio in [read_audio(path)]
        for bitrate in bitrates_kbps
    ]


def summarize(scores: Sequence[ClipScore]) -> list[BitrateSummary]:
    """Return one summary per bitrate, lowest first; NaN metrics are left out of the means."""
    summaries = []
    for bitrate in sorted({score.bitrate_kbps for score in scores}):
        group = [score for score in scores if score.bitrate_kbps == bitrate]
        seconds = sum(score.seconds for score in group)
        summaries.append(
            BitrateSummary(
                bitrate_kbps=bitrate,
                num_clips=len(group),
                measured_kbps=sum(score.measured_kbps * score.seconds for score in group) / seconds,
                mel_distance=_mean([score.mel_distance for score in group]),
                si_sdr_db=_mean([score.si_sdr_db for score in group]),
                stoi=_mean([score.stoi for score in group]),
                log_spectral_distance_db=_mean([score.log_spectral_distance_db for score in group]),
                encode_realtime=seconds / sum(score.seconds / score.encode_realtime for score in group),
                decode_realtime=seconds / sum(score.seconds / score.decode_realtime for score in group),
            )
        )
    return summaries


def _score(model: LoadedPackage, name: str, audio: Audio, bitrate_kbps: float) -> ClipScore:
    started = time.perf_counter()
    container = compress(model, audio, bitrate_kbps=bitrate_kbps)
    encoded = time.perf_counter()
    decoded = decompress(model, container)
    finished = time.perf_counter()
    measured = measure(torch.from_numpy(decoded.samples), torch.from_numpy(audio.samples), audio.sample_rate)
    return ClipScore(
        clip=name,
        bitrate_kbps=bitrate_kbps,
        measured_kbps=len(container) * 8 / audio.seconds / 1000,
        seconds=audio.seconds,
        encode_realtime=audio.seconds / (encoded - started),
        decode_realtime=audio.seconds / (finished - encoded),
        **measured.scores,
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
