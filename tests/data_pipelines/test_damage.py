"""Shards that are damaged: replaced, counted and named, in a stream that keeps its length and resumes exactly."""

import hashlib
import io
import json
import tarfile

import pytest
import torch

from codec.errors import DamageError, DataError
from streams import make
from streams import take as take_batches

DAMAGES = ("truncated", "flipped", "overwritten", "missing", "undecodable")


def take(datamodule, count):
    return torch.stack(take_batches(datamodule, count))


def spoil_first_record(data):
    """Return the tar with its first record a byte shorter."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for number, member in enumerate(old.getmembers()):
            content = old.extractfile(member).read()[: -1 if number == 1 else None]
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return out.getvalue()


def harm(shard, damage):
    data = bytearray(shard.read_bytes())
    shard.unlink()
    if damage == "truncated":
        shard.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    elif damage == "overwritten":
        shard.write_bytes(bytes(len(data)))
    elif damage == "undecodable":
        spoilt = spoil_first_record(bytes(data))
        shard.write_bytes(spoilt)
        relist(shard, spoilt)


def relist(shard, data):
    """Let the index believe in what stands in a shard now."""
    path = shard.parent / "index.json"
    index = json.loads(path.read_text())
    (entry,) = (entry for entry in index["splits"]["train"] if entry["name"] == shard.name)
    entry |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    path.write_text(json.dumps(index))


def train_shards(dataset):
    return sorted(dataset.glob("train-*.tar"))


def records_in(dataset, shard):
    index = json.loads((dataset / "index.json").read_text())
    return next(len(entry["records"]) for entry in index["splits"]["train"] if entry["name"] == shard.name)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", DAMAGES)
def test_only_what_is_damaged_is_replaced_and_that_is_counted_and_named(dataset, damage, workers):
    settings = {"num_workers": workers, "batch_size": 1, "crops_per_record": 1, "max_val_clips": 1}
    count = sum(records_in(dataset, shard) for shard in train_shards(dataset)) // 2 * 2
    shard = train_shards(dataset)[1]
    before = take(make(dataset, **settings), count)
    bad = 1 if damage in ("flipped", "undecodable") else records_in(dataset, shard)
    harm(shard, damage)
    datamodule = make(dataset, **settings)
    after = take(datamodule, count)
    assert after.shape == before.shape
    replaced = sum(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert bad - 1 <= replaced <= bad  # an odd record may be left out by the epoch
    (found,) = datamodule.damage.damages
    assert (found.shard, found.bad_records) == (shard.name, bad)
    assert shard.name in found.reason
    assert "\n" not in found.reason
    assert datamodule.damage.replaced_records == replaced


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "undecodable"])
def test_a_damaged_stream_resumes_exactly_on_every_rank(dataset, damage, workers):
    for shard in train_shards(dataset)[::2]:
        harm(shard, damage)
    for rank in range(2):
        straight = take(make(dataset, rank, 2, num_workers=workers), 14)
        interrupted = make(dataset, rank, 2, num_workers=workers)
        first = take(interrupted, 5)
        resumed = make(dataset, rank, 2, num_workers=workers)
        resumed.load_state_dict(interrupted.state_dict())
        assert torch.equal(straight, torch.cat([first, take(resumed, 9)]))


def test_replacements_differ_between_epochs_and_readers(dataset):
    shards = train_shards(dataset)
    for shard in shards[1:]:
        harm(shard, "missing")
    settings = {"batch_size": 1, "crops_per_record": 1, "segment_samples": 8000}
    one, other = (take(make(dataset, rank, 2, **settings), 12) for rank in range(2))
    assert not torch.equal(one, other)
    assert not torch.equal(one[:6], one[6:])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", ["truncated", "overwritten", "missing"])
def test_where_nothing_can_be_read_the_error_says_so_and_why(dataset, damage, workers):
    for shard in train_shards(dataset):
        harm(shard, damage)
    with pytest.raises(DataError, match=r"no shard of split train in .* can be read .*train-\d{6}\.tar") as caught:
        take(make(dataset, num_workers=workers), 1)
    assert "\n" not in str(caught.value)


def test_calibration_is_the_same_on_every_rank_of_damaged_data(dataset):
    harm(train_shards(dataset)[0], "truncated")
    one, other = make(dataset), make(dataset, 1, 2, num_workers=2)
    assert torch.equal(one.calibration_audio(40), other.calibration_audio(40))
    assert one.damage.damages == other.damage.damages
    assert len(one.damage.damages) == 1


def test_noise_is_replaced_too_and_the_same_on_every_rank(built, dataset):
    for shard in train_shards(dataset)[1:]:
        harm(shard, "flipped")
    one = make(built, noise_directory=str(dataset))
    ranks = [make(built, rank, 2, batch_size=2, noise_directory=str(dataset)) for rank in range(2)]
    for step in (0, 64, 128):
        assert torch.equal(one.noise_segments(step), torch.cat([rank.noise_segments(step) for rank in ranks]))
    assert one.damage.damages
    assert one.damage.replaced_records


def test_a_damaged_validation_clip_is_an_error_because_scores_must_compare(dataset):
    for shard in dataset.glob("val-*.tar"):
        harm(shard, "flipped")
    with pytest.raises(DamageError, match=r"val-\d{6}\.tar.*damaged"):
        make(dataset).val_dataloader()
