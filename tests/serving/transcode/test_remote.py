"""Sources and DSTs at URLs: the same outputs as on a disk, and the state at home. (tests/integration has a real S3.)"""

import secrets
from pathlib import Path

import fsspec
import pytest

from codec.errors import MissingToolError, NacreError
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.manifest import MANIFEST
from serving.transcode.order import Part
from serving.transcode.settings import Settings
from transcoding import tree

CONTAINERS = Settings(num_quantizers=2, sink="containers")


@pytest.fixture
def url():
    """Return the URL of a folder that is not there yet."""
    return f"memory://transcode-{secrets.token_hex(4)}"


def remote_tree(url):
    file_system, root = fsspec.core.url_to_fs(url)
    return {name.removeprefix(f"{root}/"): file_system.cat_file(name) for name in file_system.find(root)}


def upload(folder, url):
    file_system, root = fsspec.core.url_to_fs(url)
    for name, data in tree(folder).items():
        file_system.pipe(f"{root}/{name}", data)


@pytest.mark.parametrize("settings", [Settings(num_quantizers=2), CONTAINERS], ids=["tree", "shards"])
def test_a_dst_at_a_url_is_what_it_is_on_a_disk(run, archive, tmp_path, url, settings, private_home):
    run(archive, tmp_path / "out", settings, shard_records=2)
    assert run(archive, url, settings, shard_records=2).done == 5
    assert remote_tree(url) == tree(tmp_path / "out")
    assert not [path for path in private_home.rglob("*") if path.is_file()]
    again = run(archive, url, settings, shard_records=2)
    assert (again.done, again.unchanged) == (0, 5)


def test_a_source_at_a_url_gives_the_same_codes_and_changes_are_seen(run, archive, tmp_path, url, make_audio):
    upload(archive, url)
    assert run(url, tmp_path / "out").done == 5
    back = Settings(decode=True)
    run(archive, tmp_path / "local")
    run(tmp_path / "out", tmp_path / "back", back)
    run(tmp_path / "local", tmp_path / "local back", back)
    first, second = tree(tmp_path / "back"), tree(tmp_path / "local back")
    assert {name: first[name] for name in first if name != MANIFEST} == {
        name: second[name] for name in second if name != MANIFEST
    }
    assert run(url, tmp_path / "out").unchanged == 5
    file_system, root = fsspec.core.url_to_fs(url)
    file_system.pipe(f"{root}/a.wav", make_audio(seconds=0.3, seed=99))
    assert run(url, tmp_path / "out").done == 1


def test_stopped_it_resumes_from_home(run, model, archive, url, private_home):
    class Stopping(InlineEngine):
        def run(self, job, batches, *, alone=False):
            yield next(super().run(job, batches, alone=alone))
            raise NacreError("stopped")

    with pytest.raises(NacreError):
        run(archive, url, engine=Stopping(model))
    assert list((private_home / "nacre" / "transcodes").iterdir())
    tally = run(archive, url)
    assert tally.done + tally.unchanged == 5
    assert not list((private_home / "nacre" / "transcodes").iterdir())


def test_parts_leave_what_they_did_beside_the_outputs(run, archive, tmp_path, url):
    run(archive, tmp_path / "out")
    for number in (1, 2):
        run(archive, url, part=Part(number, 2))
    assert {Path(name).name for name in remote_tree(url) if name.startswith(".nacre")} == {
        "1-of-2.jsonl",
        "2-of-2.jsonl",
    }
    assert run(archive, url).done == 0
    assert remote_tree(url) == tree(tmp_path / "out")


def test_a_file_that_is_there_already_is_not_overwritten(run, archive, url):
    file_system, root = fsspec.core.url_to_fs(url)
    file_system.pipe(f"{root}/a.wav.nac", b"mine")
    tally = run(archive, url)
    assert (tally.done, tally.failed) == (4, 2)
    assert file_system.cat_file(f"{root}/a.wav.nac") == b"mine"


def test_a_url_that_needs_a_package_says_which(run, archive):
    with pytest.raises(MissingToolError, match="needs a package"):
        run(archive, "dropbox://folder/out")
