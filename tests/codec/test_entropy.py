import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.entropy import EntropyCoder, EntropyTables
from codec.entropy.mixture import Mixture
from codec.entropy.rans import encode_messages
from codec.entropy.storage import load_tables, save_tables
from codec.errors import BitstreamError, PackageError


def make_tables(seed=0, stages=4, codes=16, features=3, classes=5):
    """Tables of which each says something else in every context."""
    rng = np.random.default_rng(seed)
    sizes = 1 + rng.multinomial((1 << 14) - codes, rng.dirichlet(np.full(codes, 0.3), (stages, classes)))
    return EntropyTables(
        earlier=rng.integers(-60, 61, (stages, codes, features), dtype=np.int8),
        before=rng.integers(-60, 61, (stages, codes, features), dtype=np.int8),
        gates=rng.integers(-127, 128, (stages, 3 * features, classes), dtype=np.int8),
        biases=rng.integers(-9000, 9000, (stages, classes), dtype=np.int32),
        sizes=sizes.astype(np.uint16),
    )


TABLES = make_tables()
CODER = EntropyCoder(TABLES)


def likely_codes(streams, stages, frames, seed=0):
    """Draw codes as the tables expect them: what random bytes decode to."""
    rng = np.random.default_rng(seed)
    mixture = Mixture(TABLES)
    codes = np.zeros((streams, stages, frames), np.int64)
    for stream in range(streams):
        past = np.zeros((2, 3), np.float64)
        for frame in range(frames):
            earlier, following = np.zeros(3, np.float64), np.zeros(3, np.float64)
            for stage in range(stages):
                weights = mixture.weigh(stage, np.concatenate([earlier, *past])[None])
                code = mixture.find(stage, weights, rng.integers(0, 1 << 24, 1)).codes
                codes[stream, stage, frame] = code[0]
                earlier, following = (
                    earlier + mixture.earlier(stage, code)[0],
                    following + mixture.before(stage, code)[0],
                )
            past = np.stack([following, past[0]])
    return codes


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9))
def test_any_codes_come_back_however_many_blocks_go_together(seed, blocks, streams, stages, frames):
    codes = np.random.default_rng(seed).integers(0, 16, (blocks, streams, stages, frames))
    messages = CODER.encode(codes)
    np.testing.assert_array_equal(CODER.decode(messages, streams, stages, [frames] * blocks), codes)
    for message, block in zip(messages, codes, strict=True):
        assert CODER.encode(block[None]) == [message]
        np.testing.assert_array_equal(CODER.decode([message], streams, stages, [frames])[0], block)


@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from([1, 3, 12, 23]))
def test_messages_are_the_same_however_many_are_written_together(seed, symbols, bits):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 1 << bits, (40, symbols))
    starts = rng.integers(0, (1 << 24) - sizes)
    alone = [encode_messages(start[None], size[None])[0] for start, size in zip(starts, sizes, strict=True)]
    assert encode_messages(starts, sizes) == alone


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 4), st.lists(st.integers(1, 9), max_size=6))
def test_blocks_of_any_lengths_are_decoded_together(seed, streams, stages, frames):
    rng = np.random.default_rng(seed)
    blocks = [rng.integers(0, 16, (streams, stages, count)) for count in frames]
    messages = [CODER.encode(block[None])[0] for block in blocks]
    for decoded, block in zip(CODER.decode(messages, streams, stages, frames), blocks, strict=True):
        np.testing.assert_array_equal(decoded, block)


def test_codes_that_the_tables_expect_take_the_bits_they_should():
    codes = likely_codes(1, 4, 200)
    mixture = Mixture(TABLES)
    (message,) = CODER.encode(codes[None])
    packed_bytes = 4 * 200 * 4 / 8
    assert len(message) < 0.8 * packed_bytes
    # The cost of the first code of each stage, from its interval, is that of its probability.
    weights = mixture.weigh(0, np.zeros((1, 9), np.float64))
    found = mixture.locate(0, np.repeat(weights, 16, axis=0), np.arange(16))
    assert found.starts[0] == 0
    np.testing.assert_array_equal(found.starts[1:], np.cumsum(found.sizes)[:-1])
    assert found.sizes.sum() == 1 << 24
    assert found.sizes.min() > 0


def test_every_place_is_found_in_the_interval_that_holds_it():
    mixture = Mixture(TABLES)
    weights = mixture.weigh(2, np.full((16, 9), 31, np.float64))
    found = mixture.locate(2, weights, np.arange(16))
    np.testing.assert_array_equal(mixture.find(2, weights, found.starts).codes, np.arange(16))
    np.testing.assert_array_equal(mixture.find(2, weights, found.starts + found.sizes - 1).codes, np.arange(16))


def test_only_differences_of_biases_count_however_large_they_are():
    codes = likely_codes(2, 4, 60)[None]
    raised = EntropyCoder(dataclasses.replace(TABLES, biases=TABLES.biases + (1 << 24) - 9000))
    assert raised.encode(codes) == CODER.encode(codes)
    np.testing.assert_array_equal(raised.decode(raised.encode(codes), 2, 4, [60]), codes)


def test_the_context_changes_what_is_likely():
    codes = np.zeros((2, 1, 4, 50), np.int64)
    codes[1, :, :, 10] = 7
    same, other = CODER.encode(codes)
    assert same[-60:] != other[-60:]


def test_the_bytes_are_the_same_on_every_machine():
    """A message once written, which any other way of computing the mixture would change."""
    codes = np.arange(4 * 12).reshape(1, 4, 12) * 7 % 16
    assert CODER.fingerprint.hex() == FINGERPRINT
    assert CODER.encode(codes[None])[0].hex() == MESSAGE


FINGERPRINT = "c5d2070f11a0b0f4"
MESSAGE = "c3b10ffb1e6a2931e4adf0a931dbdbb306b6666dd7df8c9b47388d6a7a0e4d3a8cc8"


def test_a_message_costs_little_more_than_its_information():
    sizes = np.full((1, 20), 1 << 12)
    (message,) = encode_messages(5 * sizes, sizes)
    assert 20 * 12 / 8 <= len(message) <= 20 * 12 / 8 + 1


@pytest.mark.parametrize("message", [b"", b"\x00", b"\x01\x00", bytes(12)])
def test_a_message_without_a_state_is_refused(message):
    with pytest.raises(BitstreamError, match="state"):
        CODER.decode([message], 1, 4, [2])


@given(st.binary(min_size=1, max_size=40), st.integers(1, 20))
def test_random_bytes_are_codes_or_are_refused(data, frames):
    try:
        (codes,) = CODER.decode([data], 1, 4, [frames])
    except BitstreamError:
        return
    # What is not refused is the one message of these codes.
    assert CODER.encode(codes[None]) == [data]


def test_cut_and_extended_messages_are_refused():
    (message,) = CODER.encode(np.random.default_rng(0).integers(0, 16, (1, 1, 4, 40)))
    for damaged in (message[:-4], message + b"1234", message[1:]):
        with pytest.raises(BitstreamError):
            CODER.decode([damaged], 1, 4, [40])


def test_tables_are_stored_and_named_by_what_they_hold(tmp_path):
    save_tables(TABLES, tmp_path / "entropy.safetensors")
    assert load_tables(tmp_path / "entropy.safetensors").fingerprint == TABLES.fingerprint
    changed = TABLES.biases.copy()
    changed[0, 0] += 1
    assert dataclasses.replace(TABLES, biases=changed).fingerprint != TABLES.fingerprint


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("earlier", lambda a: a.astype(np.int16)),
        ("before", lambda a: a[:, :-1]),
        ("gates", lambda a: a[..., :-1]),
        ("biases", lambda a: a + (1 << 24)),
        ("sizes", lambda a: a - 1),
        ("sizes", np.zeros_like),
    ],
)
def test_tables_that_contradict_themselves_are_refused(name, change, tmp_path):
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(TABLES, **{name: change(getattr(TABLES, name))})


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "entropy.safetensors"
    path.write_bytes(b"not tables")
    with pytest.raises(PackageError, match="entropy tables"):
        load_tables(path)


SCRIPT = """
import hashlib, sys
sys.path.insert(0, {folder!r})
from test_entropy import EntropyCoder, make_tables
import numpy as np
coder = EntropyCoder(make_tables(seed=1, stages=6, codes=1000, features=16, classes=64))
codes = np.random.default_rng(0).integers(0, 1000, (16, 1, 6, 25))
messages = coder.encode(codes)
assert (np.stack(coder.decode(messages, 1, 6, [25] * 16)) == codes).all()
print(hashlib.sha256(b"".join(messages)).hexdigest())
"""


def test_the_number_of_threads_changes_nothing():
    found = set()
    for threads in ("1", "8"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        script = SCRIPT.format(folder=str(Path(__file__).parent))
        result = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        found.add(result.stdout)
    assert len(found) == 1
