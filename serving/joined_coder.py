"""Entropy decoding of several callers together: side by side, many blocks take hardly longer than one.

A call that finds nobody decoding decodes at once. Those that come meanwhile wait, and the first of them that gets its
turn decodes for all. Each gets the codes it gets alone; a block that can't be decoded fails its own call only.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.container.coder import BlockCoder
from codec.container.stream import MAX_CODES_TOGETHER, MAX_TOGETHER
from codec.weights import LoadedPackage

Turn = Callable[[], AbstractContextManager[object]]


def join_decoding(model: LoadedPackage, turn: Turn | None = None) -> LoadedPackage:
    """Return the model for many threads, whose entropy decoding goes together; `turn` is as below."""
    return model if model.coder is None else dataclasses.replace(model, coder=JoinedCoder(model.coder, turn))


class JoinedCoder:
    """A `BlockCoder` of many threads by one of its own.

    It decodes in a `turn`, of which there must be one at a time; without that, in turns of its own.
    """

    def __init__(self, coder: BlockCoder, turn: Turn | None = None) -> None:
        self.fingerprint = coder.fingerprint
        self.num_quantizers = coder.num_quantizers
        self.codebook_size = coder.codebook_size
        self._coder = coder
        self._lock, own_turn = threading.Lock(), threading.Lock()
        self._turn = turn or (lambda: own_turn)
        self._waiting: list[_Call] = []

    def encode(self, codes: NDArray[np.int64]) -> list[bytes]:
        """Encode as the coder does, each call by itself: frames already go side by side."""
        return self._coder.encode(codes)

    def decode(
        self, messages: Sequence[bytes], num_streams: int, num_quantizers: int, frames: Sequence[int]
    ) -> list[NDArray[np.int64]]:
        """Decode as the coder does, with what others wait for; blocks."""
        call = _Call(messages, num_streams, num_quantizers, frames)
        with self._lock:
            self._waiting.append(call)
        with self._turn():
            if call.outcome is None:
                _decode(self._coder, self._take(call))
        assert call.outcome is not None
        if isinstance(call.outcome, Exception):
            raise call.outcome
        return call.outcome

    def _take(self, call: _Call) -> list[_Call]:
        """Take a call from those that wait, and others that may go with it."""
        with self._lock:
            self._waiting.remove(call)
            batch = [call]
            for other in self._waiting:
                if _fit_together([*batch, other]):
                    batch.append(other)
            self._waiting = [other for other in self._waiting if other not in batch]
        return batch


@dataclass(eq=False)
class _Call:
    """What one caller wants, and in the end what it gets."""

    messages: Sequence[bytes]
    num_streams: int
    num_quantizers: int
    frames: Sequence[int]
    outcome: list[NDArray[np.int64]] | Exception | None = None

    @property
    def num_codes(self) -> int:
        """Codes that are held when all its blocks are as long as the longest."""
        return len(self.frames) * max(self.frames, default=0) * self.num_streams * self.num_quantizers


def _fit_together(calls: Sequence[_Call]) -> bool:
    kinds = {(call.num_streams, call.num_quantizers) for call in calls}
    blocks = sum(len(call.messages) for call in calls)
    return len(kinds) == 1 and blocks <= MAX_TOGETHER and _joined(calls).num_codes <= MAX_CODES_TOGETHER


def _joined(calls: Sequence[_Call]) -> _Call:
    messages = [message for call in calls for message in call.messages]
    frames = [count for call in calls for count in call.frames]
    return _Call(messages, calls[0].num_streams, calls[0].num_quantizers, frames)


def _decode(coder: BlockCoder, calls: Sequence[_Call]) -> None:
    """Decode calls together, or where one of them fails, each alone."""
    joined = _joined(calls)
    try:
        codes = iter(coder.decode(joined.messages, joined.num_streams, joined.num_quantizers, joined.frames))
    except Exception as error:  # whatever it is, it belongs to the caller
        if len(calls) == 1:
            calls[0].outcome = error
            return
        for call in calls:
            _decode(coder, [call])
        return
    for call in calls:
        call.outcome = [next(codes) for _ in call.messages]
