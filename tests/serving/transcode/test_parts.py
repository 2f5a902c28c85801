"""Parts: divided by name or by shard, done apart at the same time, joined to what one run gives."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import NacreError
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.manifest import MANIFEST
from serving.transcode.order import Part
from serving.transcode.settings import Settings
from transcoding import records, tree

CONTAINERS = Settings(num_quantizers=2, sink="containers")


@pytest.fixture
def clips(tmp_path, make_audio):
    root = tmp_path / "clips"
    root.mkdir()
    for index in range(12):
        (root / f"{index:02d}.wav").write_bytes(make_audio(seconds=0.1, seed=index))
    (root / "fake.wav").write_text("no audio")
    return root


@given(st.text(), st.integers(1, 50))
def test_every_name_is_in_exactly_one_part(name, count):
    assert sum(Part(number, count).has(name) for number in range(1, count + 1)) == 1


def test_parts_joined_are_one_run(run, clips, tmp_path):
    run(clips, tmp_path / "clean")
    tallies = [run(clips, tmp_path / "out", part=Part(number, 3)) for number in (1, 2, 3)]
    assert [tally.done for tally in tallies] != [12, 0, 0]
    assert sum(tally.done for tally in tallies) == 12
    assert not (tmp_path / "out" / MANIFEST).exists()
    assert (tmp_path / "out" / ".nacre" / "parts" / "2-of-3.jsonl").exists()
    joined = run(clips, tmp_path / "out")
    assert (joined.done, joined.unchanged, joined.failed) == (0, 12, 1)
    assert tree(tmp_path / "out") == tree(tmp_path / "clean")


def test_a_part_again_does_nothing_and_new_files_only(run, clips, tmp_path, make_audio):
    target, part = tmp_path / "out", Part(1, 2)
    first = run(clips, target, part=part)
    assert run(clips, target, part=part).unchanged == first.done
    run(clips, target)
    assert run(clips, target, part=part).done == 0
    (clips / next(name for name in map("new{}.wav".format, range(99)) if part.has(name))).write_bytes(make_audio())
    assert run(clips, target, part=part).done == 1
    assert run(clips, target).unchanged == 13
    assert len(records(target)) == 14


def test_a_part_that_was_stopped_is_joined_too(run, model, clips, tmp_path):
    class Stopping(InlineEngine):
        def run(self, job, batches, *, alone=False):
            yield next(super().run(job, batches, alone=alone))
            raise NacreError("stopped")

    target = tmp_path / "out"
    with pytest.raises(NacreError):
        run(clips, target, part=Part(1, 2), engine=Stopping(model))
    run(clips, target, part=Part(2, 2))
    tally = run(clips, target)
    assert (tally.done + tally.unchanged, tally.failed) == (12, 1)
    run(clips, tmp_path / "clean")
    assert tree(target) == tree(tmp_path / "clean")


def test_parts_work_side_by_side_but_not_beside_the_whole(run, model, clips, tmp_path):
    target, met = tmp_path / "out", []

    class Meeting(InlineEngine):
        def run(self, job, batches, *, alone=False):
            with pytest.raises(NacreError, match="another run"):
                run(clips, target)
            with pytest.raises(NacreError, match="another run"):
                run(clips, target, part=Part(1, 2))
            met.append(run(clips, target, part=Part(2, 2)).done)
            yield from super().run(job, batches, alone=alone)

    class MeetingWhole(InlineEngine):
        def run(self, job, batches, *, alone=False):
            with pytest.raises(NacreError, match="another run"):
                run(clips, target, part=Part(1, 2))
            met.append(0)
            yield from super().run(job, batches, alone=alone)

    first = run(clips, target, part=Part(1, 2), engine=Meeting(model))
    assert first.done + met[0] == 12
    (clips / "00.wav").write_bytes((clips / "01.wav").read_bytes() + bytes(2))
    run(clips, target, engine=MeetingWhole(model))
    assert met[1:] == [0]


def test_shards_are_whole_in_one_part(run, tmp_path, make_audio):
    source = tmp_path / "shards"
    source.mkdir()
    for shard in range(6):
        with tarfile.open(source / f"{shard}.tar", "w") as tar:
            for key in range(2):
                data, info = make_audio(seconds=0.1, seed=10 * shard + key), tarfile.TarInfo(f"{key}.wav")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    seen = []
    for number in (1, 2):
        run(source, tmp_path / "out", CONTAINERS, part=Part(number, 2))
        seen.append({path.name for path in (tmp_path / "out").glob("*.tar")} - set().union(*seen))
    run(source, tmp_path / "out", CONTAINERS)
    found = records(tmp_path / "out")
    assert len(found) == 12
    for shard in range(6):
        assert len({found[f"{shard}/{key}.wav"]["shard"] for key in range(2)}) == 1
    assert {record["shard"] for record in found.values()} == seen[0] | seen[1]
    assert all(name.startswith("part2of2-") for name in seen[1])


def test_a_part_that_has_nothing_says_so(run, tmp_path, make_audio):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.wav").write_bytes(make_audio())
    empty = next(part for part in (Part(1, 2), Part(2, 2)) if not part.has("a.wav"))
    assert run(tmp_path / "one", tmp_path / "out", part=empty).done == 0
