"""The clips at which our codecs do worst by each metric, and what they sound and look like.

Sound and pictures go into the page itself, so only so much of them: the worst first, until a budget is spent.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from codec.audio import Audio, audio_bytes
from training.evaluation.metric_table import metric_info
from training.evaluation.report.plots import spectrogram_png
from training.evaluation.report.summary import Point, Summary, judging, value_of
from training.evaluation.scores import Clip, Score
from training.evaluation.statistics import ClipKey, clip_key

WORST = 3
LISTEN_SECONDS = 20.0
BUDGET_BYTES = 16 << 20


class AudioSource(Protocol):
    """Where a report gets sound from."""

    def __call__(self, clip: str, point: str) -> tuple[Audio, Audio] | None:
        """Return the original and the reconstruction of a clip at an operating point ('opus 12'), None if not kept."""


@dataclass(frozen=True, kw_only=True)
class Worst:
    """A clip that is among the worst of an operating point by a metric; rank 1 is the worst."""

    point: Point
    metric: str
    rank: int
    score: Score
    value: float


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A signal as data URIs, to hear and to see."""

    name: str
    flac: str
    spectrogram: str
    found: tuple[Worst, ...] = ()

    @property
    def size(self) -> int:
        """Return how many bytes it takes in the page."""
        return len(self.flac) + len(self.spectrogram)


@dataclass(frozen=True, kw_only=True)
class Card:
    """A clip to listen to: its original, and the reconstructions that are among the worst."""

    clip: Clip
    original: Sound
    reconstructions: tuple[Sound, ...]


def find_worst(summary: Summary) -> list[Worst]:
    """Return the `WORST` clips of each of our operating points by each metric, in the order of the summary."""
    found = []
    for point in (point for codec in summary.ours for point in summary.lossy(codec)):
        for metric in judging(summary.metrics):
            sign = 1 if metric_info(metric).better == "higher" else -1
            known = [(value, score) for score in point.scores if (value := value_of(score, metric)) == value]
            known.sort(key=lambda pair: (sign * pair[0], clip_key(pair[1])))
            found += [
                Worst(point=point, metric=metric, rank=rank, score=score, value=value)
                for rank, (value, score) in enumerate(known[:WORST], start=1)
            ]
    return found


def make_cards(worst: Sequence[Worst], audio: AudioSource) -> list[Card]:
    """Return the clips to listen to, those of rank 1 first, as many as `BUDGET_BYTES` take."""
    originals: dict[ClipKey, Sound] = {}
    sounds: dict[ClipKey, list[Sound]] = {}
    clips: dict[ClipKey, Clip] = {}
    spent = 0
    for key, found in _by_reconstruction(worst).items():
        score = found[0].score
        pair = audio(score.clip.name, score.point)
        if pair is None:
            continue
        new = [] if key[0] in originals else [_sound("original", pair[0])]
        reconstruction = _sound(score.point, pair[1], tuple(found))
        spent += sum(sound.size for sound in (*new, reconstruction))
        if spent > BUDGET_BYTES:
            break
        for original in new:
            originals[key[0]], clips[key[0]] = original, score.clip
        sounds.setdefault(key[0], []).append(reconstruction)
    return [
        Card(clip=clips[key], original=originals[key], reconstructions=tuple(found)) for key, found in sounds.items()
    ]


def _by_reconstruction(worst: Sequence[Worst]) -> dict[tuple[ClipKey, str], list[Worst]]:
    """Return what was found of each reconstruction, the worst first, all operating points in turn."""
    found: dict[tuple[ClipKey, str], list[Worst]] = {}
    metrics = list(dict.fromkeys(one.metric for one in worst))
    for one in sorted(worst, key=lambda one: (one.rank, metrics.index(one.metric))):
        found.setdefault((clip_key(one.score), one.score.point), []).append(one)
    return found


def _sound(name: str, audio: Audio, found: tuple[Worst, ...] = ()) -> Sound:
    samples = np.clip(audio.samples[:, : int(LISTEN_SECONDS * audio.sample_rate)], -1, 1)
    heard = Audio(samples=samples, sample_rate=audio.sample_rate)
    flac = _data_uri("audio/flac", audio_bytes(heard, "flac", "PCM_16"))
    return Sound(name=name, flac=flac, spectrogram=_data_uri("image/png", spectrogram_png(heard)), found=found)


def _data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
