"""BD-rates: against what is known of simple curves, and their intervals over clips."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from training.evaluation.rate_saving import bd_rate, pchip_integral, rate_saving
from training.evaluation.scores import Clip, Score
from training.evaluation.statistics import estimate_mean

# Opus-like: quality rises by less and less.
CURVE = [(6.0, 2.0), (12.0, 3.0), (24.0, 3.8), (48.0, 4.3)]


def scored(num_bytes, quality, codec="ours"):
    """Return scores of clips of 10 s: `num_bytes` and `quality` by operating point and clip."""
    return [
        Score(
            clip=Clip(name=f"{number}.wav", seconds=10.0, sample_rate=16_000, channels=1),
            codec=codec,
            bitrate_kbps=float(step),
            num_bytes=int(num_bytes[step][number]),
            encode_realtime=10.0,
            decode_realtime=20.0,
            metrics={"pesq": float(quality[step][number])},
        )
        for step in range(len(num_bytes))
        for number in range(len(num_bytes[0]))
    ]


def curves_of(clips, scatter=0.0, seed=0):
    """Return bytes and quality [points, clips] of a rising curve, whose clips differ by `scatter` in quality."""
    rates, means = np.array(CURVE).T
    difficulty = scatter * np.random.default_rng(seed).normal(size=clips)
    return np.repeat(rates[:, None] * 1_250, clips, 1), means[:, None] + difficulty


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.25, 3.0])
def test_bd_rate_of_scaled_bitrates_is_the_scale(factor):
    test = [(kbps * factor, quality) for kbps, quality in reversed(CURVE)]
    got = bd_rate(CURVE, test)
    assert got.percent == pytest.approx(100 * (factor - 1), abs=1e-9)
    assert (got.quality_low, got.quality_high, got.overlap) == (2.0, 4.3, 1.0)


def test_bd_rate_where_lower_is_better():
    distances = [(kbps, 5 - quality) for kbps, quality in CURVE]
    halved = [(kbps / 2, distance) for kbps, distance in distances]
    got = bd_rate(distances, halved, higher_is_better=False)
    assert got.percent == pytest.approx(-50)
    assert (got.quality_low, got.quality_high) == pytest.approx((0.7, 3.0))


def test_bd_rate_of_straight_lines_is_the_mean_over_the_overlap():
    # Quality is log2 of the bitrate, then half a bit more: at equal quality 2^-0.5 of the bits.
    reference = [(2.0**bits, float(bits)) for bits in range(2, 6)]
    test = [(2.0**bits, bits + 0.5) for bits in range(3, 9)]
    got = bd_rate(reference, test)
    assert got.percent == pytest.approx(100 * (2**-0.5 - 1))
    assert (got.quality_low, got.quality_high) == (3.5, 5.0)
    assert got.overlap == pytest.approx(1.5 / 6.5)


def test_bd_rate_there_and_back_cancels():
    other = [(5.0, 1.8), (11.0, 3.1), (30.0, 4.0), (60.0, 4.5)]
    there, back = bd_rate(CURVE, other).percent, bd_rate(other, CURVE).percent
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_bd_rate_takes_two_points():
    assert bd_rate(CURVE[:2], [(3.0, 2.0), (6.0, 3.0)]).percent == pytest.approx(-50)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ([], r"the test curve has 0 defined point\(s\), but needs 2"),
        ([(6.0, 2.0), (12.0, math.nan)], r"the test curve has 1 defined point\(s\)"),
        ([(6.0, 4.4), (12.0, 4.6)], "no common range"),
        ([(6.0, 3.0), (12.0, 2.0), (24.0, 4.0)], "the test curve gets worse from 6 to 12 kbps"),
        ([(6.0, 3.0), (12.0, 3.0)], "no better at any higher bitrate"),
        ([(6.0, 3.0), (6.0, 4.0)], "two points at one bitrate"),
        ([(0.0, 1.0), (6.0, 4.0)], "the test curve has a bitrate of 0 kbps"),
    ],
)
def test_there_is_no_bd_rate_without_two_rising_curves_that_overlap(test, reason):
    got = bd_rate(CURVE, test)
    assert re.search(reason, got.reason)
    assert got.percent is None
    assert got.overlap is None
    assert bd_rate(test, CURVE).percent is None


def test_a_small_dip_is_left_out_of_the_curve():
    dipped = [*CURVE[:3], (36.0, 3.75), CURVE[3]]
    assert bd_rate(CURVE, dipped).percent == pytest.approx(0)


@given(
    st.lists(st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)), min_size=2, max_size=8),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_integral_is_scipy_s(steps, start, end):
    x, y = np.cumsum(steps, axis=0).T
    low, high = sorted(x[0] + share * (x[-1] - x[0]) for share in (start, end))
    wanted = PchipInterpolator(x, y).integrate(low, high)
    assert pchip_integral(list(x), list(y), low, high) == pytest.approx(float(wanted), rel=1e-9, abs=1e-9)


def test_only_clips_that_are_defined_at_every_point_of_both_count():
    num_bytes, quality = curves_of(3)
    ours, theirs = quality.copy(), quality.copy()
    ours[0, 1] = theirs[2, 2] = math.nan
    dearer = num_bytes * [1, 9, 9]  # only the first clip counts
    assert rate_saving(scored(num_bytes, theirs), scored(dearer, ours), "pesq").percent == pytest.approx(0)
    ours[1, 0] = math.nan
    lost = rate_saving(scored(num_bytes, theirs), scored(dearer, ours), "pesq")
    assert (lost.percent, lost.reason) == (None, "no clip has a value at every operating point of both")
    assert rate_saving([], scored(num_bytes, quality), "pesq").percent is None
    assert rate_saving(scored(num_bytes, quality), scored(num_bytes, quality), "stoi").percent is None


def test_what_clips_have_in_common_does_not_widen_the_interval():
    num_bytes, quality = curves_of(20, scatter=0.3)
    got = rate_saving(scored(num_bytes, quality), scored(0.8 * num_bytes, quality), "pesq")
    assert (got.percent, got.low, got.high) == pytest.approx((-20, -20, -20))


def test_the_interval_is_that_of_what_clips_save():
    # All clips sound alike, so that the saving is the mean of theirs.
    num_bytes, quality = curves_of(30)
    factors = np.random.default_rng(1).uniform(0.6, 1.0, 30)
    got = rate_saving(scored(num_bytes, quality), scored(num_bytes * factors, quality), "pesq")
    wanted = estimate_mean(list(100 * (factors - 1)))
    assert got.percent == pytest.approx(wanted.mean, abs=0.1)
    assert (got.low, got.high) == pytest.approx((wanted.low, wanted.high), abs=0.6)
    assert wanted.high - wanted.low > 6
    again = rate_saving(scored(num_bytes, quality), scored(num_bytes * factors, quality), "pesq")
    assert again == got


def test_lower_is_better_turns_the_curve_not_the_interval():
    num_bytes, quality = curves_of(10)
    factors = np.random.default_rng(1).uniform(0.6, 1.0, 10)
    up = rate_saving(scored(num_bytes, quality), scored(num_bytes * factors, quality), "pesq")
    down = rate_saving(
        scored(num_bytes, 5 - quality), scored(num_bytes * factors, 5 - quality), "pesq", higher_is_better=False
    )
    assert (down.percent, down.low, down.high) == pytest.approx((up.percent, up.low, up.high))


def test_a_single_clip_has_no_interval():
    num_bytes, quality = curves_of(1)
    got = rate_saving(scored(num_bytes, quality), scored(0.5 * num_bytes, quality), "pesq")
    assert (got.percent, got.low, got.high) == (pytest.approx(-50), None, None)


@pytest.mark.parametrize("ruin", ["quality", "bytes"])
def test_clips_that_are_at_odds_give_no_interval(ruin):
    num_bytes, quality = curves_of(2)
    ours, spent = quality.copy(), num_bytes.copy()
    if ruin == "quality":  # of a quarter of the resamples, which have the second clip alone, the curve falls
        ours[:, 1] = quality[0, 1] - 0.1 * np.arange(4)
    else:  # or there are no bytes at all
        spent[:, 1] = 0
    got = rate_saving(scored(num_bytes, quality), scored(spent, ours), "pesq")
    assert got.percent is not None
    assert (got.low, got.high) == (None, None)
