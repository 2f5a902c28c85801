"""Token shards as Parquet: every row is its record, in groups of bounded size."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest

from codec.audio import Audio
from codec.compress import compress
from codec.errors import DataError, MissingToolError
from codec.weights import load_package, write_package
from serving.transcode.tokens.make import token_record
from serving.transcode.tokens.parquet import GROUP_ROWS, write_parquet
from serving.transcode.tokens.record import CODES, FACTS, npy_bytes, read_record
from tiny import segmented_codec

GROUP_BYTES = 1 << 20


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    directory = tmp_path_factory.mktemp("package") / "stereo"
    write_package(directory, segmented_codec(name="stereo"), metrics={}, lineage={})
    return load_package(directory)


@pytest.fixture(scope="module")
def records(model, stereo):
    """Records of different shapes, with and without texts, a delay and segments."""
    generator = np.random.default_rng(0)

    def make(loaded, name, channels, num_samples, notes, delay):
        samples = 0.1 * generator.standard_normal((channels, num_samples)).astype(np.float32)
        data = compress(loaded, Audio(samples=samples, sample_rate=loaded.package.config.sample_rate))
        return token_record(loaded, data, name, notes, delay=delay)

    return [
        make(model, "a.wav", 1, 100, {"txt": "\u4f60\u597d"}, False),
        make(model, "b.wav", 2, 1000, {}, True),
        make(stereo, "c.wav", 2, 700, {"json": '{"x": 1}'}, False),
        make(model, "d.wav", 1, 1, {"txt": ""}, False),
    ]


def test_each_row_is_its_record(records, tmp_path):
    write_parquet(tmp_path / "a.parquet", records)
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == len(records)
    for row, record in zip(rows, map(read_record, records), strict=True):
        assert (row["key"], row["text"]) == (record.key, record.text)
        np.testing.assert_array_equal(np.array(row["codes"], np.uint16), record.codes)
        scales = None if row["scales"] is None else np.array(row["scales"], np.float32)
        np.testing.assert_array_equal(scales, record.scales)
        assert json.loads(row["facts"]) == record.facts
        assert {name: row[name] for name in ("source", "frame_rate", "streams", "padding")} == {
            name: record.facts[name] for name in ("source", "frame_rate", "streams", "padding")
        }
    assert str(pq.read_schema(tmp_path / "a.parquet").field("codes").type.value_type.value_type) == "uint16"


def test_the_same_records_are_the_same_bytes(records, tmp_path):
    write_parquet(tmp_path / "a.parquet", records)
    write_parquet(tmp_path / "b.parquet", iter(records))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_no_records_are_a_table_without_rows(tmp_path):
    write_parquet(tmp_path / "a.parquet", [])
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0


def test_a_group_has_its_most_rows(records, tmp_path):
    write_parquet(tmp_path / "a.parquet", (records[3] for _ in range(GROUP_ROWS + 1)))
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [GROUP_ROWS, 1]


def test_memory_is_that_of_a_group(records, tmp_path, monkeypatch):
    """Twenty records of three quarters of a group's bytes: no two go together, nor are they held together."""
    monkeypatch.setattr("serving.transcode.tokens.parquet.GROUP_BYTES", GROUP_BYTES)
    codes = npy_bytes(np.zeros((4, 3 * GROUP_BYTES // 32), np.uint16))
    facts = next(data for name, data in records[0] if name.endswith(FACTS))
    write_parquet(tmp_path / "a.parquet", records)  # imports are not counted
    tracemalloc.start()
    write_parquet(tmp_path / "a.parquet", ([(f"{n}{CODES}", codes), (f"{n}{FACTS}", facts)] for n in range(20)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 20
    assert peak < 4 * GROUP_BYTES


def test_what_is_no_record_is_refused(tmp_path):
    with pytest.raises(DataError, match="no token record"):
        write_parquet(tmp_path / "a.parquet", [[("a.wav", b"")]])


def test_without_pyarrow_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingToolError, match=r"pip install 'nacre\[tokens\]'"):
        write_parquet(tmp_path / "a.parquet", [])


def test_a_coordinator_needs_no_torch():
    script = """
import sys
import serving.transcode.tokens.parquet, serving.transcode.tokens.key
assert not {"torch", "pyarrow"} & set(sys.modules), "imported"
"""
    subprocess.run([sys.executable, "-c", script], check=True)
