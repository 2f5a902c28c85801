import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.container import (
    ContainerReader,
    ContainerStream,
    Header,
    read_container,
    recover_container,
    scan_container,
    write_container,
)
from codec.container.block import BLOCK_HEADER, BLOCK_MARKER
from codec.entropy import EntropyCoder, EntropyTables
from codec.entropy.storage import load_tables
from codec.errors import BitstreamError, ModelMismatchError

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
STAGES, CODES = 4, 16


def make_coder(seed=0, codes=CODES):
    """Tables under which a few codes of each stage are likely, whatever came before."""
    rng = np.random.default_rng(seed)
    sizes = np.full((STAGES, 2, codes), 16)
    sizes[:, :, 3] = (1 << 14) - 16 * (codes - 1)
    return EntropyCoder(
        EntropyTables(
            earlier=rng.integers(-9, 9, (STAGES, codes, 2), dtype=np.int8),
            before=rng.integers(-9, 9, (STAGES, codes, 2), dtype=np.int8),
            gates=rng.integers(-99, 99, (STAGES, 6, 2), dtype=np.int8),
            biases=np.zeros((STAGES, 2), np.int32),
            sizes=sizes.astype(np.uint16),
        )
    )


CODER = make_coder()


def make_header(**changes):
    fields = {
        "codec_name": "tiny",
        "fingerprint": bytes(range(8)),
        "sample_rate": 16_000,
        "num_samples": 320 * 1234 - 5,
        "source_sample_rate": 16_000,
        "source_num_samples": 320 * 1234 - 5,
        "channels": 2,
        "num_streams": 2,
        "num_quantizers": 3,
        "codebook_size": CODES,
        "hop_length": 320,
        "frames_per_block": 50,
        "coder": CODER.fingerprint,
    }
    return Header(**{**fields, **changes})


def draw_codes(header, likely, seed=0):
    """Code 3 with the share `likely`, any code otherwise."""
    rng = np.random.default_rng(seed)
    shape = (header.num_streams, header.num_quantizers, header.num_frames)
    return np.where(rng.random(shape) < likely, 3, rng.integers(0, header.codebook_size, shape))


HEADER = make_header()
LIKELY = draw_codes(HEADER, 0.9)
DATA = write_container(HEADER, LIKELY, coder=CODER)
PACKED = write_container(dataclasses.replace(HEADER, coder=b""), LIKELY)


shares = st.sampled_from([0, 0.5, 1])


@given(st.integers(1, 3000), st.integers(1, STAGES), st.sampled_from([1, 2]), st.integers(1, 60), shares)
def test_round_trip_for_any_codes(num_samples, stages, streams, frames, likely):
    header = make_header(
        num_samples=num_samples,
        source_num_samples=num_samples,
        num_quantizers=stages,
        num_streams=streams,
        hop_length=7,
        frames_per_block=frames,
    )
    codes = draw_codes(header, likely)
    data = write_container(header, codes, coder=CODER)
    container = read_container(data, CODER)
    assert container.header == header
    np.testing.assert_array_equal(container.codes, codes)
    packed = write_container(dataclasses.replace(header, coder=b""), codes)
    assert len(data) <= len(packed) + len(header.coder)


def test_likely_codes_take_fewer_bytes_and_unlikely_ones_no_more_than_packed():
    assert len(DATA) < 0.5 * len(PACKED)
    random = draw_codes(HEADER, 0.0)
    assert len(write_container(HEADER, random, coder=CODER)) <= len(PACKED) + 8


def test_a_stretch_reads_only_its_blocks():
    damaged = bytearray(DATA)
    damaged[DATA.index(BLOCK_MARKER, len(DATA) // 2) + 15] ^= 1
    reader = ContainerReader(io.BytesIO(bytes(damaged)), CODER)
    np.testing.assert_array_equal(reader.read_frames(1100, 134), LIKELY[..., 1100:])
    np.testing.assert_array_equal(reader.read_frames(49, 2), LIKELY[..., 49:51])
    with pytest.raises(BitstreamError, match=r"block \d+ .* fails its checksum"):
        reader.read_frames(0, 1234)


def test_block_by_block_from_a_pipe_gives_the_same():
    parts = list(ContainerStream(io.BytesIO(DATA), CODER))
    assert [part.codes.shape[2] for part in parts] == [50] * 24 + [34]
    np.testing.assert_array_equal(np.concatenate([part.codes for part in parts], axis=2), LIKELY)


def test_damage_is_found_without_the_tables_and_the_rest_recovered_with_them():
    damaged = bytearray(DATA)
    damaged[DATA.index(BLOCK_MARKER, len(DATA) // 2) + 15] ^= 1
    report = scan_container(bytes(damaged))
    assert (report.num_whole, len(report.bad), report.faults) == (24, 1, ())
    recovered = recover_container(bytes(damaged), CODER)
    assert recovered.missing.sum() == 50
    np.testing.assert_array_equal(recovered.codes[..., ~recovered.missing], LIKELY[..., ~recovered.missing])


def test_without_its_end_a_container_still_counts_what_is_lost():
    report = scan_container(DATA[: len(DATA) // 2])
    lost = sum(bad.end - bad.first for bad in report.bad)
    assert report.faults
    assert (report.num_whole, lost) == (report.num_whole, 1)
    assert 10 <= report.num_whole <= 13


@pytest.mark.parametrize("coder", [None, make_coder(seed=1)])
def test_the_wrong_tables_are_refused(coder):
    match = f"needs the entropy tables {CODER.fingerprint.hex()}"
    with pytest.raises(ModelMismatchError, match=match):
        read_container(DATA, coder)
    with pytest.raises(ModelMismatchError, match=match):
        ContainerReader(io.BytesIO(DATA), coder).read_frames(0, 1)
    with pytest.raises(ModelMismatchError, match=match):
        recover_container(DATA, coder)
    with pytest.raises(ModelMismatchError, match=match):
        write_container(HEADER, LIKELY, coder=coder)


def test_a_header_that_contradicts_the_tables_it_names_is_refused():
    more = make_header(num_quantizers=STAGES + 1)
    with pytest.raises(BitstreamError, match="contradicts the entropy tables"):
        write_container(more, draw_codes(more, 1.0), coder=CODER)


def test_a_packed_container_needs_no_tables_and_takes_no_notice_of_any():
    np.testing.assert_array_equal(read_container(PACKED, CODER).codes, read_container(PACKED).codes)


def test_a_block_may_not_hold_more_codes_than_its_bytes_justify():
    """Codes that cost nothing are packed instead, so a reader never allocates much on the word of a few bytes."""
    header = make_header(num_samples=320 * 20_000, source_num_samples=320 * 20_000, frames_per_block=20_000)
    codes = np.full((2, 3, 20_000), 3)
    data = write_container(header, codes, coder=CODER)
    assert len(data) > codes.size / 256 + BLOCK_HEADER.size
    np.testing.assert_array_equal(read_container(data, CODER).codes, codes)


def test_the_released_entropy_coded_container_is_read_for_ever():
    coder = EntropyCoder(load_tables(GOLDEN / "container_v1_entropy.safetensors"))
    data, codes = (GOLDEN / "container_v1_entropy.nac").read_bytes(), np.load(GOLDEN / "container_v1_entropy.npy")
    container = read_container(data, coder)
    np.testing.assert_array_equal(container.codes, codes)
    assert write_container(container.header, codes, coder=coder) == data
    assert container.header.coder == coder.fingerprint
