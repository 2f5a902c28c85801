"""Batch transcoding from and to a real S3-compatible server, by worker processes: as on a disk, cut off or not."""

import os
import secrets
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

import s3_server
from codec.weights import load_package, write_package
from tiny import tiny_codec
from transcoding import transcode_inline, tree

pytestmark = pytest.mark.slow
BUCKET = "nacre-transcode"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("weed")) as address:
        yield address


@pytest.fixture
def store(endpoint, monkeypatch):
    import s3fs

    files = s3_server.use(endpoint, monkeypatch)
    if not files.exists(BUCKET):
        files.mkdir(BUCKET)
    yield files
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def model(tmp_path):
    write_package(tmp_path / "package", tiny_codec(), metrics={}, lineage={})
    return load_package(tmp_path / "package")


@pytest.fixture
def clips(tmp_path):
    import numpy as np
    import soundfile

    root = tmp_path / "clips"
    for index in range(24):
        path = root / f"{index % 3}" / f"{index:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(index).standard_normal(16_000), 8_000)
    return root


def command(model, *words):
    fixed = ["--model", model.package.directory, "--workers", 1, "--num-quantizers", 2]
    return [sys.executable, "-m", "nacre", "transcode", *map(str, [*words, *fixed])]


def stored(store, url):
    root = url.removeprefix("s3://")
    store.invalidate_cache()
    return {name.removeprefix(f"{root}/"): store.cat_file(name) for name in store.find(root)}


def test_a_folder_on_s3_to_s3_killed_once(store, model, clips, tmp_path):
    url = f"s3://{BUCKET}/{secrets.token_hex(4)}"
    store.put(str(clips), f"{url}/in", recursive=True)
    process = subprocess.Popen(command(model, f"{url}/in", f"{url}/out"), cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 120
    while not store.find(f"{url}/out", refresh=True):
        assert process.poll() is None
        assert time.monotonic() < deadline
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(command(model, f"{url}/in", f"{url}/out"), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout
    found = stored(store, f"{url}/out")
    assert len(found) == 25
    assert transcode_inline(model, f"{url}/in", tmp_path / "clean").done == 24
    assert found == tree(tmp_path / "clean")
    assert tree(clips) == stored(store, f"{url}/in")


def test_a_tar_on_s3_to_shards_on_s3(store, model, clips, tmp_path):
    url = f"s3://{BUCKET}/{secrets.token_hex(4)}"
    with tarfile.open(tmp_path / "clips.tar", "w") as tar:
        tar.add(clips, ".")
    store.put_file(str(tmp_path / "clips.tar"), f"{url}/clips.tar")
    words = [f"{url}/clips.tar", f"{url}/out", "--sink", "containers", "--shard-records", 10]
    done = subprocess.run(command(model, *words), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = stored(store, f"{url}/out")
    assert set(found) == {"manifest.jsonl", *(f"shard-{number:06d}.tar" for number in range(3))}
    again = subprocess.run(command(model, *words), cwd=ROOT, capture_output=True, text=True)
    assert "0 done, 24 unchanged, 0 failed" in again.stdout


def test_wrong_credentials_are_one_sentence(store, model, clips, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    done = subprocess.run(command(model, f"s3://{BUCKET}/in", "out"), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "check your rights" in done.stderr
    assert "Traceback" not in done.stderr
