"""Shards on a real S3-compatible server (SeaweedFS): the same stream as from a local folder, damage included."""

import secrets
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

import s3_server
from codec.errors import DataError
from data_pipelines.build import build_dataset
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.folder import DataFolder
from data_pipelines.settings import BuildConfig

BUCKET = "nacre-data"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("s3-data")
    for seed in range(20):
        samples = 0.1 * np.random.default_rng(seed).standard_normal(16_000)
        soundfile.write(root / f"{seed}.wav", samples, 16_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_dataset([root], root / "data", BuildConfig(val_percent=25, test_percent=0, shard_bytes=100_000))
    return root / "data"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """Run a server and return its address."""
    with s3_server.running(tmp_path_factory.mktemp("weed")) as address:
        yield address


@pytest.fixture
def bucket(endpoint, dataset, monkeypatch):
    """A bucket with the data set; its URL."""
    import s3fs

    files = s3_server.use(endpoint, monkeypatch)
    if not files.exists(BUCKET):
        files.mkdir(BUCKET)
    folder = f"{BUCKET}/{secrets.token_hex(4)}"
    for path in dataset.glob("*.*"):
        files.put_file(str(path), f"{folder}/{path.name}")
    yield f"s3://{folder}"
    s3fs.S3FileSystem.clear_instance_cache()


def stream(directory, workers=0, **settings):
    """Return 12 batches and the DataModule that gave them."""
    datamodule = AudioDataModule(
        directory=str(directory), segment_samples=4000, batch_size=4, num_workers=workers, **settings
    )
    datamodule.trainer = SimpleNamespace(global_rank=0, world_size=1, limit_val_batches=1.0)
    batches = iter(datamodule.train_dataloader())
    taken = torch.stack([next(batches) for _ in range(12)])
    batches.close()
    return taken, datamodule


@pytest.mark.parametrize("workers", [0, 2])
def test_s3_gives_the_same_stream(bucket, dataset, workers, tmp_path):
    expected, _ = stream(dataset, workers)
    for settings in ({}, {"cache_directory": str(tmp_path)}, {"cache_directory": str(tmp_path)}):
        taken, datamodule = stream(bucket, workers, **settings)
        assert torch.equal(expected, taken)
        assert not datamodule.damage.damages
    assert {path.suffix for path in tmp_path.iterdir()} == {".shard", ""}


def test_damaged_and_missing_objects_are_replaced_and_named(bucket):
    import s3fs

    files = s3fs.S3FileSystem(skip_instance_cache=True)
    gone, cut, *_ = sorted(path for path in files.ls(bucket, detail=False) if "train-" in path)
    files.rm(gone)
    files.pipe(cut, files.cat(cut)[:-512])
    s3fs.S3FileSystem.clear_instance_cache()
    _, datamodule = stream(bucket)
    assert {damage.shard for damage in datamodule.damage.damages} == {Path(gone).name, Path(cut).name}


def test_wrong_credentials_are_one_clear_error(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DataError, match=r"index\.json.*check your rights"):
        DataFolder(bucket).read("index.json")
