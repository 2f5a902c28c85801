"""BD-rate: how much more or less bitrate a codec needs for the same quality as another, with an interval over clips.

Sources:
 - Bjøntegaard, VCEG-M33, 2001, on log bitrate. Deviation: not a polynomial of third order but PCHIP, as in the common
   test conditions of HEVC and VVC (JCTVC-L1100, JVET-T2010). It never overshoots, and takes 2 points or more.
 - PCHIP: Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5 (2), 1984, with SciPy's ends.
 - Percentile bootstrap, as in training/evaluation/statistics.py. Each resample draws clips once for both curves: clips
   differ far more than codecs do.

Axes: operating points [P], clips [N], resamples [R].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from training.evaluation.scores import Score
from training.evaluation.statistics import CONFIDENCE, ClipKey, by_bitrate, clip_key, values_by_clip

# Losing this share of a curve's range of quality at a higher bitrate counts as noise; losing more, as no curve.
DIP_TOLERANCE = 0.05
# Each takes two curves, so they are fewer than for means.
RESAMPLES = 1_000
# Where more of the resamples than this have no BD-rate, the clips say too little for an interval.
MAX_UNDEFINED = 0.05

# (kbps, quality)
RatePoint = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class RateSaving:
    """The BD-rate: by how many percent bitrate changes at equal quality, negative where bits are saved.

    It is averaged over the range of quality from `quality_low` to `quality_high` that both curves reach, which is the
    share `overlap` of the range that either reaches: a number from a small share says little. Where there is no such
    number, all are None and `reason` says why. `low` and `high` are the ends of its interval over clips, None where
    clips are too few or too much at odds to give one.
    """

    percent: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    quality_low: float | None = None
    quality_high: float | None = None
    overlap: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """One codec's operating points over the same clips: bytes and quality [P, N], seconds [N]."""

    num_bytes: np.ndarray
    quality: np.ndarray
    seconds: np.ndarray

    def over(self, counts: np.ndarray) -> list[list[RatePoint]]:
        """Return the curve of each resample, of which `counts` [R, N] says how often it has each clip."""
        kbps = counts @ self.num_bytes.T * 8 / 1000 / (counts @ self.seconds)[:, None]
        quality = counts @ self.quality.T / counts.sum(1)[:, None]
        return [list(zip(*pair, strict=True)) for pair in zip(kbps.tolist(), quality.tolist(), strict=True)]


def rate_saving(
    reference: Sequence[Score], test: Sequence[Score], metric: str, *, higher_is_better: bool = True, seed: int = 0
) -> RateSaving:
    """Return the BD-rate of one codec against another, by `metric` over measured kbps, with its 95% interval.

    Only clips whose metric is defined at every operating point of both count: all points stand for the same audio.

    Raises:
        DataError: An operating point has a clip twice.
    """
    clips = sorted(_defined(reference, metric) & _defined(test, metric))
    if not clips:
        return RateSaving(percent=None, reason="no clip has a value at every operating point of both")
    curves = [_curve(scores, metric, clips) for scores in (reference, test)]
    (one,), (other,) = (curve.over(np.ones((1, len(clips)))) for curve in curves)
    saving = bd_rate(one, other, higher_is_better=higher_is_better)
    if saving.percent is None or len(clips) < 2:
        return saving
    low, high = _interval(curves, higher_is_better, seed)
    return replace(saving, low=low, high=high)


def bd_rate(reference: Sequence[RatePoint], test: Sequence[RatePoint], *, higher_is_better: bool = True) -> RateSaving:
    """Return how bitrate changes from `reference` to `test` at equal quality; points may come in any order.

    A point that costs more than another and is no better, within tolerance, is left out: nobody would choose it.
    """
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
        pchip_integral([quality for _, quality in curve], [math.log(kbps) for kbps, _ in curve], low, high)
        for curve in curves
    ]
    whole = max(curve[-1][1] for curve in curves) - min(curve[0][1] for curve in curves)
    return RateSaving(
        percent=100 * math.expm1((costs[1] - costs[0]) / (high - low)),
        quality_low=low if higher_is_better else -high,
        quality_high=high if higher_is_better else -low,
        overlap=(high - low) / whole,
    )


def pchip_integral(x: Sequence[float], y: Sequence[float], low: float, high: float) -> float:
    """Integrate the PCHIP through two points or more, of which both coordinates rise, from `low` to `high` within them.

    SciPy's is the same, and ten times slower on so few points.
    """
    steps = [after - before for before, after in pairwise(x)]
    slopes = [(y[k + 1] - y[k]) / step for k, step in enumerate(steps)]
    tangents = _tangents(steps, slopes)
    area = 0.0
    for k, (step, slope) in enumerate(zip(steps, slopes, strict=True)):
        start, end = (min(max(edge - x[k], 0.0), step) for edge in (low, high))
        before, after = tangents[k], tangents[k + 1]
        square = (3 * slope - 2 * before - after) / step
        cube = (before + after - 2 * slope) / step**2
        for sign, at in ((1, end), (-1, start)):
            area += sign * at * (y[k] + at * (before / 2 + at * (square / 3 + at * cube / 4)))
    return area


def _tangents(steps: Sequence[float], slopes: Sequence[float]) -> list[float]:
    """Return PCHIP's derivative at each point of a curve that rises."""
    if len(steps) == 1:
        return [slopes[0]] * 2
    inner = []
    for k in range(1, len(steps)):
        left, right = 2 * steps[k] + steps[k - 1], steps[k] + 2 * steps[k - 1]
        inner.append((left + right) / (left / slopes[k - 1] + right / slopes[k]))
    return [_end(steps, slopes), *inner, _end(steps[::-1], slopes[::-1])]


def _end(steps: Sequence[float], slopes: Sequence[float]) -> float:
    """Return the derivative at the first point: three points' parabola, as long as it rises."""
    return max(0.0, ((2 * steps[0] + steps[1]) * slopes[0] - steps[0] * slopes[1]) / (steps[0] + steps[1]))


def _defined(scores: Sequence[Score], metric: str) -> set[ClipKey]:
    """Return the clips whose metric is defined at every operating point."""
    points = [values_by_clip(group, metric) for group in by_bitrate(scores).values()]
    finite = [{clip for clip, value in values.items() if math.isfinite(value)} for values in points]
    return set.intersection(*finite) if finite else set()


def _curve(scores: Sequence[Score], metric: str, clips: Sequence[ClipKey]) -> _Curve:
    points = [{clip_key(score): score for score in group} for group in by_bitrate(scores).values()]
    return _Curve(
        num_bytes=np.array([[point[clip].num_bytes for clip in clips] for point in points], dtype=np.float64),
        quality=np.array([[point[clip].metrics[metric] for clip in clips] for point in points]),
        seconds=np.array([points[0][clip].clip.seconds for clip in clips]),
    )


def _interval(curves: Sequence[_Curve], higher_is_better: bool, seed: int) -> tuple[float | None, float | None]:
    """Return the ends of the bootstrap interval, None where too many resamples have no BD-rate."""
    count = len(curves[0].seconds)
    draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=RESAMPLES).astype(np.float64)
    pairs = zip(*(curve.over(draws) for curve in curves), strict=True)
    found = [bd_rate(one, other, higher_is_better=higher_is_better).percent for one, other in pairs]
    known = [percent for percent in found if percent is not None]
    if len(known) < (1 - MAX_UNDEFINED) * RESAMPLES:
        return None, None
    low, high = np.quantile(known, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)


def _rising(points: Sequence[RatePoint], sign: int) -> list[RatePoint] | str:
    """Return (kbps, sign * quality), both strictly rising, or what is wrong with the curve."""
    if bad := [kbps for kbps, _ in points if not 0 < kbps < math.inf]:
        return f"has a bitrate of {bad[0]:g} kbps"
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
