"""A local cache of remote shards: whole shards under their sha256, the least recently used going first.

Several processes, of several runs, may share one directory. A shard is written atomically, so it is whole or absent;
its bytes are compared with the sha256 again whenever they are read; two processes that fetch the same shard at once
write the same file. The time of last use is the file's mtime. Evictions take turns by a lock on `lock`.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from codec.files import TEMPORARY_PREFIX, write_bytes
from codec.locking import locked

SUFFIX = ".shard"
# A temporary file older than this was left by a process that was killed.
ABANDONED_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class ShardCache:
    """At most `max_bytes` of shards in `directory`; the last one written stays, even if it is larger than that."""

    directory: Path
    max_bytes: int

    def get(self, sha256: str) -> bytes | None:
        """Return a shard's bytes, or None if it is not here, or not what it was."""
        path = self._path(sha256)
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == sha256:
                os.utime(path)
                return data
            path.unlink()
        except FileNotFoundError:
            # Another process evicted it in between, which makes its bytes no less good, but they are not at hand.
            return None
        return None

    def put(self, sha256: str, data: bytes) -> None:
        """Keep a shard, whose bytes the caller has checked, and evict what is too much."""
        write_bytes(self._path(sha256), data)
        with locked(self.directory / "lock"):
            self._evict(keep=self._path(sha256))

    def _path(self, sha256: str) -> Path:
        return self.directory / f"{sha256}{SUFFIX}"

    def _evict(self, keep: Path) -> None:
        """Remove the least recently used until the rest fits, and what killed processes left."""
        found = []
        for path in self.directory.iterdir():
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix == SUFFIX and not path.name.startswith(TEMPORARY_PREFIX):
                found.append((state.st_mtime_ns, state.st_size, path))
            elif path.name.startswith(TEMPORARY_PREFIX) and time.time() - state.st_mtime > ABANDONED_S:
                path.unlink(missing_ok=True)
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.max_bytes:
                return
            if path != keep:
                path.unlink(missing_ok=True)
                total -= size
