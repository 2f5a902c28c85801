"""What a cluster's nodes have to see, checked where it is to be seen and where it isn't; and life without Ray."""

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest

from codec.errors import DataError, MissingToolError, NacreError
from serving.transcode.engines.ray import RayEngine
from serving.transcode.engines.ray_reach import check_source, check_target, open_reach, why_unread
from serving.transcode.settings import Settings
from serving.transcode.sources import open_source
from serving.transcode.work import Job

with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install ray")


@pytest.fixture
def job(package, tmp_path):
    return Job(package=package, settings=Settings(), target=str(tmp_path / "target"), scratch=tmp_path / "scratch")


@pytest.fixture
def entry(make_audio, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.wav").write_bytes(make_audio())
    (entry,) = open_source(str(tmp_path / "source")).entries()
    return entry


def test_what_is_shared_is_seen_and_nothing_is_left(job, entry, tmp_path):
    with open_reach(job) as reach:
        check_target(job, reach)
        check_source(entry)
    assert [path for path in tmp_path.joinpath("target").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("other", ["empty", "of another run"])
def test_another_folder_is_not_taken_for_the_target(job, tmp_path, other):
    elsewhere = replace(job, target=str(tmp_path / "elsewhere"))
    with open_reach(job) as reach, open_reach(elsewhere):
        if other == "empty":
            elsewhere = replace(job, target=str(tmp_path / "nothing"))
        with pytest.raises(DataError, match=r"is not the same folder there: name one that all nodes share, or a URL$"):
            check_target(elsewhere, reach)


def test_a_source_that_others_can_read_must_be_there(entry, tmp_path):
    (tmp_path / "source" / "a.wav").unlink()
    problem = f"'{entry.locator.url}' can't be read: No such file or directory"
    assert why_unread(entry) == problem
    with pytest.raises(DataError) as refusal:
        check_source(entry)
    assert str(refusal.value) == (
        f"{problem}, while others can: name a source that all nodes share at the same path, or a URL"
    )


def test_a_url_needs_no_mark(job):
    job = replace(job, target="memory://target")
    with open_reach(job) as reach:
        check_target(job, reach)


def test_a_target_that_cannot_be_written_is_one_sentence(job, tmp_path):
    (tmp_path / "target").write_bytes(b"")
    with pytest.raises(NacreError, match=rf"^can't write to '{tmp_path}/target': "), open_reach(job):
        pass


def test_without_ray_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingToolError, match="Ray is not installed"):
        RayEngine()


@with_ray
def test_an_address_of_ray_client_is_refused():
    with pytest.raises(NacreError, match=r"^'ray://head:10001' is an address of Ray Client: name HOST:PORT"):
        RayEngine("ray://head:10001")


# In another process: what imports Ray has another logging from then on.
@with_ray
def test_a_cluster_that_does_not_answer_is_one_sentence(package, entry, tmp_path):
    words = ["nacre", "transcode", tmp_path / "source", tmp_path / "target", "--model", package]
    words += ["--engine", "ray", "--ray-address", "127.0.0.1:1"]
    done = subprocess.run([sys.executable, "-m", *map(str, words)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "nacre: no Ray cluster answers at '127.0.0.1:1' (Connection refused)"
