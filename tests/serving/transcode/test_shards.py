"""Shards of containers and tokens: packed once, the same bytes however often a run was cut off, and mended in place."""

import io
import tarfile

import pytest

from codec.container import read_container
from codec.errors import NacreError
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.fragments import END, read_fragment, write_fragment
from serving.transcode.manifest import MANIFEST
from serving.transcode.settings import Settings
from transcoding import records, tree

CONTAINERS = Settings(num_quantizers=2, sink="containers")
TOKENS = Settings(num_quantizers=2, sink="tokens")


@pytest.fixture
def clips(tmp_path, make_audio):
    root = tmp_path / "clips"
    root.mkdir()
    for index in range(7):
        (root / f"{index}.wav").write_bytes(make_audio(seconds=0.1 + 0.02 * index, seed=index))
        (root / f"{index}.txt").write_text(f"number {index}")
    (root / "fake.wav").write_text("no audio")
    return root


class Stopping(InlineEngine):
    """Stops, as if by a signal, after so many outcomes."""

    def __init__(self, model, after):
        super().__init__(model)
        object.__setattr__(self, "after", after)

    def run(self, job, batches, *, alone=False):
        for number, outcome in enumerate(super().run(job, batches, alone=alone)):
            if number == self.after:
                raise NacreError("stopped")
            yield outcome


def members(path):
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


@pytest.mark.parametrize("settings", [CONTAINERS, TOKENS], ids=["containers", "tokens"])
def test_shards_hold_every_record_with_its_texts(run, clips, tmp_path, settings):
    target = tmp_path / "out"
    tally = run(clips, target, settings, shard_records=3)
    assert (tally.done, tally.failed) == (7, 1)
    assert set(tree(target)) == {MANIFEST, *(f"shard-{number:06d}.tar" for number in range(3))}
    found = {}
    for shard in sorted(target.glob("*.tar")):
        found |= members(shard)
    assert [found[name] for name in sorted(found) if name.endswith(".txt")] == [b"number %d" % i for i in range(7)]
    if settings is CONTAINERS:
        assert {name for name in found if name.endswith(".nac")} == {f"{index}.wav.nac" for index in range(7)}
        assert read_container(found["3.wav.nac"]).codes.shape[1] == 2


def test_a_record_can_be_read_from_where_the_manifest_says(run, clips, tmp_path):
    run(clips, tmp_path / "out", CONTAINERS, shard_records=3)
    run(clips, tmp_path / "tree")
    for record in records(tmp_path / "out").values():
        if record["status"] == "done":
            data = (tmp_path / "out" / record["shard"]).read_bytes()
            piece = data[record["position"] : record["position"] + record["output_bytes"]]
            assert dict(read_fragment(piece))[record["output"]] == (tmp_path / "tree" / record["output"]).read_bytes()


@pytest.mark.parametrize("settings", [CONTAINERS, TOKENS], ids=["containers", "tokens"])
def test_cut_off_anywhere_it_ends_the_same(run, model, clips, tmp_path, settings):
    run(clips, tmp_path / "clean", settings, shard_records=3)
    for after in (0, 3, 1, 2):
        with pytest.raises(NacreError):
            run(clips, tmp_path / "out", settings, engine=Stopping(model, after), shard_records=3)
    assert run(clips, tmp_path / "out", settings, shard_records=3).unchanged >= 3
    assert tree(tmp_path / "out") == tree(tmp_path / "clean")
    assert run(clips, tmp_path / "out", settings, shard_records=3).done == 0


def test_new_sources_get_new_shards_and_changed_ones_stay(run, clips, tmp_path, make_audio):
    target = tmp_path / "out"
    run(clips, target, CONTAINERS, shard_records=4)
    before = tree(target)
    (clips / "1.wav").write_bytes(make_audio(seconds=0.3, seed=99))
    (clips / "0 new.wav").write_bytes(make_audio(seconds=0.1, seed=50))
    (clips / "fake.wav").write_bytes(make_audio(seconds=0.1, seed=51))
    assert run(clips, target, CONTAINERS, shard_records=4).done == 3
    after = tree(target)
    assert set(after) - set(before) == {"shard-000002.tar"}
    assert set(members(target / "shard-000002.tar")) == {"0 new.wav.nac"}
    first = members(target / "shard-000000.tar")
    assert set(first) == {f"{index}.{kind}" for index in range(4) for kind in ("wav.nac", "txt")}
    assert first["0.wav.nac"] == dict(read_fragment(before["shard-000000.tar"]))["0.wav.nac"]
    assert first["1.wav.nac"] != dict(read_fragment(before["shard-000000.tar"]))["1.wav.nac"]
    assert "fake.wav.nac" in members(target / "shard-000001.tar")


def test_a_shard_that_is_gone_or_cut_is_made_again(run, clips, tmp_path):
    target = tmp_path / "out"
    run(clips, target, CONTAINERS, shard_records=4)
    whole = tree(target)
    (target / "shard-000000.tar").unlink()
    assert run(clips, target, CONTAINERS, shard_records=4).done == 4
    (target / "shard-000001.tar").write_bytes(whole["shard-000001.tar"][:-512])
    assert run(clips, target, CONTAINERS, shard_records=4).done == 3
    assert tree(target) == whole


def test_a_damaged_shard_is_not_packed_into_a_new_one(run, clips, tmp_path, make_audio):
    target = tmp_path / "out"
    run(clips, target, CONTAINERS, shard_records=4)
    path = target / "shard-000000.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    (clips / "1.wav").write_bytes(make_audio(seconds=0.2, seed=99))
    with pytest.raises(NacreError, match="damaged"):
        run(clips, target, CONTAINERS, shard_records=4)
    path.unlink()
    assert run(clips, target, CONTAINERS, shard_records=4).failed == 1
    assert len(members(path)) == 8


def test_a_piece_is_a_tar_without_its_end():
    pieces = [[("a.nac", b"1" * 700), ("a.txt", b"")], [("ÿ" * 200 + ".nac", b"2" * 512)]]
    data = b"".join(map(write_fragment, pieces)) + END
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(member.name, tar.extractfile(member).read()) for member in tar] == [*pieces[0], *pieces[1]]
    assert list(read_fragment(write_fragment(pieces[0]))) == pieces[0]


def test_parquet_stands_beside_shards_and_follows_them(run, clips, tmp_path, make_audio):
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "out"
    run(clips, target, TOKENS, shard_records=4, parquet=True)
    assert sum(parquet.read_table(path).num_rows for path in target.glob("*.parquet")) == 7
    before = tree(target)
    (target / "shard-000001.parquet").unlink()
    assert run(clips, target, TOKENS, shard_records=4, parquet=True).done == 0
    assert tree(target) == before
    (clips / "1.wav").write_bytes(make_audio(seconds=0.3, seed=99))
    run(clips, target, TOKENS, shard_records=4, parquet=True)
    assert tree(target)["shard-000000.parquet"] != before["shard-000000.parquet"]
