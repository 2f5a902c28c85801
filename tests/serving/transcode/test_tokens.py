"""Token records: the codes of the container, the delay there and back, and files that others' tools read."""

import gc
import io
import json
import subprocess
import tarfile

import numpy as np
import pytest
import soundfile
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from codec.audio import Audio
from codec.compress import compress
from codec.container import read_container
from codec.entropy import EntropyTables
from codec.errors import CapabilityError, DataError, ModelMismatchError
from codec.metadata import Metadata
from codec.weights import load_package, write_package
from serving.transcode.fragments import END, read_fragment, write_fragment
from serving.transcode.tokens.delay import apply_delay, undo_delay
from serving.transcode.tokens.key import record_key, record_source
from serving.transcode.tokens.make import token_record
from serving.transcode.tokens.record import read_record
from tiny import segmented_codec

NOTES = {"txt": "Guten Tag, \u4f60\u597d", "json": '{"speaker": "\u00e4", "turns": [1.5, null]}'}
SILENCE = Audio(samples=np.zeros((1, 8_000), np.float32), sample_rate=8_000)
METADATA = Metadata(tags={"title": ("A",)}, mtime_ns=5)


def noise(channels=1, seconds=0.3, sample_rate=8_000, seed=0):
    samples = np.random.default_rng(seed).standard_normal((channels, round(seconds * sample_rate)))
    return Audio(samples=0.1 * samples.astype(np.float32), sample_rate=sample_rate)


@pytest.fixture(scope="module")
def container(model):
    return compress(model, noise(channels=2, sample_rate=11_025), num_quantizers=3, metadata=METADATA)


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """A codec in segments, which takes both channels as one stream."""
    directory = tmp_path_factory.mktemp("package") / "stereo"
    write_package(directory, segmented_codec(name="stereo"), metrics={}, lineage={})
    return load_package(directory)


@pytest.fixture(scope="module")
def fitted(model, tmp_path_factory):
    """The model again, with tables under which the codes of silence are likelier than the others."""
    silent = read_container(compress(model, SILENCE)).codes[0, :, 5]
    sizes = np.full((4, 1, 16), 512, np.uint16)
    sizes[np.arange(4), 0, silent] = (1 << 14) - 15 * 512
    tables = EntropyTables(
        earlier=np.zeros((4, 16, 1), np.int8),
        before=np.zeros((4, 16, 1), np.int8),
        gates=np.zeros((4, 3, 1), np.int8),
        biases=np.zeros((4, 1), np.int32),
        sizes=sizes,
    )
    directory = tmp_path_factory.mktemp("package") / "fitted"
    write_package(directory, model.codec, metrics={}, lineage={}, tables=tables)
    return load_package(directory)


def test_a_record_holds_the_codes_and_what_they_mean(model, container):
    members = token_record(model, container, "talks/one.two.wav", NOTES)
    assert [name for name, _ in members] == [
        f"talks/one%2Etwo%2Ewav{suffix}" for suffix in (".codes.npy", ".json", ".txt")
    ]
    record = read_record(members)
    codes = read_container(container).codes
    assert record.codes.dtype == np.uint16
    np.testing.assert_array_equal(record.codes, codes.reshape(6, -1))
    np.testing.assert_array_equal(record.parallel_codes, record.codes)
    assert (record.key, record.text, record.scales) == ("talks/one%2Etwo%2Ewav", NOTES["txt"], None)
    assert record_source(record.key) == record.facts["source"] == "talks/one.two.wav"
    assert record.facts == {
        "source": "talks/one.two.wav",
        "model": "tiny",
        "fingerprint": model.package.fingerprint,
        "sample_rate": 8_000,
        "num_samples": 2401,
        "source_sample_rate": 11_025,
        "source_num_samples": 3308,
        "seconds": 3308 / 11_025,
        "channels": 2,
        "streams": 2,
        "hop_length": 32,
        "frame_rate": 250.0,
        "num_frames": 76,
        "num_quantizers": 3,
        "codebook_size": 16,
        "pattern": "parallel",
        "padding": None,
        "metadata": {"tags": {"title": "A"}, "mtime_ns": 5},
        "note": json.loads(NOTES["json"]),
    }
    assert token_record(model, container, "talks/one.two.wav", NOTES) == members


def test_entropy_coded_and_packed_containers_give_the_same_codes(model, fitted):
    coded, packed = compress(fitted, SILENCE), compress(model, SILENCE)
    assert len(coded) < len(packed)
    records = [read_record(token_record(*given, "a.wav", {})) for given in ((fitted, coded), (model, packed))]
    np.testing.assert_array_equal(records[0].codes, records[1].codes)


def test_segments_keep_their_scales(stereo):
    data = compress(stereo, noise(channels=2, seconds=0.2, sample_rate=stereo.package.config.sample_rate))
    parsed = read_container(data)
    record = read_record(token_record(stereo, data, "a.wav", {}))
    np.testing.assert_array_equal(record.scales, parsed.scales)
    np.testing.assert_array_equal(record.codes, parsed.codes[0])
    assert record.facts["segment_frames"] == parsed.header.frames_per_block
    assert record.facts["segment_overlap_samples"] == parsed.header.overlap


def test_a_delayed_record_can_be_undone(model, container):
    plain = read_record(token_record(model, container, "a.wav", {}))
    record = read_record(token_record(model, container, "a.wav", {}, delay=True))
    assert (record.facts["pattern"], record.facts["padding"]) == ("delay", 16)
    assert record.codes.shape == (6, 78)
    assert (record.codes[5, :2] == 16).all()
    np.testing.assert_array_equal(record.parallel_codes, plain.codes)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 40), st.integers(2, 65_535), st.integers(0, 2**32))
def test_the_delay_there_and_back(streams, stages, frames, size, seed):
    codes = np.random.default_rng(seed).integers(0, size, (streams * stages, frames)).astype(np.uint16)
    delayed = apply_delay(codes, stages, size)
    assert delayed.shape == (streams * stages, frames + stages - 1)
    np.testing.assert_array_equal(undo_delay(delayed, stages, size), codes)


def test_the_delay_is_musicgens():
    codes = np.arange(9, dtype=np.uint16).reshape(3, 3)
    assert apply_delay(codes, 3, 99).tolist() == [[0, 1, 2, 99, 99], [99, 3, 4, 5, 99], [99, 99, 6, 7, 8]]


def test_what_is_no_delayed_pattern_is_refused():
    codes = apply_delay(np.zeros((4, 5), np.uint16), 2, 10)
    for wrong in (codes[:, 1:], codes[:3], codes[:, :0], np.where(codes == 10, 3, codes), codes[::-1]):
        with pytest.raises(DataError, match="delayed codes of 2 stages"):
            undo_delay(wrong, 2, 10)
    with pytest.raises(CapabilityError, match="leave the delay out"):
        apply_delay(codes, 2, 65_536)


names = st.text(min_size=1, max_size=20) | st.sampled_from(["a.wav", "a%2Ewav", "a.b/c.d", "\udcff.wav", ".a", "\n"])


@given(st.lists(names, max_size=5, unique=True))
def test_a_key_is_one_for_webdataset_and_tells_its_source(given):
    keys = [record_key(name) for name in given]
    assert [record_source(key) for key in keys] == given
    assert len(set(keys)) == len(keys)
    for key, name in zip(keys, given, strict=True):
        key.encode()
        if not name.endswith("/"):
            assert webdataset.tariterators.base_plus_ext(f"{key}.codes.npy") == (key, "codes.npy")


def test_shards_are_fragments_in_a_row(model, container, tmp_path):
    sources = [f"{'deep/' * 40}{number}.wav" for number in range(3)] + ["\u4f60.flac", "\udcff.flac"]
    pieces = [write_fragment(token_record(model, container, source, NOTES)) for source in sources]
    shard = tmp_path / "tokens-000000.tar"
    shard.write_bytes(b"".join(pieces) + END)
    with tarfile.open(shard) as tar:
        names = tar.getnames()
    assert names == [name for piece in pieces for name, _ in read_fragment(piece)]
    listed = subprocess.run(["tar", "--quoting-style=literal", "-tf", shard], check=True, capture_output=True)
    assert listed.stdout.decode().splitlines() == names
    assert listed.stderr == b""
    subprocess.run(["tar", "-xf", shard, "-C", tmp_path], check=True)
    assert (tmp_path / names[2]).read_text() == NOTES["txt"]
    assert (tmp_path / names[0]).read_bytes() == dict(read_fragment(pieces[0]))[names[0]]


# WebDataset leaves closing its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_webdataset_reads_them(model, container, tmp_path):
    sources = [f"talks/{number}.wav" for number in range(3)]
    pieces = [write_fragment(token_record(model, container, source, NOTES)) for source in sources]
    shard = tmp_path / "tokens-000000.tar"
    shard.write_bytes(b"".join(pieces) + END)
    records = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode())
    gc.collect()
    assert [record["__key__"] for record in records] == [record_key(source) for source in sources]
    for record in records:
        np.testing.assert_array_equal(record["codes.npy"], read_container(container).codes.reshape(6, -1))
        assert record["json"]["frame_rate"] == 250.0
        assert record["txt"] == NOTES["txt"]


def test_a_note_that_is_no_json_is_refused(model, container):
    for text in ("", "{", "NaN", "[1e999]", '"\\ud800"', "[" * 100_000):
        with pytest.raises(DataError, match=r"the json beside 'a\.wav' is none that can be carried"):
            token_record(model, container, "a.wav", {"json": text})


def test_another_models_container_is_refused(other_model, container):
    with pytest.raises(ModelMismatchError):
        token_record(other_model, container, "a.wav", {})


def test_files_that_are_no_record_are_refused():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(8), 8_000, format="wav")
    for members in (
        [],
        [("a.wav", buffer.getvalue())],
        [("a.codes.npy", b"")],
        [("a.codes.npy", b"x" * 99), ("a.json", b"{}")],
    ):
        with pytest.raises(DataError, match="no token record"):
            read_record(members)
