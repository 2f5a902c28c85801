"""Noise for training: drawn by step and item alone, from data that fits."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from codec.errors import DataError, RunError
from data_pipelines.build import BuildConfig, build_dataset
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.noise import STEPS_PER_SHARD

SEGMENT = 4000


def make(directory, noise, rank=0, world_size=1, **settings):
    defaults = {"segment_samples": SEGMENT, "batch_size": 4, "num_workers": 0}
    datamodule = AudioDataModule(directory=str(directory), noise_directory=str(noise), **defaults | settings)
    datamodule.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, limit_val_batches=1.0)
    return datamodule


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Noise in several shards, of files so even that a crop tells which file it is of."""
    root = tmp_path_factory.mktemp("noise")
    (root / "audio").mkdir()
    for number in range(12):
        samples = np.random.default_rng(number).uniform(-1, 1, 12_000) * 0.05 * (1 + number % 4)
        soundfile.write(root / "audio" / f"{number}.wav", samples, 16_000)
    build_dataset([root / "audio"], root / "data", BuildConfig(val_percent=0, test_percent=0, shard_bytes=60_000))
    return root / "data"


def test_any_number_of_ranks_and_workers_draws_the_same(built, noise):
    for step in (0, 1, STEPS_PER_SHARD, 1000):
        one = make(built, noise).noise_segments(step)
        assert one.shape == (4, 1, SEGMENT)
        assert one.dtype == torch.float32
        ranks = [make(built, noise, rank, 2, batch_size=2, num_workers=rank).noise_segments(step) for rank in (0, 1)]
        assert torch.equal(one, torch.cat(ranks))


def test_a_step_can_be_drawn_at_any_time(built, noise):
    straight = make(built, noise)
    every = [straight.noise_segments(step) for step in range(3 * STEPS_PER_SHARD)]
    for step in (150, 3, 64):
        assert torch.equal(every[step], make(built, noise).noise_segments(step))
        assert torch.equal(every[step], straight.noise_segments(step))


def test_steps_items_and_seeds_differ_and_every_shard_is_heard(built, noise):
    source = make(built, noise)
    first = source.noise_segments(0)
    assert len({crop.numpy().tobytes() for crop in first}) == 4
    assert not torch.equal(first, source.noise_segments(1))
    assert not torch.equal(first, make(built, noise, seed=1).noise_segments(0))
    shards = len(list(noise.glob("train-*.tar")))
    assert shards > 2
    heard = [source.noise_segments(shard * STEPS_PER_SHARD + i) for shard in range(shards) for i in range(8)]
    assert {round(float(crop.abs().max()), 2) for batch in heard for crop in batch} == {0.05, 0.1, 0.15, 0.2}


def test_noise_shorter_than_a_segment_begins_again(built, noise):
    long = make(built, noise, segment_samples=30_000).noise_segments(0)
    assert torch.equal(long[..., :12_000], long[..., 12_000:24_000])
    assert torch.equal(long[..., :6_000], long[..., 24_000:])


def test_validation_clips_have_noise_of_their_own_that_never_changes(built, noise):
    clips = list(make(built, noise, max_val_clips=4).val_dataloader())
    again = list(make(built, noise, max_val_clips=4, seed=9).val_dataloader())
    assert all(clip.noise.shape == clip.audio.shape for clip in clips)
    assert all(torch.equal(one.noise, other.noise) for one, other in zip(clips, again, strict=True))
    assert len({clip.noise.numpy().tobytes() for clip in clips}) == 4
    assert all(clip.noise is None for clip in AudioDataModule(directory=str(built)).val_dataloader())


def test_noise_that_does_not_fit_is_refused_with_the_remedy(built, tmp_path, make_corpus):
    corpus = make_corpus(tmp_path / "audio", 3)
    build_dataset([corpus], tmp_path / "low", BuildConfig(sample_rate=8_000, val_percent=0, test_percent=0))
    with pytest.raises(DataError, match=r"8000 Hz .*`nacre data build --sample-rate 16000 --channels 1`"):
        make(built, tmp_path / "low").setup("fit")
    build_dataset([corpus], tmp_path / "empty", BuildConfig(val_percent=99.999, test_percent=0))
    with pytest.raises(DataError, match="nothing in split train"):
        make(built, tmp_path / "empty").setup("fit")
    with pytest.raises(DataError, match="nacre data build"):
        make(built, tmp_path / "none").setup("fit")


def test_resuming_with_other_noise_is_refused(built, noise):
    state = make(built, noise).state_dict()
    make(built, noise).load_state_dict(state)
    with pytest.raises(RunError, match="noise_index_sha256"):
        make(built, built).load_state_dict(state)
