"""The order of training crops: a pure function of (seed, epoch, reader), on integers.

Any point of it can be found again without reading data. A reader is one worker of one rank; R readers share an epoch:

1. The shards are permuted and their N records laid out as a ring that starts at a random place (both by seed, epoch).
2. Each reader delivers the same number of batches, `batches_per_epoch` = floor(N / R) * crops / batch_size, rounded
   down, so no rank waits for another. Reader r takes the r-th span of the ring, just long enough for that.
3. Inside a span the crops pass through a shuffle buffer.

So no record comes twice in an epoch, and all come once where the divisions leave no rest. The rest is less than a batch
and two records for each reader, and other records are left out in the next epoch. Only if there are too few records
for one batch for each reader does the ring go round more than once, with different crops each time.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

# Crops that a reader holds to shuffle them: 32 MB at one second of 16 kHz mono.
SHUFFLE_CROPS = 1024


class Token(NamedTuple):
    """One crop of an epoch: crop number `crop` of the record at `position` of the ring."""

    position: int
    crop: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order for one reader of `readers`; `shard_sizes` are records in each shard, in the index's order."""

    shard_sizes: tuple[int, ...]
    reader: int
    readers: int
    batch_size: int
    crops_per_record: int
    seed: int

    @property
    def batches_per_epoch(self) -> int:
        """Batches that each reader delivers in an epoch."""
        return max(1, sum(self.shard_sizes) // self.readers * self.crops_per_record // self.batch_size)

    def tokens(self, epoch: int) -> list[Token]:
        """Return the reader's crops of an epoch, in the order of delivery: batches_per_epoch * batch_size of them."""
        count = self.batches_per_epoch * self.batch_size
        span = -(-count // self.crops_per_record)
        first = self._start(epoch) + self.reader * span
        tokens = [Token(first + i, crop) for i in range(span) for crop in range(self.crops_per_record)]
        rng = random.Random(f"{self.seed}-{epoch}-{self.reader}-buffer")  # noqa: S311  # reproducible on purpose
        return list(_buffer_shuffle(tokens[:count], rng))

    def locate(self, epoch: int, positions: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield (shard, record in the shard) for each position of the ring."""
        shards = self._shards(epoch)
        ends = list(accumulate(self.shard_sizes[shard] for shard in shards))
        for position in positions:
            place = position % ends[-1]
            turn = bisect_right(ends, place)
            yield shards[turn], place - (ends[turn] - self.shard_sizes[shards[turn]])

    def crop_offset(self, epoch: int, token: Token, room: int) -> int:
        """Return where a crop starts in its record, from 0 to `room`."""
        rng = random.Random(f"{self.seed}-{epoch}-{token.position}-{token.crop}-crop")  # noqa: S311  # reproducible
        return rng.randint(0, room)

    def _shards(self, epoch: int) -> list[int]:
        shards = list(range(len(self.shard_sizes)))
        random.Random(f"{self.seed}-{epoch}-shards").shuffle(shards)  # noqa: S311  # reproducible on purpose
        return shards

    def _start(self, epoch: int) -> int:
        rng = random.Random(f"{self.seed}-{epoch}-start")  # noqa: S311  # reproducible on purpose
        return rng.randrange(sum(self.shard_sizes))


def _buffer_shuffle(tokens: Sequence[Token], rng: random.Random) -> Iterator[Token]:
    """Yield each token once, none more than about SHUFFLE_CROPS places before its turn."""
    buffer: list[Token] = []
    for token in tokens:
        buffer.append(token)
        if len(buffer) > SHUFFLE_CROPS:
            yield _take(buffer, rng)
    while buffer:
        yield _take(buffer, rng)


def _take(buffer: list[Token], rng: random.Random) -> Token:
    place = rng.randrange(len(buffer))
    buffer[place], buffer[-1] = buffer[-1], buffer[place]
    return buffer.pop()
