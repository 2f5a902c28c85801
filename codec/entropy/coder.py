"""The entropy coder: the codes of blocks to bytes by the context model and rANS, and back.

Blocks don't know of each other: each begins without a past, and its streams of channels share none. Within a block the
order is frame, stream, stage, as in the packed coding.

Axes: codes [S, K, F]; S streams, K stages, F frames; N blocks side by side, of which decoding goes on with the first A
that are not at their end; features [N, S, R].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec.entropy.mixture import Mixture
from codec.entropy.rans import MessageDecoder, encode_messages
from codec.entropy.tables import EntropyTables

# Weighed at once: what that takes stays in a cache.
_CONTEXTS = 1200


class EntropyCoder:
    """Codes blocks by one set of tables; it holds no state between calls."""

    def __init__(self, tables: EntropyTables) -> None:
        self.fingerprint = tables.fingerprint
        self.num_quantizers = tables.num_quantizers
        self.codebook_size = tables.codebook_size
        self._mixture = Mixture(tables)

    def encode(self, codes: NDArray[np.int64]) -> list[bytes]:
        """Return the messages of N blocks' codes [N, S, K, F], each within the codebook, K at most the tables'."""
        step = max(1, _CONTEXTS // max(1, codes[:1].size))
        parts = [self._locate(codes[start : start + step]) for start in range(0, len(codes), step)]
        return encode_messages(*map(np.concatenate, zip(*parts, strict=True))) if parts else []

    def _locate(self, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the codes of each of N blocks begin in their distributions, and their sizes, [N, F * S * K]."""
        count, streams, stages, frames = codes.shape
        mixture, number = self._mixture, np.arange(stages)[:, None]
        # All codes are known, so all contexts are weighed at once: [K, N * F * S], in the order of a message.
        chosen = codes.transpose(2, 0, 3, 1).reshape(stages, -1)
        features = np.zeros((stages, count, frames, streams, 3, mixture.num_features), mixture.dtype)
        earlier, newer, older = np.moveaxis(features, 4, 0)
        added = mixture.earlier(number[:-1], chosen[:-1]).reshape(earlier[1:].shape)
        for stage in range(1, stages):  # numpy's cumsum takes four times as long
            np.add(earlier[stage - 1], added[stage - 1], out=earlier[stage])
        before = mixture.before(number, chosen).sum(axis=0).reshape(count, frames, streams, -1)
        newer[:, :, 1:], older[:, :, 2:] = before[:, :-1], before[:, :-2]
        weights = mixture.weigh(slice(stages), features.reshape(*chosen.shape, -1))
        found = mixture.locate(number, weights, chosen)
        return found.starts.T.reshape(count, -1), found.sizes.T.reshape(count, -1)

    def decode(
        self, messages: Sequence[bytes], num_streams: int, num_quantizers: int, frames: Sequence[int]
    ) -> list[NDArray[np.int64]]:
        """Return the codes [S, K, F] of each of N blocks, which are of so many frames.

        Side by side they take hardly longer than the longest alone.

        Raises:
            BitstreamError: A message is not one of such a block.
        """
        order = sorted(range(len(messages)), key=lambda index: -frames[index])
        decoder = MessageDecoder([messages[index] for index in order])
        ends = [frames[index] for index in order]
        mixture, count, longest = self._mixture, len(messages), max(ends, default=0)
        codes = np.empty((count, num_streams, num_quantizers, longest), np.int64)
        # Of the last two frames, newest first.
        past = np.zeros((2, num_streams, count, mixture.num_features), mixture.dtype)
        active = count
        for frame in range(longest):
            while ends[active - 1] <= frame:
                active -= 1
            for stream in range(num_streams):
                newer, older = past[0, stream, :active], past[1, stream, :active]
                features = np.concatenate([np.zeros_like(newer), newer, older], axis=1)
                earlier, following = features[:, : mixture.num_features], np.zeros_like(newer)
                for stage in range(num_quantizers):
                    places = decoder.peek(active)
                    found = mixture.find(stage, mixture.weigh(stage, features), places)
                    decoder.advance(found.intervals.starts, found.intervals.sizes)
                    codes[:active, stream, stage, frame] = found.codes
                    earlier += mixture.earlier(stage, found.codes)
                    following += mixture.before(stage, found.codes)
                past[1, stream, :active], past[0, stream, :active] = newer, following
        decoder.finish()
        rows = dict(zip(order, codes, strict=True))
        return [rows[index][:, :, : frames[index]] for index in range(count)]
