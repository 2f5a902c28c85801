import gc
import hashlib
import io
import json
import os
import shutil
import tarfile

import numpy as np
import pytest
import soundfile
import webdataset

from codec.errors import DataError
from data_pipelines.build import BuildConfig, build_dataset
from data_pipelines.folder import DataFolder
from data_pipelines.index import read_index
from data_pipelines.manifest import parse_manifest

CONFIG = BuildConfig(val_percent=30, test_percent=10, shard_bytes=200_000)


def manifest(out):
    return {entry.path: entry for entry in parse_manifest((out / "manifest.jsonl").read_text())}


def records(shard):
    with tarfile.open(fileobj=io.BytesIO(shard.read_bytes())) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    for name, data in files.items():
        if name.endswith(".json"):
            yield json.loads(data), np.frombuffer(files[name.replace(".json", ".pcm")], "<i2")


def test_the_shards_hold_every_accepted_sample_once(tmp_path, make_corpus):
    source, out = make_corpus(tmp_path / "audio"), tmp_path / "data"
    report = build_dataset([source], out, CONFIG)
    assert sum(report.files.values()) == 13
    pieces = {}
    for shard in out.glob("*.tar"):
        split = shard.name.split("-")[0]
        for description, pcm in records(shard):
            assert len(pcm) == description["num_samples"] <= 160_000
            assert manifest(out)[description["path"]].split == split
            assert manifest(out)[description["path"]].sha256 == description["sha256"]
            pieces.setdefault(description["path"], []).append((description["offset_samples"], pcm))
    for path in source.rglob("*.wav"):
        expected, _ = soundfile.read(path, dtype="int16")
        parts = sorted(pieces[path.relative_to(source).as_posix()], key=lambda piece: piece[0])
        np.testing.assert_array_equal(np.concatenate([pcm for _, pcm in parts]), expected)
    assert [len(pcm) for _, pcm in sorted(pieces["long.wav"], key=lambda piece: piece[0])] == [
        122_666,
        122_667,
        122_667,
    ]


def test_the_index_describes_the_shards(tmp_path, make_corpus):
    out = tmp_path / "data"
    report = build_dataset([make_corpus(tmp_path / "audio")], out, CONFIG)
    raw = (out / "index.json").read_bytes()
    fields = json.loads(raw)
    assert (fields["version"], fields["sample_rate"], fields["channels"]) == (2, 16000, 1)
    assert hashlib.sha256(raw).hexdigest() == report.index_sha256
    listed = [shard for shards in fields["splits"].values() for shard in shards]
    assert sorted(shard["name"] for shard in listed) == sorted(path.name for path in out.glob("*.tar"))
    for shard in listed:
        data = (out / shard["name"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (shard["sha256"], shard["bytes"])
        assert [len(pcm) for _, pcm in records(out / shard["name"])] == shard["records"]


# WebDataset leaves closing its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_plain_webdataset_reads_the_shards(tmp_path, make_corpus):
    out = tmp_path / "data"
    report = build_dataset([make_corpus(tmp_path / "audio")], out, CONFIG)
    urls = sorted(str(path) for path in out.glob("train-*.tar"))
    read = list(webdataset.WebDataset(urls, shardshuffle=False))
    gc.collect()
    seconds = sum(len(record["pcm"]) for record in read) / 2 / 16000
    assert seconds == pytest.approx(report.seconds["train"])
    assert all(record["__key__"].split("-")[0] == json.loads(record["json"])["sha256"][:16] for record in read)


def test_jobs_order_and_place_of_the_sources_do_not_matter(tmp_path, make_corpus, contents):
    source = make_corpus(tmp_path / "audio")
    (source / "bad.wav").write_text("no audio")
    build_dataset([source], tmp_path / "one", CONFIG, jobs=1)
    moved = tmp_path / "elsewhere" / "copy"
    for path in sorted(source.rglob("*.wav"), reverse=True):
        (moved / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.relative_to(source))
    build_dataset([moved], tmp_path / "two", CONFIG, jobs=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    build_dataset([source, moved], tmp_path / "three", CONFIG)
    build_dataset([moved, source], tmp_path / "four", CONFIG)
    assert contents(tmp_path / "three") == contents(tmp_path / "four")


def test_bad_files_are_counted_and_never_stop_the_build(tmp_path, write_noise):
    source, out = tmp_path / "audio", tmp_path / "data"
    write_noise(source / "good.wav", seed=1)
    shutil.copy(source / "good.wav", source / "same.wav")
    (source / "text.wav").write_text("hello")
    (source / "empty.flac").touch()
    soundfile.write(source / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    soundfile.write(source / "silence.wav", np.zeros(16000), 16000)
    soundfile.write(source / "one.wav", np.full(1, 0.5), 16000)
    write_noise(source / "quad.wav", channels=4)
    report = build_dataset([source], out)
    expected = {
        "duplicate": 1,
        "undecodable": 2,
        "non_finite": 1,
        "silence": 1,
        "too_short": 1,
        "wrong_channels": 1,
    }
    assert report.rejected == expected
    assert manifest(out)["good.wav"].reason is None
    assert manifest(out)["same.wav"].reason == "duplicate"
    assert all((entry.split is None) == (entry.reason is not None) for entry in manifest(out).values())


def test_held_out_files_are_left_out_and_counted(tmp_path, write_noise):
    for seed in range(4):
        write_noise(tmp_path / "audio" / f"{seed}.wav", seed=seed)
    held_out = hashlib.sha256((tmp_path / "audio" / "2.wav").read_bytes()).hexdigest()
    report = build_dataset([tmp_path / "audio"], tmp_path / "data", held_out=frozenset({held_out}))
    assert report.rejected == {"held_out": 1}
    assert sum(report.files.values()) == 3
    assert held_out[:16] not in (tmp_path / "data" / "train-000000.tar").read_bytes().decode("latin1")


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("a.flac", 44100, {}),
        ("a.mp3", 44100, {}),
        ("a.ogg", 22050, {}),
        ("a.opus", 48000, {"format": "OGG", "subtype": "OPUS"}),
        ("a.aiff", 8000, {}),
        ("A.WAV", 96000, {"subtype": "PCM_24"}),
        ("naïve ∆.wav", 16000, {}),
        (os.fsdecode(b"latin-\xe9.wav"), 16000, {}),
    ],
)
def test_every_format_and_name_goes_in(tmp_path, write_noise, name, rate, options):
    write_noise(tmp_path / "audio" / "plain.wav", 1.5, rate, **options)
    (tmp_path / "audio" / "plain.wav").rename(tmp_path / "audio" / name)
    report = build_dataset([tmp_path / "audio"], tmp_path / "data")
    assert sum(report.files.values()) == 1
    assert sum(report.seconds.values()) == pytest.approx(1.5, abs=0.1)
    assert manifest(tmp_path / "data")[name].sample_rate == rate


def test_the_manifest_keeps_the_source_format(tmp_path, write_noise):
    write_noise(tmp_path / "audio" / "stereo.flac", 2.0, 44100, channels=2)
    build_dataset([tmp_path / "audio"], tmp_path / "data")
    entry = manifest(tmp_path / "data")["stereo.flac"]
    assert (entry.seconds, entry.sample_rate, entry.channels) == (2.0, 44100, 2)


def test_stereo_data_is_interleaved(tmp_path, write_noise):
    write_noise(tmp_path / "audio" / "a.wav", channels=2)
    build_dataset([tmp_path / "audio"], tmp_path / "data", BuildConfig(channels=2))
    ((_, pcm),) = [record for shard in (tmp_path / "data").glob("*.tar") for record in records(shard)]
    expected, _ = soundfile.read(tmp_path / "audio" / "a.wav", dtype="int16")
    np.testing.assert_array_equal(pcm.reshape(-1, 2), expected)


def test_new_data_keeps_old_splits_and_equals_a_fresh_build(tmp_path, make_corpus, contents):
    first, more, out = make_corpus(tmp_path / "first"), make_corpus(tmp_path / "more", 20, seed=500), tmp_path / "data"
    build_dataset([first], out, CONFIG)
    before = manifest(out)
    build_dataset([first, more], out, CONFIG)
    after = {entry.sha256: entry.split for entry in parse_manifest((out / "manifest.jsonl").read_text())}
    assert len(after) == 34
    assert all(after[entry.sha256] == entry.split for entry in before.values())
    build_dataset([first, more], tmp_path / "fresh", CONFIG)
    assert contents(out) == contents(tmp_path / "fresh")
    build_dataset([first], out, CONFIG)
    assert manifest(out) == before
    assert sorted(path.name for path in out.glob("*.tar")) == sorted(
        shard.name for shards in read_index(DataFolder(str(out)))[0].splits.values() for shard in shards
    )


def test_other_settings_are_refused_and_harm_nothing(tmp_path, make_corpus, contents):
    source, out = make_corpus(tmp_path / "audio", 3), tmp_path / "data"
    build_dataset([source], out, CONFIG)
    before = contents(out)
    with pytest.raises(DataError, match=r"built with sample_rate 16000, this build asks for 24000"):
        build_dataset([source], out, BuildConfig(sample_rate=24000))
    assert contents(out) == before


def test_a_folder_with_other_things_is_refused(tmp_path, make_corpus):
    out = tmp_path / "home"
    out.mkdir()
    (out / "thesis.txt").touch()
    with pytest.raises(DataError, match="is not empty"):
        build_dataset([make_corpus(tmp_path / "audio", 1)], out)
    with pytest.raises(DataError, match="is a file"):
        build_dataset([tmp_path / "audio"], out / "thesis.txt")


def test_nothing_usable_is_an_error_with_counts(tmp_path):
    source = tmp_path / "audio"
    source.mkdir()
    (source / "a.wav").write_text("no")
    (source / "b.wav").write_text("nor this")
    soundfile.write(source / "c.wav", np.zeros(16000), 16000)
    with pytest.raises(DataError, match=r"none of the 3 audio files .*1 silence, 2 undecodable"):
        build_dataset([source], tmp_path / "data")
    assert not (tmp_path / "data" / "index.json").exists()


@pytest.mark.parametrize(
    "settings", [{"channels": 3}, {"sample_rate": 0}, {"val_percent": 60, "test_percent": 40}, {"val_percent": -1}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(DataError, match="must be"):
        BuildConfig(**settings)
