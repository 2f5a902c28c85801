"""Data sets over HTTP, from a server that fails on purpose, and the cache of their shards."""

import hashlib
import http.server
import os
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from codec.errors import DamageError, DataError
from data_pipelines import retries
from data_pipelines.cache import ShardCache
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.folder import DataFolder


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `server.faults` holds what is to go wrong with each name, one fault for each request."""

    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.requests[name] += 1
        with self.server.lock:
            fault = self.server.faults.get(name, []).pop(0) if self.server.faults.get(name) else None
        if isinstance(fault, int):
            self.send_error(fault)
        elif fault == "cut":
            data = (self.server.folder / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            super().do_GET()

    def log_message(self, *args):
        return None


@pytest.fixture
def server(dataset, monkeypatch):
    """Serve a data set, and make retries quick; with the faults and a count of requests."""
    monkeypatch.setattr(retries, "PAUSES_S", (0.01,) * len(retries.PAUSES_S))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(dataset))) as running:
        running.faults, running.requests, running.lock, running.folder = {}, Counter(), threading.Lock(), dataset
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def make(directory, **settings):
    defaults = {"segment_samples": 4000, "batch_size": 4, "num_workers": 0}
    datamodule = AudioDataModule(directory=str(directory), **defaults | settings)
    datamodule.trainer = SimpleNamespace(global_rank=0, world_size=1, limit_val_batches=1.0)
    return datamodule


def take(datamodule, count):
    batches = iter(datamodule.train_dataloader())
    taken = torch.stack([next(batches) for _ in range(count)])
    batches.close()
    return taken


def shard_names(dataset):
    return sorted(path.name for path in dataset.glob("train-*.tar"))


@pytest.mark.parametrize("workers", [0, 2])
def test_http_gives_the_same_stream(dataset, server, workers):
    expected = take(make(dataset, num_workers=workers), 12)
    remote = make(server.url, num_workers=workers)
    assert torch.equal(expected, take(remote, 12))
    assert not remote.damage.damages


@pytest.mark.parametrize("faults", [[503, 503], ["cut"], [429, "cut", 500]])
def test_what_passes_is_tried_again_and_changes_nothing(dataset, server, faults):
    server.faults = {name: list(faults) for name in ["index.json", *shard_names(dataset)]}
    remote = make(server.url)
    assert torch.equal(take(make(dataset), 40), take(remote, 40))
    assert not remote.damage.damages
    assert server.requests["index.json"] == len(faults) + 1


def test_a_shard_that_the_server_lacks_is_replaced(dataset, server):
    name = shard_names(dataset)[0]
    (dataset / name).unlink()
    remote = make(server.url)
    take(remote, 40)
    (damage,) = remote.damage.damages
    assert (damage.directory, damage.shard) == (server.url, name)


def test_a_shard_that_stays_damaged_is_fetched_once_more_and_then_replaced(dataset, server):
    path = dataset / shard_names(dataset)[0]
    path.write_bytes(path.read_bytes()[:-512])
    remote = make(server.url)
    remote.calibration_audio(1)
    assert [damage.shard for damage in remote.damage.damages] == [path.name]
    assert server.requests[path.name] == 2


def test_a_server_that_stays_away_is_an_error_not_damage(dataset, server):
    for name in shard_names(dataset):
        server.faults[name] = [503] * 100
    with pytest.raises(DataError, match=r"train-\d{6}\.tar .* can't be reached, 7 times .*503") as caught:
        take(make(server.url), 40)
    assert not isinstance(caught.value, DamageError)


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_forbidden_is_not_tried_again(server, status):
    server.faults["index.json"] = [status] * 100
    with pytest.raises(DataError, match=str(status)):
        DataFolder(server.url).read("index.json")
    assert server.requests["index.json"] == 1


def test_a_server_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(retries, "PAUSES_S", (0.01,))
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9.* can't be reached, 2 times"):
        DataFolder("http://127.0.0.1:9").read("index.json")


def test_the_cache_fetches_each_shard_once(dataset, server, tmp_path):
    settings = {"cache_directory": str(tmp_path / "cache")}
    expected = take(make(dataset), 60)
    assert torch.equal(expected, take(make(server.url, **settings), 60))
    assert torch.equal(expected, take(make(server.url, num_workers=0, **settings), 60))
    assert {server.requests[name] for name in shard_names(dataset)} == {1}
    make(dataset, cache_directory=str(tmp_path / "unused")).calibration_audio(4)
    assert not (tmp_path / "unused").exists()


def put(cache, data):
    sha256 = hashlib.sha256(data).hexdigest()
    cache.put(sha256, data)
    return sha256


def test_the_least_recently_used_go_first(tmp_path):
    cache = ShardCache(directory=tmp_path, max_bytes=250)
    one, other = (put(cache, bytes([value]) * 100) for value in (1, 2))
    for age, sha256 in ((20, one), (10, other)):
        os.utime(tmp_path / f"{sha256}.shard", (age, age))
    assert cache.get(one) == b"\1" * 100
    third = put(cache, b"\3" * 100)
    assert (cache.get(one), cache.get(other), cache.get(third)) == (b"\1" * 100, None, b"\3" * 100)
    large = put(cache, b"\4" * 1000)
    assert [path.name for path in tmp_path.glob("*.shard")] == [f"{large}.shard"]


def test_a_damaged_cache_is_no_source(dataset, server, tmp_path):
    settings = {"cache_directory": str(tmp_path)}
    expected = take(make(server.url, **settings), 60)
    for path in tmp_path.glob("*.shard"):
        path.write_bytes(path.read_bytes()[:-1])
    again = make(server.url, **settings)
    assert torch.equal(expected, take(again, 60))
    assert not again.damage.damages
    assert {server.requests[name] for name in shard_names(dataset)} == {2}


def test_what_killed_processes_left_is_removed(tmp_path):
    cache = ShardCache(directory=tmp_path, max_bytes=1000)
    left, fresh = (tmp_path / f".nacre-tmp-{name}-x.shard" for name in ("old", "new"))
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (10, 10))
    put(cache, b"whole")
    assert not left.exists()
    assert fresh.exists()


def hammer(directory, worker):
    """Put and get shards that other processes evict; return how many bytes were wrong."""
    cache = ShardCache(directory=directory, max_bytes=3000)
    wrong = 0
    for turn in range(60):
        data = bytes([(turn * 7 + worker) % 9]) * 1000
        found = cache.get(put(cache, data))
        wrong += found not in (None, data)
    return wrong


def test_processes_share_a_cache(tmp_path):
    with ProcessPoolExecutor(3) as pool:
        assert list(pool.map(partial(hammer, tmp_path), range(3))) == [0, 0, 0]
    assert sum(path.stat().st_size for path in tmp_path.glob("*.shard")) <= 3000
