"""Dynamic batching: whoever shares a forward, each gets the bits it gets alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from codec import ragged
from codec.chunked import decode_chunked, encode_chunked
from serving import batcher as batcher_module
from serving.batcher import BatchedCodec, Batcher, CancelledError
from serving.observe.metrics import Metrics
from tiny import tiny_codec

LENGTHS = [800, 801, 960, 1000, 1000, 1000, 4000, 4000, 33, 50_000]


@pytest.fixture(scope="module")
def codec():
    return tiny_codec()


def audio(length, seed=0, streams=1):
    return 0.1 * torch.randn(streams, 1, length, generator=torch.Generator().manual_seed(seed))


class Gate:
    """A codec that waits at its first window until it is opened, and counts what went together."""

    def __init__(self, codec):
        self.config, self.encoder, self.quantizer, self._codec = codec.config, codec.encoder, codec.quantizer, codec
        self.decoder = codec.decoder
        self.opened, self.entered, self.sizes = threading.Event(), threading.Event(), []

    def encode(self, window, **choice):
        self._pass(window)
        return self._codec.encode(window, **choice)

    def decode(self, codes):
        self._pass(codes)
        return self._codec.decode(codes)

    def _pass(self, window):
        self.sizes.append(len(window))
        self.entered.set()
        assert self.opened.wait(20)


def together(gate, batcher, calls):
    """Run all calls so that all but the first wait while that one runs; return their results."""
    with ThreadPoolExecutor(len(calls) + 1) as threads:
        first = threads.submit(calls[0])
        assert gate.entered.wait(20)
        others = []
        for call in calls[1:]:
            others.append(threads.submit(call))
            while batcher.depth < len(others):
                time.sleep(0.001)
        gate.opened.set()
        return [future.exception() or future.result() for future in [first, *others]]


def batched(gate, batcher):
    return BatchedCodec(gate, batcher, threading.Event())


def test_codes_don_t_depend_on_the_company(codec):
    batcher = Batcher(slots=3, max_batch_samples=20_000, metrics=Metrics())
    through = BatchedCodec(codec, batcher, threading.Event())
    inputs = [audio(length, seed, streams=1 + seed % 2) for seed, length in enumerate(LENGTHS)]

    def both_ways(window):
        codes = through.encode(window, num_quantizers=4, denoise=False)
        return codes, through.decode(codes)

    with ThreadPoolExecutor(len(inputs)) as threads:
        results = list(threads.map(both_ways, inputs * 3))
    for window, (codes, decoded) in zip(inputs * 3, results, strict=True):
        alone = codec.encode(window, num_quantizers=4)
        assert torch.equal(codes, alone)
        assert torch.equal(decoded, codec.decode(alone))


def test_what_waits_goes_together(codec):
    gate, batcher = Gate(codec), Batcher(slots=1, max_batch_samples=10_000, metrics=Metrics())
    calls = [
        lambda seed=seed: batched(gate, batcher).encode(audio(1000, seed), num_quantizers=4, denoise=False)
        for seed in range(9)
    ]
    results = together(gate, batcher, calls)
    assert gate.sizes == [1, 8]
    for seed, codes in enumerate(results):
        assert torch.equal(codes, codec.encode(audio(1000, seed)))


def test_codes_of_other_lengths_are_decoded_together(codec, monkeypatch):
    joined = []

    def decode_ragged(codec, codes, frame_counts):
        joined.append(frame_counts.tolist())
        return ragged.decode_ragged(codec, codes, frame_counts)

    monkeypatch.setattr(batcher_module, "decode_ragged", decode_ragged)
    coded = [codec.encode(audio(length, seed)) for seed, length in enumerate((900, 1000, 1050, 1090, 4000))]
    gate, batcher = Gate(codec), Batcher(slots=1, max_batch_samples=20_000, metrics=Metrics())
    results = together(gate, batcher, [lambda codes=codes: batched(gate, batcher).decode(codes) for codes in coded])
    lengths = [codes.shape[-1] for codes in coded]
    assert gate.sizes == [1, 1]
    assert [sorted(one) for one in joined] == [lengths[1:4]]
    assert len(set(lengths[1:4])) > 1
    for codes, decoded in zip(coded, results, strict=True):
        assert torch.equal(decoded, codec.decode(codes))


def test_a_batch_is_bounded_and_of_one_kind(codec):
    gate, batcher = Gate(codec), Batcher(slots=1, max_batch_samples=3000, metrics=Metrics())
    calls = [
        lambda stages=stages: batched(gate, batcher).encode(audio(1000), num_quantizers=stages, denoise=False)
        for stages in (4, 4, 4, 4, 4, 2, 2)
    ]
    together(gate, batcher, calls)
    assert gate.sizes == [1, 3, 1, 2]


def test_one_bad_item_fails_alone(codec):
    gate, batcher = Gate(codec), Batcher(slots=1, max_batch_samples=10_000, metrics=Metrics())
    good = codec.encode(audio(1000))
    bad = good.clone()
    bad[0, 0, 0] = 10_000
    items = [good, good, bad, good]
    results = together(gate, batcher, [lambda codes=codes: batched(gate, batcher).decode(codes) for codes in items])
    assert isinstance(results[2], IndexError)
    for index in (0, 1, 3):
        assert torch.equal(results[index], codec.decode(good))


def test_a_cancelled_request_ends_at_its_next_window(codec):
    cancelled = threading.Event()
    through = BatchedCodec(codec, Batcher(slots=1, max_batch_samples=1000, metrics=Metrics()), cancelled)
    windows = encode_chunked(codec, [audio(4000)], window_frames=16, through=through)
    next(windows)
    cancelled.set()
    with pytest.raises(CancelledError):
        next(windows)


@pytest.mark.parametrize("frames", [5, 40])
def test_windows_are_as_long_as_is_wanted(codec, frames):
    lengths = []

    class Watched:
        window_frames = frames

        def encode(self, window, **choice):
            lengths.append(codec.config.num_frames(window.shape[-1]))
            return codec.encode(window, **choice)

        def decode(self, codes):
            lengths.append(codes.shape[-1])
            return codec.decode(codes)

    hop, whole = codec.config.hop_length, codec.encode(audio(4000))
    for context, run in (
        (codec.config.network.encoder_context(hop), lambda: encode_chunked(codec, [audio(4000)], through=Watched())),
        (codec.config.network.decoder_context(hop), lambda: decode_chunked(codec, [whole], through=Watched())),
    ):
        lengths.clear()
        result = torch.cat([*run()], -1)
        assert max(lengths) == min(whole.shape[-1], frames + context.left + context.right)
    torch.testing.assert_close(result, codec.decode(whole), rtol=0, atol=1e-5)


def test_work_alone_holds_a_slot(codec):
    batcher = Batcher(slots=1, max_batch_samples=1000, metrics=Metrics())
    done = threading.Event()
    with batcher.alone():
        thread = threading.Thread(target=lambda: (batched(codec, batcher).decode(codec.encode(audio(99))), done.set()))
        thread.start()
        assert not done.wait(0.1)
    assert done.wait(20)
    thread.join()


def test_another_slot_is_taken_only_for_work_enough(codec):
    gate, batcher = Gate(codec), Batcher(slots=2, max_batch_samples=10_000, metrics=Metrics())
    calls = [
        lambda seed=seed: batched(gate, batcher).encode(audio(1000, seed), num_quantizers=4, denoise=False)
        for seed in range(4)
    ]
    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(calls[0])]
        assert gate.entered.wait(20)
        running += [threads.submit(call) for call in calls[1:3]]
        while batcher.depth < 2:
            time.sleep(0.001)
        assert gate.sizes == [1]
        running.append(threads.submit(calls[3]))
        while batcher.depth:
            time.sleep(0.001)
        gate.opened.set()
        [future.result() for future in running]
    assert sorted(gate.sizes) == [1, 3]


@pytest.fixture
def patience(monkeypatch):
    """Return what sets how long is waited for a client that was answered, and at most."""

    def set_patience(returns, gathers):
        monkeypatch.setattr(batcher_module, "RETURN_SECONDS", returns)
        monkeypatch.setattr(batcher_module, "GATHER_SECONDS", gathers)

    return set_patience


@pytest.fixture
def queue(codec):
    """Return a gate, its batcher, what makes a call, and threads in which two calls wait for a batch of one."""
    gate, batcher = Gate(codec), Batcher(slots=1, max_batch_samples=100_000, metrics=Metrics())

    def call(seed):
        with batcher.at_work():
            return batched(gate, batcher).encode(audio(1000, seed), num_quantizers=4, denoise=False)

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(call, 0)]
        assert gate.entered.wait(20)
        running += [threads.submit(call, seed) for seed in (1, 2)]
        while batcher.depth < 2:
            time.sleep(0.001)
        yield gate, batcher, lambda: threads.submit(call, 3), running


def test_after_a_batch_the_next_waits_for_all_that_there_were(codec, queue, patience):
    patience(20.0, 20.0)
    gate, _, call_again, running = queue
    gate.opened.set()
    running[0].result(10)
    time.sleep(0.1)
    assert gate.sizes == [1], "two wait for the third, which has just been answered"
    running.append(call_again())
    assert [future.result(10).shape for future in running] == [codec.encode(audio(1000)).shape] * 4
    assert gate.sizes == [1, 3]


def test_it_waits_as_long_as_a_request_is_worked_on_elsewhere(queue, patience):
    patience(0.0, 20.0)
    gate, batcher, call_again, running = queue
    with batcher.at_work():
        gate.opened.set()
        running[0].result(10)
        time.sleep(0.1)
        assert gate.sizes == [1]
    [future.result(10) for future in running]
    call_again().result(10)
    assert gate.sizes == [1, 2, 1]


def test_it_does_not_wait_for_ever(queue, patience):
    patience(0.0, 0.1)
    gate, batcher, _, running = queue
    with batcher.at_work():
        gate.opened.set()
        [future.result(10) for future in running]
    assert gate.sizes == [1, 2]


def test_work_enough_waits_for_nobody(codec, patience):
    patience(20.0, 20.0)
    gate, batcher = Gate(codec), Batcher(slots=1, max_batch_samples=4000, metrics=Metrics())
    call = lambda: batched(gate, batcher).encode(audio(1000), num_quantizers=4, denoise=False)  # noqa: E731
    together(gate, batcher, [call] * 4)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(call).result(10)
    assert gate.sizes == [1, 3, 1]
