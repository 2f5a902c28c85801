"""Statistics of scores: means with intervals, paired comparisons, and families of them.

Clips are what is sampled: every interval here says how far another choice of clips could have moved the mean, nothing
about listeners or training seeds. Comparisons are paired by clip, since clips differ far more than codecs do.

Sources:
 - Percentile bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. It is too narrow for
   few values: of 95% intervals over 10 normal values about 90% hold the mean, over 20 about 93%.
 - Signed ranks: Wilcoxon, Biometrics Bulletin 1 (6), 1945, by SciPy; differences of zero are left out, as there.
 - Families: Holm, Scandinavian Journal of Statistics 6 (2), 1979.

Values that are not finite are undefined: left out, and counted.

Axes: values [N], resamples [R, N].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codec.errors import DataError
from training.evaluation.scores import Score

CONFIDENCE = 0.95
RESAMPLES = 10_000
# Indices drawn at once: bounds the bootstrap's memory, whatever the number of clips.
DRAWN_AT_ONCE = 1 << 20

ClipKey = tuple[str, float, int, int]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean of `count` values and its interval; `left_out` further values were undefined.

    Without values the mean is NaN; with fewer than two nothing is known of their spread, and the ends are NaN.
    """

    mean: float
    low: float
    high: float
    count: int
    left_out: int
    confidence: float


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """The mean of first minus second over the same clips, and the p-value of there being no difference.

    Without a pair the p-value is NaN; where all differences are zero it is 1.
    """

    difference: Estimate
    p_value: float


def estimate_mean(values: Sequence[float], *, confidence: float = CONFIDENCE, seed: int = 0) -> Estimate:
    """Return the mean and its percentile bootstrap interval; equal values and seed give equal intervals."""
    assert 0 < confidence < 1
    given = np.asarray(values, dtype=np.float64)
    known = given[np.isfinite(given)]
    low = high = math.nan
    if len(known) > 1:
        tail = (1 - confidence) / 2
        low, high = (float(end) for end in np.quantile(_resampled_means(known, seed), (tail, 1 - tail)))
    return Estimate(
        mean=float(known.mean()) if len(known) else math.nan,
        low=low,
        high=high,
        count=len(known),
        left_out=len(given) - len(known),
        confidence=confidence,
    )


def compare_paired(
    first: Sequence[float], second: Sequence[float], *, confidence: float = CONFIDENCE, seed: int = 0
) -> PairedComparison:
    """Compare values of the same clips in the same order; a pair of which either is undefined is left out."""
    assert len(first) == len(second)
    finite = [(one, other) for one, other in zip(first, second, strict=True) if math.isfinite(one + other)]
    differences = [one - other for one, other in finite] + [math.nan] * (len(first) - len(finite))
    difference = estimate_mean(differences, confidence=confidence, seed=seed)
    return PairedComparison(difference=difference, p_value=signed_rank_p(differences))


def compare_points(
    first: Sequence[Score], second: Sequence[Score], metric: str, *, confidence: float = CONFIDENCE, seed: int = 0
) -> PairedComparison:
    """Compare two operating points by `metric`; clips that only one of them has are left out, and counted.

    Raises:
        DataError: They have no clip in common, or one has a clip twice.
    """
    left, right = values_by_clip(first, metric), values_by_clip(second, metric)
    if not left.keys() & right.keys():
        raise DataError("the two operating points have no clip in common: evaluate both on the same clips")
    clips = sorted(left.keys() | right.keys())
    values = [[side.get(clip, math.nan) for clip in clips] for side in (left, right)]
    return compare_paired(values[0], values[1], confidence=confidence, seed=seed)


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, exact for few differences; NaN without any."""
    from scipy.stats import wilcoxon  # slow to import

    known = np.asarray([value for value in differences if math.isfinite(value)])
    if not len(known):
        return math.nan
    changed = known[known != 0]
    return float(wilcoxon(changed).pvalue) if len(changed) else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values, in their order, adjusted for being a family: each may be compared with the same level.

    Undefined p-values stay undefined and don't count as members.
    """
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def by_bitrate(scores: Sequence[Score]) -> dict[float | None, list[Score]]:
    """Return the scores of each nominal bitrate, lowest first; those without one come last."""
    rates = sorted({score.bitrate_kbps for score in scores}, key=lambda rate: math.inf if rate is None else rate)
    return {rate: [score for score in scores if score.bitrate_kbps == rate] for rate in rates}


def values_by_clip(scores: Sequence[Score], metric: str) -> dict[ClipKey, float]:
    """Return one operating point's values of `metric` by clip, NaN where it is undefined.

    Raises:
        DataError: A clip is there twice.
    """
    values: dict[ClipKey, float] = {}
    for score in scores:
        key = clip_key(score)
        if key in values:
            raise DataError(f"clip '{score.clip.name}' is scored twice at '{score.point}': keep one of the scores")
        values[key] = _value(score.metrics, metric)
    return values


def clip_key(score: Score) -> ClipKey:
    """Return what tells clips apart; a clip of the same name and another length is another clip."""
    clip = score.clip
    return (clip.name, clip.seconds, clip.sample_rate, clip.channels)


def _value(metrics: Mapping[str, float], metric: str) -> float:
    value = metrics.get(metric, math.nan)
    return value if math.isfinite(value) else math.nan


def _resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """Return the means [R] of resamples with replacement."""
    rng = np.random.default_rng(seed)
    rows = max(1, DRAWN_AT_ONCE // len(values))
    sizes = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    return np.concatenate([values[rng.integers(len(values), size=(size, len(values)))].mean(1) for size in sizes])
