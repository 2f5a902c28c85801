"""What a heap of audio is like: its level, bandwidth, silence, sample rates and long-term spectrum, free of language.

Measured on samples as decoded, at the codec's rate, of at most 200 files evenly spread and 30 s of each; the mean over
files counts each file once. Axes: audio [C, T].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.audio import Audio, read_audio, resample
from codec.errors import AudioError, DataError

MAX_FILES = 200
MAX_SECONDS = 30.0
FRAME = 1024
# Below the loudest frame of a file, and in any case.
SILENCE_DB = -40.0
FLOOR_DB = -70.0
# The band ends where the spectrum is this far under its loudest.
BAND_END_DB = -60.0
BANDS = 24
EPSILON = 1e-12


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The means over files.

    Attributes:
        files: How many were measured.
        level_dbfs: RMS of the frames that are not silent.
        silence_share: The share of frames that are.
        bandwidth_khz: Where the long-term spectrum ends, 60 dB under its loudest.
        low_rate_share: The share of files whose own rate is below the codec's.
        spectrum_db: The long-term spectrum in 24 bands of equal width on the mel scale, relative to its mean.
    """

    files: int
    level_dbfs: float
    silence_share: float
    bandwidth_khz: float
    low_rate_share: float
    spectrum_db: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` can write."""
        return asdict(self)


def survey(paths: Sequence[Path], sample_rate: int) -> Survey:
    """Measure files for a codec of `sample_rate`; what can't be decoded or is silent is passed over.

    Raises:
        DataError: There is no file left.
    """
    chosen = paths[:: max(1, len(paths) // MAX_FILES)][:MAX_FILES]
    found = [one for path in chosen if (one := _measure(path, sample_rate)) is not None]
    if not found:
        raise DataError(f"none of {len(paths)} files has sound that can be measured")
    rows = np.array([[one.level_dbfs, one.silence_share, one.bandwidth_khz, one.low_rate_share] for one in found])
    level, silence, bandwidth, low = rows.mean(0).tolist()
    spectrum = np.array([one.spectrum_db for one in found]).mean(0)
    return Survey(
        files=len(found),
        level_dbfs=level,
        silence_share=silence,
        bandwidth_khz=bandwidth,
        low_rate_share=low,
        spectrum_db=tuple(spectrum.tolist()),
    )


def spectral_distance_db(one: Survey, other: Survey) -> float:
    """Return the root mean square difference of two long-term spectra, whatever their levels."""
    difference = np.subtract(one.spectrum_db, other.spectrum_db)
    return float(np.sqrt(np.square(difference).mean()))


def _measure(path: Path, sample_rate: int) -> Survey | None:
    try:
        audio = read_audio(path)
    except AudioError:
        return None
    cut = Audio(samples=audio.samples[:, : int(MAX_SECONDS * audio.sample_rate)], sample_rate=audio.sample_rate)
    samples = resample(cut, sample_rate).samples.mean(0, dtype=np.float64)
    frames = _frames(samples)
    levels = 10 * np.log10(np.square(frames).mean(1) + EPSILON)
    sounding = levels > max(levels.max() + SILENCE_DB, FLOOR_DB)
    if not sounding.any():
        return None
    power = np.square(np.abs(np.fft.rfft(frames[sounding] * np.hanning(FRAME), axis=1))).mean(0)
    decibels = 10 * np.log10(power + EPSILON)
    end = np.flatnonzero(decibels > decibels.max() + BAND_END_DB)[-1]
    bands = _bands(power, sample_rate)
    return Survey(
        files=1,
        level_dbfs=float(10 * np.log10(np.square(frames[sounding]).mean() + EPSILON)),
        silence_share=float(1 - sounding.mean()),
        bandwidth_khz=float(end * sample_rate / FRAME / 1000),
        low_rate_share=float(audio.sample_rate < sample_rate),
        spectrum_db=tuple((bands - bands.mean()).tolist()),
    )


def _frames(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut [T] into frames [N, FRAME], the last filled up with zeros."""
    count = -(-len(samples) // FRAME)
    return np.pad(samples, (0, count * FRAME - len(samples))).reshape(count, FRAME)


def _bands(power: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Return the level in dB of each band of a power spectrum [FRAME / 2 + 1]."""
    mel = 1127 * np.log1p(np.arange(len(power)) * sample_rate / FRAME / 700)
    band = np.minimum((mel / mel[-1] * BANDS).astype(int), BANDS - 1)
    sums = np.bincount(band, weights=power, minlength=BANDS)
    counts = np.bincount(band, minlength=BANDS)
    levels = np.interp(np.arange(BANDS), np.flatnonzero(counts), (sums[counts > 0] / counts[counts > 0]))
    loudest = levels.max()
    return np.asarray(10 * np.log10(np.maximum(levels, loudest * 1e-8) + EPSILON))
