import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import DataError
from training.evaluation.scores import Clip, Score
from training.evaluation.statistics import (
    compare_paired,
    compare_points,
    estimate_mean,
    holm,
    signed_rank_p,
)


def score(name="a.wav", bitrate=3.0, seconds=10.0, num_bytes=3750, **metrics):
    return Score(
        clip=Clip(name=name, seconds=seconds, sample_rate=16_000, channels=1),
        codec="nacre",
        bitrate_kbps=bitrate,
        num_bytes=num_bytes,
        encode_realtime=10.0,
        decode_realtime=20.0,
        metrics=metrics,
    )


def test_an_interval_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(1).normal(2.0, 3.0, 400)
    got = estimate_mean(list(values))
    half = 1.96 * values.std() / math.sqrt(400)
    assert got.mean == pytest.approx(values.mean())
    assert (got.low, got.high) == pytest.approx((got.mean - half, got.mean + half), abs=0.02)


def test_of_95_percent_intervals_about_that_many_hold_the_mean():
    rng = np.random.default_rng(2)
    intervals = [estimate_mean(list(rng.normal(1.0, 1.0, 40)), seed=trial) for trial in range(300)]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in intervals])
    assert 0.91 <= covered <= 0.98


def test_the_same_seed_gives_the_same_interval():
    values = [1.0, 5.0, 2.0, 8.0]
    assert estimate_mean(values, seed=3) == estimate_mean(values, seed=3)


def test_a_wider_confidence_gives_a_wider_interval():
    values = list(np.random.default_rng(3).normal(size=30))
    narrow, wide = estimate_mean(values, confidence=0.8), estimate_mean(values, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(("values", "mean", "count"), [([], math.nan, 0), ([4.0], 4.0, 1), ([math.nan, 4.0], 4.0, 1)])
def test_fewer_than_two_values_have_no_interval(values, mean, count):
    got = estimate_mean(values)
    assert got.mean == pytest.approx(mean, nan_ok=True)
    assert got.count == count
    assert math.isnan(got.low)
    assert math.isnan(got.high)


def test_undefined_values_are_left_out_and_counted():
    got = estimate_mean([1.0, math.nan, 3.0, math.inf])
    assert (got.mean, got.count, got.left_out) == (2.0, 2, 2)


def test_many_values_are_resampled_in_parts():
    got = estimate_mean(list(np.linspace(0, 1, 5_000)))
    assert got.low < 0.5 < got.high


def test_a_paired_interval_ignores_what_clips_have_in_common():
    clips = np.random.default_rng(4).normal(0, 100, 25)
    shift = 1 + 0.1 * np.random.default_rng(5).normal(size=25)
    got = compare_paired(list(clips + shift), list(clips))
    assert 0.9 < got.difference.low < got.difference.mean < got.difference.high < 1.1
    assert got.p_value < 1e-6


def test_equal_values_differ_by_nothing():
    got = compare_paired([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (got.difference.mean, got.difference.low, got.difference.high, got.p_value) == (0, 0, 0, 1)


def test_a_pair_with_an_undefined_side_is_left_out():
    got = compare_paired([1.0, math.nan, 3.0, 5.0], [0.0, 1.0, math.nan, 3.0])
    assert (got.difference.mean, got.difference.count, got.difference.left_out) == (1.5, 2, 2)


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        # All of one sign: 2 of the 2^N patterns of signs are as extreme.
        ([0.1, 0.2, 0.3, 0.4, 0.5], 2 / 2**5),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.0, math.nan], 2 / 2**5),
        # Rank sum 1 or less, or as much on the other side: 2 + 2 patterns.
        ([-0.1, 0.2, 0.3, 0.4, 0.5], 4 / 2**5),
        ([0.0, 0.0], 1.0),
        ([], math.nan),
        # Heights of Darwin's cross- and self-fertilised maize, as in SciPy's documentation.
        ([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], 0.041259765625),
    ],
)
def test_signed_ranks_have_their_exact_p_value(differences, p_value):
    assert signed_rank_p(differences) == pytest.approx(p_value, nan_ok=True)


def test_points_are_compared_by_clip_not_by_order():
    first = [score("a", mel=1.0), score("b", mel=2.0), score("c", mel=9.0)]
    second = [score("b", mel=1.5), score("a", mel=0.5), score("d", mel=9.0)]
    got = compare_points(first, second, "mel")
    assert (got.difference.mean, got.difference.count, got.difference.left_out) == (0.5, 2, 2)


def test_a_clip_of_another_length_is_another_clip():
    with pytest.raises(DataError, match="no clip in common"):
        compare_points([score(seconds=1.0, mel=1.0)], [score(seconds=2.0, mel=1.0)], "mel")


def test_a_clip_scored_twice_is_refused():
    with pytest.raises(DataError, match=r"'a\.wav' is scored twice at 'nacre 3'"):
        compare_points([score(mel=1.0)] * 2, [score(mel=1.0)], "mel")


def test_holm_multiplies_the_smallest_by_the_number_of_members():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_undefined_members_out():
    assert holm([math.nan, 0.02, 0.8]) == pytest.approx([math.nan, 0.04, 0.8], nan_ok=True)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni(p_values):
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p <= adjusted <= min(1.0, len(p_values) * max(p_values))
