"""A record of a token shard: the codes of one source, their facts, and the texts that lay beside it.

    KEY.codes.npy    uint16 [S * K, L], or [S * K, L + K - 1] if delayed
    KEY.json         the facts, the container's metadata, and what lay beside the source as JSON
    KEY.scales.npy   only of a codec that codes in segments: float32 [S, N], one a stream and segment
    KEY.txt          only if a text lay beside the source

Rows are the K stages of the first stream, then those of the second, and so on.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import DataError
from serving.transcode.tokens.delay import undo_delay

# The names and contents of a record's files.
Members = list[tuple[str, bytes]]

CODES, FACTS, SCALES, TEXT = ".codes.npy", ".json", ".scales.npy", ".txt"


@dataclass(frozen=True, kw_only=True)
class TokenRecord:
    """A record: `codes` as they stand in it, `scales` of segments if any, and the `facts` that its JSON holds."""

    key: str
    codes: NDArray[np.uint16]
    facts: Mapping[str, Any]
    text: str | None = None
    scales: NDArray[np.float32] | None = None

    @property
    def parallel_codes(self) -> NDArray[np.uint16]:
        """The codes [S * K, L] without a delay.

        Raises:
            DataError: They are not in the pattern that the facts name.
        """
        if self.facts["pattern"] != "delay":
            return self.codes
        return undo_delay(self.codes, self.facts["num_quantizers"], self.facts["codebook_size"])


def read_record(members: Iterable[tuple[str, bytes]]) -> TokenRecord:
    """Return the record of files that `token_record` made.

    Raises:
        DataError: They are not those of one record.
    """
    files = dict(members)
    key = next((name.removesuffix(CODES) for name in files if name.endswith(CODES)), "")
    try:
        scales, text = files.get(key + SCALES), files.get(key + TEXT)
        return TokenRecord(
            key=key,
            codes=_parse_npy(files[key + CODES]),
            facts=json.loads(files[key + FACTS]),
            text=None if text is None else text.decode(),
            scales=None if scales is None else _parse_npy(scales),
        )
    except (KeyError, ValueError, EOFError) as error:
        raise DataError(f"the files {sorted(files)} are no token record ({error})") from None


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as the content of a .npy file, little-endian."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, array.dtype.newbyteorder("<")), allow_pickle=False)
    return buffer.getvalue()


def _parse_npy(data: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
