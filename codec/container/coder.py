"""What a container asks of an entropy coder; codec/entropy/ has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codec.container.header import Header
from codec.errors import BitstreamError, ModelMismatchError


class BlockCoder(Protocol):
    """Turns the codes of each block into a message, and back; several go side by side, which changes none."""

    @property
    def fingerprint(self) -> bytes:
        """The 8 bytes by which a container names it."""

    @property
    def num_quantizers(self) -> int:
        """Stages it can code at most."""

    @property
    def codebook_size(self) -> int:
        """Codes of each stage."""

    def encode(self, codes: NDArray[np.int64]) -> list[bytes]:
        """Return the N messages of codes [N, S, K, F]."""

    def decode(
        self, messages: Sequence[bytes], num_streams: int, num_quantizers: int, frames: Sequence[int]
    ) -> list[NDArray[np.int64]]:
        """Return the codes [S, K, F] of each message, whose block is of so many frames.

        Raises:
            BitstreamError: A message is not one of such a block.
        """


def require_coder(header: Header, coder: BlockCoder | None) -> BlockCoder:
    """Return `coder` if it is the one that an entropy-coded container names.

    Raises:
        ModelMismatchError: The container was coded by other tables, or none are given.
        BitstreamError: The container names it, but has other codes than it can have coded.
    """
    if coder is None or coder.fingerprint != header.coder:
        given = "the model given has none" if coder is None else f"the model's are {coder.fingerprint.hex()}"
        raise ModelMismatchError(f"the container needs the entropy tables {header.coder.hex()}; {given}")
    if header.codebook_size != coder.codebook_size or header.num_quantizers > coder.num_quantizers:
        raise BitstreamError("the container's header contradicts the entropy tables it names")
    return coder
