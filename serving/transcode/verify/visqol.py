"""ViSQOL's MOS-LQO (Chinen et al. 2020, arXiv 2004.09584) by visqol-python, of the optional extra `metrics`.

As in evaluations: up to 16 kHz in speech mode, at 16 kHz and with the lattice; above in audio mode, at 48 kHz. It knows
nothing of stereo: what counts is the mean of the channels, each for itself.

Axes: original, decoded [C, T], float in [-1, 1].
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from codec.errors import MissingToolError

SPEECH_RATE = 16_000
AUDIO_RATE = 48_000
LOWEST = 1.0
INSTALL = "pip install 'nacre[metrics]'"


def check_installed() -> None:
    """Check that ViSQOL can be measured.

    Raises:
        MissingToolError: It or its lattice is not there; without the lattice it would quietly score by another scale.
    """
    if find_spec("visqol") is None:
        raise MissingToolError(f"ViSQOL is not installed: {INSTALL}")
    if find_spec("ai_edge_litert") is None:
        raise MissingToolError(f"visqol is installed without its extra lattice, which its scores need: {INSTALL}")


def visqol(original: NDArray[np.float32], decoded: NDArray[np.float32], sample_rate: int) -> float | str:
    """Return the MOS-LQO, 1 to 5, higher is better; or why there is none: the audio is silent, or too short."""
    speech = sample_rate <= SPEECH_RATE
    rate = SPEECH_RATE if speech else AUDIO_RATE
    program = _program(speech)
    scores = []
    for wanted, got in zip(
        _resampled(original, sample_rate, rate), _resampled(decoded, sample_rate, rate), strict=True
    ):
        if not wanted.any():
            continue
        if not got.any():
            scores.append(LOWEST)
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                scores.append(float(program.measure_from_arrays(wanted, got, rate).moslqo))
        except (IndexError, ValueError):
            return "it is too short for ViSQOL"
        except RuntimeWarning:
            return "ViSQOL finds nothing to compare"
    return float(np.mean(scores)) if scores else "it is silent"


def _resampled(signal: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float64]:
    samples = signal if from_hz == to_hz else soxr.resample(np.ascontiguousarray(signal.T), from_hz, to_hz).T
    return np.ascontiguousarray(samples, np.float64)


@cache
def _program(speech: bool) -> Any:
    """Return visqol-python, loaded with its model."""
    from visqol import VisqolApi

    program = VisqolApi()
    with _quiet():
        program.create(mode="speech" if speech else "audio", use_lattice_model=speech)
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Let nothing through to stderr, where its library speaks past Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
