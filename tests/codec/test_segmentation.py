"""The arithmetic of segments, against counting them one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.segmentation import Segmentation

segmentations = st.integers(1, 60).flatmap(
    lambda length: st.builds(Segmentation, length=st.just(length), overlap=st.integers(0, length // 2))
)


@given(segmentations, st.integers(1, 400), st.integers(1, 9))
def test_counts_are_those_of_the_segments_one_by_one(segmentation, num_samples, hop):
    starts = range(0, num_samples, segmentation.length - segmentation.overlap)
    samples = [min(segmentation.length, num_samples - start) for start in starts]
    count = segmentation.count(num_samples)
    assert [segmentation.samples(i, num_samples) for i in range(count)] == samples
    assert segmentation.num_whole(num_samples) == samples.count(segmentation.length)
    assert len(samples) - samples.count(segmentation.length) <= 2
    assert segmentation.num_frames(num_samples, hop) == sum(-(-n // hop) for n in samples)


@given(segmentations, st.integers(0, 300), st.integers(1, 100))
def test_a_stretch_lies_in_exactly_the_segments_that_share_a_sample_with_it(segmentation, start, length):
    stop = start + length
    starts = [index * segmentation.stride for index in range(stop)]
    sharing = [i for i, first in enumerate(starts) if first < stop and first + segmentation.length > start]
    assert list(segmentation.covering(start, stop)) == sharing


def test_huge_totals_cost_nothing():
    segmentation = Segmentation(length=48_000, overlap=480)
    assert segmentation.count(2**62) == -(-(2**62) // 47_520)
    assert segmentation.num_frames(2**62, 320) == pytest.approx(2**62 / 47_520 * 150, rel=1e-12)


@pytest.mark.parametrize(("length", "overlap"), [(0, 0), (10, -1), (10, 6)])
def test_ranges_are_checked(length, overlap):
    with pytest.raises(ValueError, match="must be"):
        Segmentation(length=length, overlap=overlap)
