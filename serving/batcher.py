"""Dynamic batching in process: windows of many requests go through a model together, each to the bits it gets alone.

Nobody waits for company that may not come: a call that finds nothing running runs at once, unless a batch has just
ended, whose clients may come again within milliseconds. While something runs, another slot is taken only for
work enough that it pays; less is gathered until the running batch ends. A slot is a thread, since every thread that
ever ran a model keeps working memory of its own. A batch that fails is run again one by one, so that a bad item fails
alone.

Axes: audio [B, C, T]; codes [B, K, L].
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from codec.chunked import WINDOW_FRAMES
from codec.model import Codec
from codec.nacre.decoder import Decoder
from codec.nacre.encoder import Encoder
from codec.ragged import decode_ragged, encode_ragged
from serving.observe.metrics import Metrics
from serving.observe.tracing import span

# Lengths whose quotient is at most this may go together; what is added is thrown away.
MAX_STRETCH = 1.25
# The share of a whole batch that is worth another slot: threads in Python hinder each other, so few large batches are
# faster than many small ones side by side.
WORTH_A_SLOT = 0.25
# After a batch the next waits for all calls that there were then, or for work that is worth a slot: without those that
# waited, two halves of all short requests would take turns, in batches of half the size. It waits while requests are
# worked on elsewhere, so that the core isn't idle, and so long after the last was done that its client can come again.
RETURN_SECONDS = 0.015
# It waits no longer than this after the batch: what is worked on may be long, or never come.
GATHER_SECONDS = 0.1


class CancelledError(Exception):
    """Whoever wanted the result has gone."""


class Batcher:
    """Runs calls in `slots` at once, each of at most `max_batch_samples` samples of audio, unless one call has more."""

    def __init__(self, slots: int, max_batch_samples: int, metrics: Metrics) -> None:
        self._slots = self._free = slots
        self._max_batch_samples = max_batch_samples
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(slots, "nacre-model")
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._waiting: list[Turn] = []
        self._gathering = False
        self._at_work, self._running = 0, 0
        self._expected, self._last_end, self._last_done = 0, 0.0, 0.0

    @property
    def depth(self) -> int:
        """Calls that wait for a slot."""
        return len(self._waiting)

    def run(self, call: Call) -> Tensor:
        """Return the result of `call`; blocks. Raises what its work raises."""
        self._wait(call)
        return call.result()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a slot for work that can't be joined with other's, and is done by whoever asks."""
        turn = Turn(key=object(), items=1, num_samples=self._max_batch_samples)
        self._wait(turn)
        try:
            yield
        finally:
            self._finish([turn])

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold while a request is worked on, in calls and besides."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                self._last_done = time.monotonic()
                self._came.notify()

    def _wait(self, turn: Turn) -> None:
        with self._lock:
            self._waiting.append(turn)
            self._came.notify()
            self._start()
        turn.woken.wait()

    def _start(self) -> None:
        """Give free slots to those who wait, the oldest first."""
        while self._may_run():
            self._free -= 1
            if isinstance(self._waiting[0], Call):
                self._gathering = True
                self._threads.submit(self._run)
            else:
                self._running += 1
                self._waiting.pop(0).woken.set()

    def _run(self) -> None:
        batch = self._gather()
        try:
            _run_batch(batch)
            self._metrics.observe_batch(len(batch))
            self._metrics.set_queue_depth(self.depth)
        finally:
            self._finish(batch)

    def _gather(self) -> list[Call]:
        """Wait for company that is likely to come, and take a batch."""
        with self._lock:
            while (left := self._patience()) > 0:
                self._came.wait(left)
            batch = cast("list[Call]", self._take())  # the oldest is one, and their key is a call's
            self._gathering = False
            self._running += len(batch)
            self._start()
        return batch

    def _patience(self) -> float:
        """Return how many seconds longer the next batch should wait, unless somebody comes or is done."""
        if len(self._waiting) >= self._expected or self._is_worth_a_slot():
            return 0.0
        until = self._last_end + GATHER_SECONDS
        if self._at_work <= len(self._waiting) + self._running:
            until = min(until, max(self._last_end, self._last_done) + RETURN_SECONDS)
        return until - time.monotonic()

    def _finish(self, batch: Sequence[Turn]) -> None:
        with self._lock:
            self._free += 1
            self._running -= len(batch)
            # Its clients may come again, beside those that wait.
            self._expected, self._last_end = len(batch) + len(self._waiting), time.monotonic()
            self._start()
        for turn in batch:
            turn.woken.set()

    def _may_run(self) -> bool:
        if not self._free or not self._waiting or self._gathering:
            return False
        return self._free == self._slots or self._is_worth_a_slot()

    def _is_worth_a_slot(self) -> bool:
        waiting = sum(turn.items * turn.num_samples for turn in self._waiting)
        return waiting >= WORTH_A_SLOT * self._max_batch_samples

    def _take(self) -> list[Turn]:
        """Take the oldest call from the queue, and those that may go with it, oldest first."""
        first, room = self._waiting[0], self._max_batch_samples
        batch, shortest, longest = [first], first.num_samples, first.num_samples
        items = first.items
        for turn in self._waiting[1:]:
            low, high = min(shortest, turn.num_samples), max(longest, turn.num_samples)
            if turn.key != first.key or high > low * MAX_STRETCH or (items + turn.items) * high > room:
                continue
            batch.append(turn)
            shortest, longest, items = low, high, items + turn.items
        self._waiting = [turn for turn in self._waiting if turn not in batch]
        return batch


class Turn:
    """A place in the queue; those of equal `key` may go together. Whoever waits is `woken` in the end."""

    def __init__(self, key: Hashable, items: int, num_samples: int) -> None:
        self.key = key
        self.items = items
        self.num_samples = num_samples
        self.woken = threading.Event()


class Call(Turn):
    """One window to code; `work` codes several."""

    def __init__(
        self, key: Hashable, window: Tensor, num_samples: int, work: Callable[[list[Tensor]], list[Tensor]]
    ) -> None:
        super().__init__(key, len(window), num_samples)
        self.window = window
        self.work = work
        self.outcome: Tensor | Exception | None = None

    def result(self) -> Tensor:
        """Return what a call that is done gave, or raise what it raised."""
        assert self.outcome is not None
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def _run_batch(batch: list[Call]) -> None:
    try:
        outcomes = batch[0].work([call.window for call in batch])
        for call, outcome in zip(batch, outcomes, strict=True):
            call.outcome = outcome
    except Exception as error:  # whatever it is, it belongs to the caller
        if len(batch) == 1:
            batch[0].outcome = error
            return
        for call in batch:
            _run_batch([call])


@dataclass(frozen=True)
class BatchedCodec:
    """A codec whose windows go through `batcher`; a `WindowCoder` (codec/chunked.py) for one request.

    `cancelled` is set when nobody wants the result any more.
    """

    codec: Codec
    batcher: Batcher
    cancelled: threading.Event
    window_frames: int = WINDOW_FRAMES

    def encode(self, audio: Tensor, *, num_quantizers: int, denoise: bool) -> Tensor:
        """Encode as `Codec.encode`."""
        ragged = isinstance(self.codec.encoder, Encoder) and not denoise
        key = (id(self.codec), "encode", num_quantizers, denoise, None if ragged else audio.shape[1:])

        def work(windows: list[Tensor]) -> list[Tensor]:
            if len({window.shape[-1] for window in windows}) > 1:
                return _encode_ragged(self.codec, windows, num_quantizers)
            return _together(windows, lambda w: self.codec.encode(w, num_quantizers=num_quantizers, denoise=denoise))

        return self._run(Call(key, audio, audio.shape[-1], work))

    def decode(self, codes: Tensor) -> Tensor:
        """Decode as `Codec.decode`."""
        ragged = isinstance(self.codec.decoder, Decoder)
        key = (id(self.codec), "decode", codes.shape[1] if ragged else codes.shape[1:])
        num_samples = codes.shape[-1] * self.codec.config.hop_length

        def work(windows: list[Tensor]) -> list[Tensor]:
            if len({window.shape[-1] for window in windows}) > 1:
                return _decode_ragged(self.codec, windows)
            return _together(windows, self.codec.decode)

        return self._run(Call(key, codes, num_samples, work))

    def _run(self, call: Call) -> Tensor:
        if self.cancelled.is_set():
            raise CancelledError
        with span("model"):
            return self.batcher.run(call)


def _together(windows: list[Tensor], work: Callable[[Tensor], Tensor]) -> list[Tensor]:
    return list(work(torch.cat(windows)).split([len(window) for window in windows]))


def _encode_ragged(codec: Codec, windows: list[Tensor], num_quantizers: int) -> list[Tensor]:
    padded, lengths = _padded(windows)
    codes = encode_ragged(codec, padded, lengths, num_quantizers=num_quantizers)
    return _split(codes, windows, [codec.config.num_frames(window.shape[-1]) for window in windows])


def _decode_ragged(codec: Codec, windows: list[Tensor]) -> list[Tensor]:
    audio = decode_ragged(codec, *_padded(windows))
    return _split(audio, windows, [window.shape[-1] * codec.config.hop_length for window in windows])


def _padded(windows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Join windows [b, ..., N], filled up with zeros; return the lengths of all items, too."""
    longest = max(window.shape[-1] for window in windows)
    padded = torch.cat([torch.nn.functional.pad(window, (0, longest - window.shape[-1])) for window in windows])
    return padded, torch.tensor([window.shape[-1] for window in windows for _ in window])


def _split(joined: Tensor, windows: list[Tensor], lengths: list[int]) -> list[Tensor]:
    """Return what has become of each window, of so many numbers."""
    parts = joined.split([len(window) for window in windows])
    return [part[..., :length] for part, length in zip(parts, lengths, strict=True)]
