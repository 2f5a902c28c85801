"""Small worlds of synthesised audio for the data room."""

import shutil

import numpy as np
import pytest
import soundfile

from data_pipelines.build import BuildConfig, build_dataset


def noise(seconds, sample_rate=16000, channels=1, seed=0):
    """Return audible audio [T, C] that is unique to its seed."""
    rng = np.random.default_rng(seed)
    return 0.1 * rng.standard_normal((max(1, round(seconds * sample_rate)), channels))


def write(path, seconds=1.0, sample_rate=16000, channels=1, seed=0, **options):
    """Write noise to a file and return the samples [T, C]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = noise(seconds, sample_rate, channels, seed)
    soundfile.write(path, samples, sample_rate, **options)
    return samples


def corpus(folder, count=12, seed=0):
    """Write `count` unique wav files of 0.5 to 1.5 s, and one of 23 s, below a folder."""
    for number in range(count):
        write(folder / f"{number % 3}" / f"{number:03d}.wav", 0.5 + number % 10 / 10, seed=seed + number)
    write(folder / "long.wav", 23.0, seed=seed + 1000)
    return folder


@pytest.fixture
def write_noise():
    """Return the function that writes a file of noise."""
    return write


@pytest.fixture
def make_corpus():
    """Return the function that writes a tree of audio files."""
    return corpus


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Build a data set of a few shards in each of train and val; don't change it."""
    root = tmp_path_factory.mktemp("built")
    config = BuildConfig(val_percent=30, test_percent=10, shard_bytes=200_000)
    build_dataset([corpus(root / "audio", 40)], root / "data", config)
    return root / "data"


@pytest.fixture
def dataset(built, tmp_path):
    """Return a copy of the data set, to be damaged at will."""
    return shutil.copytree(built, tmp_path / "data")


def folder_bytes(folder):
    """Return {name: bytes} of every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def contents():
    """Return the function that reads a whole folder."""
    return folder_bytes
