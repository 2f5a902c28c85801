"""Range asymmetric numeral systems: symbols to bytes and back, at the cost of their probabilities.

Source: Duda 2013 (arXiv 1311.2540), with a 64-bit state and words of 32 bits. A probability is `size / 2**24`, of the
interval [start, start + size) of a cumulative distribution. Deviation: the state begins at 1 instead of 2**32, and
words are only written once it has grown, so that a few symbols cost a few bytes; the end of decoding must find that 1
again, which tells a wrong model or damaged bytes.

A message is the final state, little-endian without leading zeros, then the words in the order of decoding. Its length
tells where the state ends: 5 to 8 bytes, or all of a message of up to 8 bytes.

Python and numpy integers only. Axes: N messages side by side, of n symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec.errors import BitstreamError

PROBABILITY_BITS = 24

_WORD_BITS = 32
_WORD = (1 << _WORD_BITS) - 1
_PLACE = np.uint64((1 << PROBABILITY_BITS) - 1)
_STATE_BYTES = 8
# A state this large, per unit of size, would not fit into 64 bits after the symbol.
_ROOM_BITS = 64 - PROBABILITY_BITS
_ROOM = 1 << _ROOM_BITS
# Messages from which on numpy, going through all side by side, is faster than Python one by one.
_TOGETHER = 28


def encode_messages(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[bytes]:
    """Return N messages of symbols [N, n] with intervals [start, start + size), each size from 1 to below 2**24."""
    encode = _encode_together if len(starts) >= _TOGETHER else _encode_in_turn
    return encode(starts[:, ::-1], sizes[:, ::-1])


def _encode_in_turn(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[bytes]:
    """Return the messages of symbols that are given last first."""
    return [_encode(*rows) for rows in zip(starts, sizes, strict=True)]


def _encode(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> bytes:
    # The next state is `state // size * 2**24 + state % size + start`, in one division.
    rests = (1 << PROBABILITY_BITS) - sizes
    state = 1
    words: list[int] = []
    for start, size, rest in zip(starts.tolist(), sizes.tolist(), rests.tolist(), strict=True):
        times = state // size
        if times >= _ROOM:
            words.append(state & _WORD)
            state >>= _WORD_BITS
            times = state // size
        state += times * rest + start
    return _message(state, np.array(words, "<u4"))


def _encode_together(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[bytes]:
    """Return what `_encode_in_turn` returns, symbol by symbol of all messages side by side."""
    first, wide = (np.ascontiguousarray(rows.T, np.uint64) for rows in (starts, sizes))
    limits, rests = wide << np.uint64(_ROOM_BITS), np.uint64(1 << PROBABILITY_BITS) - wide
    state = np.ones(first.shape[1], np.uint64)
    states, full = np.empty_like(first), np.empty(first.shape, np.bool_)
    for number, (start, size, limit, rest) in enumerate(zip(first, wide, limits, rests, strict=True)):
        states[number] = state
        np.greater_equal(state, limit, out=full[number])
        state >>= full[number] * np.uint64(_WORD_BITS)
        state += state // size * rest + start
    words = states.astype("<u4")  # their last 32 bits
    rows = zip(state.tolist(), words.T, full.T, strict=True)
    return [_message(state, row[is_full]) for state, row, is_full in rows]


def _message(state: int, words: NDArray[np.uint32]) -> bytes:
    """Return a message of its last state, and the words in the order in which they were taken from states."""
    return state.to_bytes((state.bit_length() + 7) // 8, "little") + words[::-1].tobytes()


class MessageDecoder:
    """Decodes N messages side by side: `peek` says where each one's next symbol lies, `advance` goes past it.

    Both may go on with the first ones alone.

    Raises:
        BitstreamError: A message is empty, or its state is written with leading zeros.
    """

    def __init__(self, messages: Sequence[bytes]) -> None:
        heads = [_state_bytes(len(message)) for message in messages]
        for message, head in zip(messages, heads, strict=True):
            if not message or not message[head - 1]:
                raise BitstreamError("a coded block does not begin with a state: whoever wrote it has a fault")
        states = [int.from_bytes(message[:head], "little") for message, head in zip(messages, heads, strict=True)]
        self._states = np.array(states, np.uint64)
        self._counts = np.array([(len(m) - head) // 4 for m, head in zip(messages, heads, strict=True)])
        self._words = np.zeros((len(messages), int(self._counts.max(initial=0)) + 1), np.uint64)
        for row, message, head, count in zip(self._words, messages, heads, self._counts, strict=True):
            row[:count] = np.frombuffer(message, "<u4", offset=head)
        self._next = np.zeros(len(messages), np.int64)
        self._rows = np.arange(len(messages))

    def peek(self, count: int) -> NDArray[np.int64]:
        """Return, for each of the first `count` messages, a number below 2**24 within its next symbol's interval."""
        return (self._states[:count] & _PLACE).astype(np.int64)

    def advance(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """Go past symbols with the intervals `starts`, `sizes` [count] that hold what `peek(count)` returned."""
        count = len(starts)
        states, passed = self._states[:count], self._next[:count]
        rest = (states & _PLACE) - starts.astype(np.uint64)
        states = sizes.astype(np.uint64) * (states >> np.uint64(PROBABILITY_BITS)) + rest
        wanting = (states <= np.uint64(_WORD)) & (passed < self._counts[:count])
        words = self._words[self._rows[:count], passed]
        self._states[:count] = np.where(wanting, states << np.uint64(_WORD_BITS) | words, states)
        passed += wanting

    def finish(self) -> None:
        """Check that every message is used up.

        Raises:
            BitstreamError: One is not.
        """
        if (self._states != np.uint64(1)).any() or (self._next != self._counts).any():
            raise BitstreamError("a coded block doesn't end where its codes do: whoever wrote it has a fault")


def _state_bytes(length: int) -> int:
    """Return how many bytes of a message of that length are its state."""
    if length <= _STATE_BYTES:
        return length
    return 5 + (length - 5) % 4
