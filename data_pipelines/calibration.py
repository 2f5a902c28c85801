"""Calibration audio: a fixed sample of split train, the same on every rank, from which a fresh codec starts.

Axes: audio float32 [B, C, T].
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from data_pipelines.crops import cut, room, to_audio
from data_pipelines.dataset import DataSet
from data_pipelines.replacement import ReplacingReader

# At most this many shards are read, evenly spread, however large the data set.
MAX_SHARDS = 32


def calibration_segments(
    data: DataSet, reader: ReplacingReader, *, count: int, num_samples: int, seed: int
) -> list[torch.Tensor]:
    """Return `count` segments [C, num_samples], spread evenly over split train; fewer records than that come again.

    Raises:
        DataError: No shard can be read.
    """
    shards = data.index.splits["train"]
    kept = _spread(range(len(shards)), min(len(shards), MAX_SHARDS))
    places = _spread([(shard, i) for shard in kept for i in range(len(shards[shard].records))], count)
    segments = []
    held = -1
    for number, (shard, record) in enumerate(places):
        if shard != held:
            held, records = shard, reader.read(shards, shard, f"{seed}-calibration").records
        rng = random.Random(f"{seed}-{number}-calibration")  # noqa: S311  # reproducible on purpose
        offset = rng.randint(0, room(records[record], num_samples))
        segments.append(to_audio(cut(records[record], offset, num_samples), num_samples))
    return segments


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """Pick `count` items, evenly spread; more than there are repeats them."""
    return [items[i * len(items) // count] for i in range(count)]
