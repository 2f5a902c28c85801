"""Scores that other people's programs give: STOI, and the optional PESQ, ViSQOL (`nacre[metrics]`) and DistillMOS.

All are means over channels, so that swapped channels are heard. Where a clip has no score, `UndefinedScore` says why.

Axes: audio, reconstruction [C, T], float in [-1, 1].
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import soxr
import torch
from torch import Tensor

from codec.errors import MissingToolError

PESQ_RATE = 16_000
SPEECH_RATE = 16_000
AUDIO_RATE = 48_000
INSTALL = "pip install 'nacre[metrics]'"
INSTALL_DISTILLMOS = "pip install --no-deps distillmos xls-r-sqa"
VISQOL = ("visqol", "visqol_speech", "visqol_audio")


class UndefinedScore(Exception):  # noqa: N818  # no error: a clip may be silent
    """A metric has no value for this clip; the message is the reason."""


def installed(name: str) -> bool:
    """Tell whether what metric `name` needs is installed.

    Raises:
        MissingToolError: ViSQOL is there without its lattice; without it, it would quietly score by another scale.
    """
    if name in ("pesq", "distillmos"):
        return find_spec(name) is not None
    if name in VISQOL and find_spec("visqol") is None:
        return False
    if name in VISQOL and find_spec("ai_edge_litert") is None:
        raise MissingToolError(f"visqol is installed without its extra lattice, which its scores need: {INSTALL}")
    return True


def stoi(reconstruction: Tensor, audio: Tensor, sample_rate: int) -> float:
    """Return the short-time objective intelligibility: higher is better, 0 to 1, good speech is above 0.9.

    Source: Taal et al. 2011, by pystoi. Bad at: music, and timbre, which it ignores.

    Raises:
        UndefinedScore: The original is silent, or has under about 0.4 s of non-silence.
    """
    from pystoi import stoi as pystoi_stoi  # SciPy comes with it; slow to import

    def score(got: np.ndarray, wanted: np.ndarray) -> float:
        try:
            return float(pystoi_stoi(wanted, got, sample_rate))
        except (RuntimeWarning, ValueError):
            raise UndefinedScore("under 0.4 s of the original are no silence") from None

    return _mean_over_channels(score, reconstruction, audio)


def pesq(reconstruction: Tensor, audio: Tensor, sample_rate: int) -> float:
    """Return the wide-band PESQ: higher is better, 1.04 to 4.64, speech codecs of 3 to 12 kbps lie near 2 to 3.6.

    Source: ITU-T P.862.2, by pesq; other rates than 16 kHz are resampled. Bad at: music, anything above 8 kHz, and
    neural codecs that resynthesise, which it underrates.

    Raises:
        UndefinedScore: A signal is shorter than a quarter of a second, silent, or without pauses to find speech by.
    """
    from pesq import BufferTooShortError, NoUtterancesError
    from pesq import pesq as pesq_pesq

    def score(got: np.ndarray, wanted: np.ndarray) -> float:
        try:
            return float(pesq_pesq(PESQ_RATE, wanted, got, "wb"))
        except BufferTooShortError:
            raise UndefinedScore("the clip is shorter than a quarter of a second") from None
        except NoUtterancesError:
            raise UndefinedScore("it finds no speech in the clip or in its reconstruction") from None

    return _mean_over_channels(score, *_resampled(reconstruction, audio, sample_rate, PESQ_RATE))


def visqol(reconstruction: Tensor, audio: Tensor, sample_rate: int) -> float:
    """Return ViSQOL's MOS-LQO in speech mode up to 16 kHz, in audio mode above.

    Raises:
        UndefinedScore: As `visqol_in_mode`.
    """
    return visqol_in_mode(reconstruction, audio, sample_rate, speech=sample_rate <= SPEECH_RATE)


def visqol_in_mode(reconstruction: Tensor, audio: Tensor, sample_rate: int, *, speech: bool) -> float:
    """Return ViSQOL's MOS-LQO: higher is better, 1 to 5; in speech mode at 16 kHz, or in audio mode at 48 kHz.

    Source: Chinen et al. 2020 (arXiv 2004.09584), by visqol-python, in speech mode with the lattice as the original
    has it. Bad at: stereo, of which it knows nothing. It costs 3% of the audio's duration with numba, half
    of it without.

    Raises:
        UndefinedScore: The clip is too short for its patches, or a signal is silent.
    """
    program = _visqol_program(speech)
    rate = SPEECH_RATE if speech else AUDIO_RATE

    def score(got: np.ndarray, wanted: np.ndarray) -> float:
        try:
            result = program.measure_from_arrays(wanted.astype(np.float64), got.astype(np.float64), rate)
        except (IndexError, ValueError):
            raise UndefinedScore("the clip is too short") from None
        return float(result.moslqo)

    return _mean_over_channels(score, *_resampled(reconstruction, audio, sample_rate, rate))


def distillmos(reconstruction: Tensor, audio: Tensor, sample_rate: int) -> float:
    """Return DistillMOS's opinion of the reconstruction alone: higher is better, 1 to 5, clean speech is near 4.5.

    Source: Stahl and Gamper 2025 (arXiv 2502.05356), by distillmos, at 16 kHz. Bad at: fidelity, for it never hears
    the original: another voice or other words may score well. Speech only.

    Raises:
        UndefinedScore: A signal is silent.
    """
    model = _distillmos_model()

    def score(got: np.ndarray, wanted: np.ndarray) -> float:
        with torch.inference_mode():
            return float(model(torch.from_numpy(np.ascontiguousarray(got, dtype=np.float32))[None]))

    return _mean_over_channels(score, *_resampled(reconstruction, audio, sample_rate, SPEECH_RATE))


@cache
def _distillmos_model() -> Any:
    """Return the model.

    Its package imports torchaudio, for a command that we don't use and which wants CUDA's libraries; an empty module
    stands in for it meanwhile. It also prints where its weights lie.
    """
    is_absent = "torchaudio" not in sys.modules
    if is_absent:
        sys.modules["torchaudio"] = ModuleType("torchaudio")
    try:
        from distillmos import ConvTransformerSQAModel
    finally:
        if is_absent:
            del sys.modules["torchaudio"]
    with redirect_stdout(io.StringIO()):
        return ConvTransformerSQAModel().eval()


@cache
def _visqol_program(speech: bool) -> Any:
    """Return visqol-python, loaded with its model."""
    from visqol import VisqolApi

    program = VisqolApi()
    program.create(mode="speech" if speech else "audio", use_lattice_model=speech)
    return program


def _mean_over_channels(score: Callable[[np.ndarray, np.ndarray], float], *signals: Tensor | np.ndarray) -> float:
    """Return the mean of `score` of each channel of (reconstruction, audio); numeric warnings make it undefined."""
    scores = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for got, wanted in zip(*(np.asarray(signal) for signal in signals), strict=True):
            if not wanted.any():
                raise UndefinedScore("the original is silent")
            if not got.any():
                raise UndefinedScore("the reconstruction is silent")
            try:
                scores.append(score(got, wanted))
            except RuntimeWarning as warning:
                raise UndefinedScore(str(warning)) from None
    return float(np.mean(scores))


def _resampled(
    reconstruction: Tensor, audio: Tensor, sample_rate: int, target_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return both signals [C, T] at another rate."""

    def resample(signal: Tensor) -> np.ndarray:
        resampled: np.ndarray = soxr.resample(signal.numpy().T, sample_rate, target_rate).T
        return resampled

    if sample_rate == target_rate:
        return reconstruction.numpy(), audio.numpy()
    return resample(reconstruction), resample(audio)
