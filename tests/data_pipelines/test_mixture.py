"""Mixtures of data sets: how much comes of each, exact resuming, and what doesn't go together."""

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

import streams
from codec.errors import DataError, RunError
from data_pipelines.build import BuildConfig, build_dataset
from data_pipelines.mixture import MixedSet, Mixture
from streams import SEGMENT

LOUD_RMS = 0.05


@pytest.fixture(scope="session")
def quiet(tmp_path_factory):
    """A second data set, ten times quieter than the first, by which its crops are known."""
    return build_quiet(tmp_path_factory.mktemp("quiet"))


def build_quiet(root, sample_rate=16_000):
    rng = np.random.default_rng(7)
    (root / "audio").mkdir()
    for number in range(20):
        soundfile.write(root / "audio" / f"{number}.wav", 0.01 * rng.standard_normal(sample_rate), sample_rate)
    config = BuildConfig(sample_rate=sample_rate, val_percent=30, test_percent=0, shard_bytes=100_000)
    build_dataset([root / "audio"], root / "data", config)
    return root / "data"


def make(directory, other, weight=0.5, **settings):
    return streams.make(directory, mixture=[MixedSet(directory=str(other), weight=weight)], **settings)


def take(datamodule, count):
    return torch.stack(streams.take(datamodule, count))


def quiet_share(crops):
    return float((crops.flatten(0, -3).std((1, 2)) < LOUD_RMS).float().mean())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("weight", "share"), [(0.5, 1 / 3), (3.0, 0.75)])
def test_crops_come_in_proportion_to_the_weights(built, quiet, workers, weight, share):
    crops = take(make(built, quiet, weight, num_workers=workers), 60)
    assert quiet_share(crops) == pytest.approx(share, abs=0.02)
    assert quiet_share(crops[:10]) == pytest.approx(share, abs=0.1)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.integers(0, 2000), st.integers(0, 2000))
def test_any_point_can_be_found_again_and_is_even(weights, start, more):
    mixture = Mixture(sets=(None,) * len(weights), weights=tuple(weights))
    whole = mixture.choices(0, start + more)
    np.testing.assert_array_equal(mixture.choices(start, start + more), whole[start:])
    counts = mixture.counts(start + more)
    assert sum(counts) == start + more
    shares = np.array(weights) / sum(weights)
    assert np.abs(counts - shares * (start + more)).max() < 8


@pytest.mark.parametrize("workers", [0, 2])
def test_it_resumes_exactly_on_every_rank(built, quiet, workers):
    for rank in range(2):
        straight = take(make(built, quiet, rank=rank, world_size=2, num_workers=workers), 40)
        interrupted = make(built, quiet, rank=rank, world_size=2, num_workers=workers)
        first = take(interrupted, 17)
        resumed = make(built, quiet, rank=rank, world_size=2, num_workers=workers)
        resumed.load_state_dict(interrupted.state_dict())
        assert torch.equal(straight, torch.cat([first, take(resumed, 23)]))


def test_another_weight_is_another_mixture(built, quiet):
    state = make(built, quiet, 0.5).state_dict()
    with pytest.raises(RunError, match="index_sha256"):
        make(built, quiet, 0.25).load_state_dict(state)


def test_validation_and_calibration_hear_every_set(built, quiet):
    datamodule = make(built, quiet, max_val_clips=6)
    loud = [bool(clip.audio.std() > LOUD_RMS) for clip in datamodule.val_dataloader()]
    assert sorted(loud) == [False] * 3 + [True] * 3
    ranks = [make(built, quiet, rank=rank, world_size=2, max_val_clips=6).val_dataloader() for rank in range(2)]
    keys = [clip.key for rank in ranks for clip in rank]
    assert sorted(keys) == sorted(clip.key for clip in datamodule.val_dataloader())
    segments = datamodule.calibration_audio(30)
    assert segments.shape == (30, 1, SEGMENT)
    assert quiet_share(segments) == pytest.approx(1 / 3, abs=0.05)
    assert torch.equal(segments, make(built, quiet, rank=1, world_size=2).calibration_audio(30))


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_must_be_positive(built, quiet, weight):
    with pytest.raises(DataError, match=r"weight of .* give a positive one"):
        make(built, quiet, weight).setup("fit")


def test_sets_of_another_rate_are_refused(built, tmp_path):
    other = build_quiet(tmp_path, sample_rate=8_000)
    with pytest.raises(DataError, match=r"8000 Hz with 1 channel\(s\), and .* 16000 Hz"):
        make(built, other).setup("fit")
