"""The entropy coder: the codes of blocks to bytes by the context model and rANS, and back.

Blocks don't know of each other: each begins without a past, and its streams of channels share none. Within a block the
order is frame, stream, stage, as in the packed coding.

Axes: codes [S, K, F]; S streams, K stages, F frames; N blocks side by side; features [N, S, R].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec.entropy.mixture import Mixture
from codec.entropy.rans import MessageDecoder, encode_message
from codec.entropy.tables import EntropyTables


class EntropyCoder:
    """Codes blocks by one set of tables; it holds no state between calls."""

    def __init__(self, tables: EntropyTables) -> None:
        self.fingerprint = tables.fingerprint
        self.num_quantizers = tables.num_quantizers
        self.codebook_size = tables.codebook_size
        self._mixture = Mixture(tables)

    def encode(self, codes: NDArray[np.int64]) -> bytes:
        """Return the message of one block's codes [S, K, F], each within the codebook, K at most the tables'."""
        streams, stages, frames = codes.shape
        mixture = self._mixture
        earlier = np.zeros((streams, frames, mixture.num_features), np.float64)
        past = _shifted(sum((mixture.before(stage, codes[:, stage]) for stage in range(stages)), start=earlier))
        starts = np.empty((frames, streams, stages), np.int64)
        sizes = np.empty_like(starts)
        for stage in range(stages):
            features = np.concatenate([earlier, past], axis=2).reshape(streams * frames, -1)
            chosen = codes[:, stage].reshape(-1)
            found = mixture.locate(stage, mixture.weigh(stage, features), chosen)
            starts[..., stage] = found.starts.reshape(streams, frames).T
            sizes[..., stage] = found.sizes.reshape(streams, frames).T
            earlier += mixture.earlier(stage, codes[:, stage])
        return encode_message(starts.reshape(-1).tolist(), sizes.reshape(-1).tolist())

    def decode(
        self, messages: Sequence[bytes], num_streams: int, num_quantizers: int, frames: int
    ) -> NDArray[np.int64]:
        """Return the codes [N, S, K, F] of N blocks of as many frames each.

        Raises:
            BitstreamError: A message is not one of such a block.
        """
        mixture, count = self._mixture, len(messages)
        decoder = MessageDecoder(messages)
        codes = np.empty((count, num_streams, num_quantizers, frames), np.int64)
        # Of the last two frames, newest first.
        past = np.zeros((2, num_streams, count, mixture.num_features), np.float64)
        for frame in range(frames):
            for stream in range(num_streams):
                features = np.concatenate([np.zeros_like(past[0, stream]), past[0, stream], past[1, stream]], axis=1)
                earlier, following = features[:, : mixture.num_features], np.zeros_like(past[0, stream])
                for stage in range(num_quantizers):
                    weights = mixture.weigh(stage, features)
                    found = mixture.find(stage, weights, decoder.peek())
                    decoder.advance(found.intervals.starts, found.intervals.sizes)
                    codes[:, stream, stage, frame] = found.codes
                    earlier += mixture.earlier(stage, found.codes)
                    following += mixture.before(stage, found.codes)
                past[1, stream], past[0, stream] = past[0, stream], following
        decoder.finish()
        return codes


def _shifted(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for features [S, F, R] of frames, those of the frame before and the one before that [S, F, 2R]."""
    frames = features.shape[1]
    padded = np.pad(features, ((0, 0), (2, 0), (0, 0)))
    return np.concatenate([padded[:, 1 : 1 + frames], padded[:, :frames]], axis=2)
