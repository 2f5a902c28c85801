"""What a run is asked for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from codec.errors import NacreError
from serving.transcode.settings import Settings

_PART = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Part:
    """Part `number`, from 1 on, of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read `i/n`.

        Raises:
            NacreError: It isn't that.
        """
        match = _PART.fullmatch(text)
        part = cls(*map(int, match.groups())) if match else None
        if part is None or not 1 <= part.number <= part.count:
            raise NacreError(f"'{text}' is no part: say 1/4 for the first of four")
        return part

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def has(self, group: str) -> bool:
        """Tell whether the entries of `group` belong to this part: it has about as many as every other."""
        digest = hashlib.sha256(group.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


@dataclass(frozen=True, kw_only=True)
class Order:
    """From where to where, by which model and how.

    `package` is the model's directory, and `fingerprint` the model's. `part` is what this machine does, None all.
    `shard_records` is how many records a new shard gets; `parquet` writes each token shard as Parquet too. What was
    quarantined is left alone unless `retry_quarantined`.
    """

    source: str
    target: str
    package: Path
    fingerprint: str
    settings: Settings
    part: Part | None = None
    device: str = "cpu"
    shard_records: int = 1000
    parquet: bool = False
    retry_quarantined: bool = False
