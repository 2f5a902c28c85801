"""The tables of an entropy coder: small integers that say how likely each code is after those before it.

They stand in a package as `entropy.safetensors`; codec/entropy/mixture.py says what they mean. They hold integers only,
so that every machine computes the same probabilities from them.

Axes: K stages, V codes, R features of a code, M = 3R features of a context, C classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.checks import check

MIXTURE_BITS = 10
TABLE_BITS = 14
FINGERPRINT_BYTES = 8
MAX_CODEBOOK_SIZE = 4096


@dataclass(frozen=True, kw_only=True)
class EntropyTables:
    """The learned integers; all arrays are C-contiguous.

    - `earlier` int8 [K, V, R]: the features of a code for the later stages of its own frame;
    - `before` int8 [K, V, R]: the features of a code for the two frames after it;
    - `gates` int8 [K, M, C] and `biases` int32 [K, C]: how a context weighs the classes of a stage;
    - `sizes` uint16 [K, C, V]: how likely each code is in each class, of 2**14; at least 1.

    Raises:
        ValueError: The arrays don't fit each other, or have values out of range.
    """

    earlier: NDArray[np.int8]
    before: NDArray[np.int8]
    gates: NDArray[np.int8]
    biases: NDArray[np.int32]
    sizes: NDArray[np.uint16]

    def __post_init__(self) -> None:
        """Check shapes, types and sums."""
        wanted: dict[str, Any] = {"earlier": "i1", "before": "i1", "gates": "i1", "biases": "i4", "sizes": "u2"}
        for name, kind in wanted.items():
            check(getattr(self, name).dtype == np.dtype(kind), f"{name}.dtype", getattr(self, name).dtype, kind)
        check(self.earlier.ndim == 3 and self.sizes.ndim == 3, "earlier.ndim", self.earlier.ndim, "3")
        stages, codes, features = self.earlier.shape
        classes = self.sizes.shape[1]
        shapes: dict[str, tuple[int, ...]] = {
            "before": (stages, codes, features),
            "gates": (stages, 3 * features, classes),
            "biases": (stages, classes),
            "sizes": (stages, classes, codes),
        }
        for name, shape in shapes.items():
            check(getattr(self, name).shape == shape, f"{name}.shape", getattr(self, name).shape, f"{shape}")
        check(min(stages, features, classes) >= 1, "earlier.shape", self.earlier.shape, "at least 1 each")
        check(max(features, classes) <= 256, "features and classes", (features, classes), "at most 256")
        check(2 <= codes <= MAX_CODEBOOK_SIZE, "codebook size", codes, f"from 2 to {MAX_CODEBOOK_SIZE}")
        check(int(np.abs(self.biases).max()) < 1 << 24, "biases", "one of 2**24 or more", "below 2**24")
        whole = bool((self.sizes.sum(axis=2, dtype=np.int64) == 1 << TABLE_BITS).all())
        check(
            int(self.sizes.min()) >= 1 and whole, "sizes", "other sums or zeros", f"positive and 2**{TABLE_BITS} in sum"
        )

    @property
    def num_quantizers(self) -> int:
        """Stages that the tables cover."""
        return self.sizes.shape[0]

    @property
    def codebook_size(self) -> int:
        """Codes of each stage."""
        return self.sizes.shape[2]

    @property
    def fingerprint(self) -> bytes:
        """The first 8 bytes of a SHA-256 over all arrays: what a container names its coder by."""
        digest = hashlib.sha256()
        for field in fields(self):
            array = getattr(self, field.name)
            digest.update(f"{field.name}{array.shape}".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.digest()[:FINGERPRINT_BYTES]
