"""Records of shards before they are packed: a piece of a tar, without its end, so that a shard is its pieces in a row.

Headers say nothing of when or where they were written: the same content gives the same bytes.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator

# What ends a tar.
END = bytes(2 * tarfile.BLOCKSIZE)


def write_fragment(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the piece of a tar that holds `members`, names and contents."""
    buffer = io.BytesIO()
    for name, data in members:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        buffer.write(info.tobuf(tarfile.PAX_FORMAT))
        buffer.write(data)
        buffer.write(bytes(-len(data) % tarfile.BLOCKSIZE))
    return buffer.getvalue()


def read_fragment(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the members of a piece, or of several in a row."""
    with tarfile.open(fileobj=io.BytesIO(data + END), mode="r:") as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None  # only files are written
            yield member.name, file.read()
