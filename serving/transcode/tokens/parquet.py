"""Token records as a Parquet file: a row a record, the codes as lists of lists, the facts as columns and whole as JSON.

Rows go to disk in groups of bounded size. The same records give the same bytes by the same release of Arrow.

Axes: codes uint16 [S * K, L].
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import MissingToolError
from serving.transcode.tokens.record import Members, TokenRecord, read_record

# What a group of rows holds at most, one row aside.
GROUP_BYTES = 32 << 20
GROUP_ROWS = 4096

# The facts that have columns, by Arrow's names of their types.
_COLUMNS = {
    "source": "string",
    "model": "string",
    "fingerprint": "string",
    "seconds": "double",
    "sample_rate": "int64",
    "frame_rate": "double",
    "num_frames": "int64",
    "num_quantizers": "int64",
    "codebook_size": "int64",
    "streams": "int64",
    "pattern": "string",
    "padding": "int64",
}


def write_parquet(path: Path, records: Iterable[Members]) -> None:
    """Write records, the files of each as `token_record` returns them, to `path`, taking one at a time.

    The caller makes the file appear whole, as with any other shard.

    Raises:
        DataError: Something is no token record.
        MissingToolError: It needs the optional extra `tokens`.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingToolError("Parquet needs the package 'pyarrow': pip install 'nacre[tokens]'") from None
    schema = _schema(pa)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(map(read_record, records)):
            writer.write_table(_table(pa, schema, group))


def _groups(records: Iterable[TokenRecord]) -> Iterator[list[TokenRecord]]:
    group: list[TokenRecord] = []
    num_bytes = 0
    for record in records:
        if group and (num_bytes + record.codes.nbytes > GROUP_BYTES or len(group) == GROUP_ROWS):
            yield group
            group, num_bytes = [], 0
        group.append(record)
        num_bytes += record.codes.nbytes
    if group:
        yield group


def _schema(pa: Any) -> Any:
    types = {
        "key": pa.string(),
        "codes": pa.list_(pa.list_(pa.uint16())),
        "text": pa.string(),
        "scales": pa.list_(pa.list_(pa.float32())),
        **{name: pa.type_for_alias(kind) for name, kind in _COLUMNS.items()},
        "facts": pa.string(),
    }
    return pa.schema(list(types.items()))


def _table(pa: Any, schema: Any, records: list[TokenRecord]) -> Any:
    columns = {
        "key": [record.key for record in records],
        "codes": _matrices(pa, [record.codes for record in records], np.uint16),
        "text": [record.text for record in records],
        "scales": _matrices(pa, [record.scales for record in records], np.float32),
        **{name: [record.facts[name] for record in records] for name in _COLUMNS},
        "facts": [json.dumps(record.facts, ensure_ascii=False, sort_keys=True) for record in records],
    }
    return pa.table(columns, schema=schema)


def _matrices(pa: Any, matrices: list[NDArray[Any] | None], dtype: type[np.generic]) -> Any:
    """Return a column of matrices [rows, n], or of nothing, without a Python object for each value."""
    there = [matrix for matrix in matrices if matrix is not None]
    lengths = np.concatenate([np.zeros(1, np.int64), *(np.full(len(m), m.shape[1], np.int64) for m in there)])
    values = np.concatenate([np.empty(0, dtype), *(matrix.reshape(-1) for matrix in there)])
    rows = pa.ListArray.from_arrays(pa.array(np.cumsum(lengths), pa.int32()), pa.array(values))
    counts = np.cumsum([0, *(0 if matrix is None else len(matrix) for matrix in matrices)])
    missing = pa.array([matrix is None for matrix in matrices])
    return pa.ListArray.from_arrays(pa.array(counts, pa.int32()), rows, mask=missing)
