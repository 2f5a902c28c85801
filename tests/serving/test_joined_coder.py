"""Entropy decoding of many threads together: each gets what it gets alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from codec.entropy import EntropyCoder, EntropyTables
from codec.errors import BitstreamError
from serving.joined_coder import JoinedCoder

STAGES, CODES = 4, 16


def make_coder():
    rng = np.random.default_rng(0)
    sizes = 1 + rng.multinomial((1 << 14) - CODES, rng.dirichlet(np.full(CODES, 0.3), (STAGES, 3)))
    return EntropyCoder(
        EntropyTables(
            earlier=rng.integers(-60, 61, (STAGES, CODES, 2), dtype=np.int8),
            before=rng.integers(-60, 61, (STAGES, CODES, 2), dtype=np.int8),
            gates=rng.integers(-127, 128, (STAGES, 6, 3), dtype=np.int8),
            biases=rng.integers(-9000, 9000, (STAGES, 3), dtype=np.int32),
            sizes=sizes.astype(np.uint16),
        )
    )


class Gate:
    """A coder that waits in its first call until it is opened, and tells how many blocks went together."""

    def __init__(self, coder):
        self.fingerprint, self.num_quantizers, self.codebook_size = coder.fingerprint, STAGES, CODES
        self.opened, self.entered, self.sizes, self._coder = threading.Event(), threading.Event(), [], coder

    def decode(self, messages, *arguments):
        self.sizes.append(len(messages))
        self.entered.set()
        assert self.opened.wait(20)
        return self._coder.decode(messages, *arguments)


def draw(coder, streams, stages, frames, seed):
    """Return the codes of blocks of so many frames, and the call that decodes them."""
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, CODES, (streams, stages, count)) for count in frames]
    return codes, ([coder.encode(block[None])[0] for block in codes], streams, stages, frames)


def decode_together(joined, gate, calls):
    """Make all calls so that the others wait while the first one runs; return their results."""
    with ThreadPoolExecutor(len(calls)) as threads:
        first = threads.submit(joined.decode, *calls[0])
        assert gate.entered.wait(20)
        others = [threads.submit(joined.decode, *call) for call in calls[1:]]
        while len(joined._waiting) < len(others):
            time.sleep(0.001)
        gate.opened.set()
        return [future.exception() or future.result() for future in [first, *others]]


@pytest.fixture
def coder():
    return make_coder()


def test_those_who_wait_are_decoded_together_each_to_its_own_codes(coder):
    drawn = [draw(coder, 1, 3, frames, seed) for seed, frames in enumerate([[5], [9, 2], [4], [7, 7, 1]])]
    gate = Gate(coder)
    results = decode_together(JoinedCoder(gate), gate, [call for _, call in drawn])
    assert gate.sizes == [1, 6]
    for (codes, _), result in zip(drawn, results, strict=True):
        assert len(result) == len(codes)
        for decoded, block in zip(result, codes, strict=True):
            np.testing.assert_array_equal(decoded, block)


def test_other_streams_or_stages_go_apart(coder):
    drawn = [draw(coder, *shape, [5], seed) for seed, shape in enumerate([(1, 3), (1, 3), (2, 3), (1, 4), (1, 3)])]
    gate = Gate(coder)
    results = decode_together(JoinedCoder(gate), gate, [call for _, call in drawn])
    assert sorted(gate.sizes) == [1, 1, 1, 2]
    for (codes, _), result in zip(drawn, results, strict=True):
        np.testing.assert_array_equal(result[0], codes[0])


def test_a_block_that_cannot_be_decoded_fails_its_own_call_alone(coder):
    drawn = [draw(coder, 1, 3, [5, 6], seed) for seed in range(4)]
    drawn[2][1][0][1] += b"1234"
    gate = Gate(coder)
    results = decode_together(JoinedCoder(gate), gate, [call for _, call in drawn])
    assert isinstance(results[2], BitstreamError)
    for index in (0, 1, 3):
        np.testing.assert_array_equal(results[index][1], drawn[index][0][1])


def test_whatever_goes_wrong_together_is_tried_alone(coder):
    class Small(Gate):
        def decode(self, messages, *arguments):
            codes = super().decode(messages, *arguments)
            if len(messages) > 1:
                raise MemoryError
            return codes

    drawn = [draw(coder, 1, 3, [5], seed) for seed in range(3)]
    gate = Small(coder)
    results = decode_together(JoinedCoder(gate), gate, [call for _, call in drawn])
    assert gate.sizes == [1, 2, 1, 1]
    for (codes, _), result in zip(drawn, results, strict=True):
        np.testing.assert_array_equal(result[0], codes[0])


def test_no_more_go_together_than_memory_is_meant_for(coder):
    drawn = [draw(coder, 1, 2, [1] * 60, seed) for seed in range(5)]
    gate = Gate(coder)
    results = decode_together(JoinedCoder(gate), gate, [call for _, call in drawn])
    assert gate.sizes == [60, 120, 120]
    for (codes, _), result in zip(drawn, results, strict=True):
        np.testing.assert_array_equal(np.stack(result), np.stack(codes))


def test_many_threads_at_once_each_get_their_own(coder):
    drawn = [draw(coder, 1 + seed % 2, 1 + seed % 3, [1 + seed % 7, 3], seed) for seed in range(60)]
    joined = JoinedCoder(coder)
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(lambda one: joined.decode(*one[1]), drawn))
    for (codes, _), result in zip(drawn, results, strict=True):
        for decoded, block in zip(result, codes, strict=True):
            np.testing.assert_array_equal(decoded, block)
