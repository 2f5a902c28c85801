"""Fixed-width bit packing: the first value takes the highest bits of the first byte.

Bytes and numpy integers only; no tensors, no files.
"""

import numpy as np
from numpy.typing import NDArray

from codec.errors import BitstreamError


def packed_size(count: int, bits: int) -> int:
    """Return the bytes that `count` values of `bits` bits take."""
    return -(-count * bits // 8)


def pack(values: NDArray[np.int64], bits: int) -> bytes:
    """Pack 1-D `values`, each in [0, 2 ** bits), bits at most 16; the last byte is filled up with zeros."""
    columns = np.arange(bits - 1, -1, -1)
    return np.packbits((values[:, None] >> columns & 1).astype(np.uint8).reshape(-1)).tobytes()


def unpack(data: bytes, count: int, bits: int) -> NDArray[np.int64]:
    """Return the `count` values that `pack` packed.

    Raises:
        BitstreamError: `data` has another size than `count` values take, or the filling is not zero.
    """
    if len(data) != packed_size(count, bits):
        raise BitstreamError(f"{count} codes of {bits} bits take {packed_size(count, bits)} bytes, not {len(data)}")
    flat = np.unpackbits(np.frombuffer(data, np.uint8))
    if flat[count * bits :].any():
        raise BitstreamError("the bits after the last code are not zero")
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int64)
    return flat[: count * bits].reshape(count, bits).astype(np.int64) @ weights
