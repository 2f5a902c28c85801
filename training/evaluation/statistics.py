"""Statistics of scores: means with intervals, paired comparisons, families of them, and rate savings between curves.

Clips are what is sampled: every interval here says how far another choice of clips could have moved the mean, nothing
about listeners or training seeds. Comparisons are paired by clip, since clips differ far more than codecs do.

Sources:
 - Percentile bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. It is too narrow for
   few values: of 95% intervals over 10 normal values about 90% hold the mean, over 20 about 93%.
 - Signed ranks: Wilcoxon, Biometrics Bulletin 1 (6), 1945, by SciPy; differences of zero are left out, as there.
 - Families: Holm, Scandinavian Journal of Statistics 6 (2), 1979.
 - BD-rate: Bjøntegaard, VCEG-M33, 2001, on log bitrate. Deviation: not a polynomial of third order but PCHIP, as in the
   common test conditions of HEVC and VVC (JCTVC-L1100, JVET-T2010). It never overshoots, and takes 2 points or more.

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
# Losing this share of a curve's range of quality at a higher bitrate counts as noise; losing more, as no curve.
DIP_TOLERANCE = 0.05

ClipKey = tuple[str, float, int, int]
# (kbps, quality)
RatePoint = tuple[float, float]


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


@dataclass(frozen=True, kw_only=True)
class RateSaving:
    """The BD-rate: by how many percent bitrate changes at equal quality, negative where bits are saved.

    It is averaged over the range of quality from `quality_low` to `quality_high` that both curves reach, which is the
    share `overlap` of the range that either reaches: a number from a small share says little. Where there is no such
    number, all are None and `reason` says why.
    """

    percent: float | None
    reason: str = ""
    quality_low: float | None = None
    quality_high: float | None = None
    overlap: float | None = None


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


def rate_curve(scores: Sequence[Score], metric: str) -> list[RatePoint]:
    """Return one codec's curve: for each of its operating points the measured kbps and the mean of `metric`.

    Only clips whose metric is defined at every operating point count, so that all points stand for the same audio.

    Raises:
        DataError: An operating point has a clip twice.
    """
    points = list(by_bitrate(scores).values())
    defined = [
        {clip for clip, value in values_by_clip(group, metric).items() if math.isfinite(value)} for group in points
    ]
    shared = set.intersection(*defined) if defined else set()
    curve = []
    for group in points:
        counted = [score for score in group if clip_key(score) in shared]
        if counted:
            kbps = sum(score.num_bytes for score in counted) * 8 / 1000 / sum(score.clip.seconds for score in counted)
            curve.append((kbps, sum(score.metrics[metric] for score in counted) / len(counted)))
    return curve


def bd_rate(reference: Sequence[RatePoint], test: Sequence[RatePoint], *, higher_is_better: bool = True) -> RateSaving:
    """Return how bitrate changes from `reference` to `test` at equal quality; points may come in any order.

    A point that costs more than another and is no better, within tolerance, is left out: nobody would choose it.

    Raises:
        DataError: A bitrate is not above zero.
    """
    from scipy.interpolate import PchipInterpolator  # slow to import

    curves = []
    for name, points in (("reference", reference), ("test", test)):
        curve = _rising(points, 1 if higher_is_better else -1)
        if isinstance(curve, str):
            return RateSaving(percent=None, reason=f"the {name} curve {curve}")
        curves.append(curve)
    low, high = max(curve[0][1] for curve in curves), min(curve[-1][1] for curve in curves)
    if not low < high:
        return RateSaving(percent=None, reason="the curves reach no common range of quality")
    costs = [
        PchipInterpolator([quality for _, quality in curve], [math.log(kbps) for kbps, _ in curve]).integrate(low, high)
        for curve in curves
    ]
    whole = max(curve[-1][1] for curve in curves) - min(curve[0][1] for curve in curves)
    return RateSaving(
        percent=100 * math.expm1((float(costs[1]) - float(costs[0])) / (high - low)),
        quality_low=low if higher_is_better else -high,
        quality_high=high if higher_is_better else -low,
        overlap=(high - low) / whole,
    )


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


def _rising(points: Sequence[RatePoint], sign: int) -> list[RatePoint] | str:
    """Return (kbps, sign * quality), both strictly rising, or what is wrong with the curve.

    Raises:
        DataError: A bitrate is not above zero.
    """
    if bad := [kbps for kbps, _ in points if not 0 < kbps < math.inf]:
        raise DataError(f"a bitrate is {bad[0]:g} kbps but must be above 0")
    curve = sorted((kbps, sign * quality) for kbps, quality in points if math.isfinite(quality))
    if len({kbps for kbps, _ in curve}) < len(curve):
        return "has two points at one bitrate"
    if len(curve) < 2:
        return f"has {len(curve)} defined point(s), but needs 2"
    qualities = [quality for _, quality in curve]
    tolerated = DIP_TOLERANCE * (max(qualities) - min(qualities))
    rising = curve[:1]
    for kbps, quality in curve[1:]:
        best = rising[-1][1]
        if quality > best:
            rising.append((kbps, quality))
        elif best - quality > tolerated:
            return f"gets worse from {rising[-1][0]:g} to {kbps:g} kbps"
    return rising if len(rising) > 1 else "is no better at any higher bitrate"
