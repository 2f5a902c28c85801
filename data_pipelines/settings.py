"""Build settings: everything that decides the bytes of a data set, besides the source files."""

from __future__ import annotations

from dataclasses import dataclass

from codec.errors import DataError

MAX_RECORD_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """Audio is stored at `sample_rate` Hz with `channels` (1 or 2); percentages are shares of files.

    A shard is closed when it holds `shard_bytes` of PCM or more: streams read a shard whole, so this bounds a reader's
    memory.
    """

    sample_rate: int = 16_000
    channels: int = 1
    val_percent: float = 5.0
    test_percent: float = 5.0
    shard_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            DataError: A value is out of range.
        """
        _check(4_000 <= self.sample_rate <= 384_000, "sample_rate", self.sample_rate, "from 4000 to 384000 Hz")
        _check(self.channels in (1, 2), "channels", self.channels, "1 or 2")
        _check(0 <= self.val_percent <= 100, "val_percent", self.val_percent, "from 0 to 100")
        _check(0 <= self.test_percent <= 100, "test_percent", self.test_percent, "from 0 to 100")
        total = self.val_percent + self.test_percent
        _check(total < 100, "val_percent + test_percent", total, "below 100, or nothing is left to train on")
        _check(self.shard_bytes >= 1, "shard_bytes", self.shard_bytes, "at least 1")


def _check(holds: bool, name: str, value: float, rule: str) -> None:
    if not holds:
        raise DataError(f"{name} is {value:g}; it must be {rule}")
