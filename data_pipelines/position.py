"""Where a training stream goes on: at the batch after the last one consumed, exactly, or loosely when asked to.

A position is a number of batches, relative to how the crops are dealt out to ranks, workers and batches. With another
dealing the same number of crops counts as consumed, rounded down to whole batches. Epochs begin where they did, to
within a batch, but the current one is dealt out anew: some of its records come a second time, and as many never.
From the next epoch on each comes once again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codec.errors import RunError

COST = "records of the current epoch may come twice or not at all, and the run equals no uninterrupted one"


class TopologyError(RunError):
    """A position is relative to another topology; all ranks find that alike."""


def changed_topology(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return `NAME from OLD to NEW` for each thing that a position is relative to and that has changed."""
    return [f"{name} from {saved.get(name)} to {value}" for name, value in now.items() if saved.get(name) != value]


def resumed_batches(saved: Mapping[str, Any], now: Mapping[str, Any], *, loose: bool) -> int:
    """Return how many batches of each rank count as consumed, for a saved state and the topology of now.

    Raises:
        TopologyError: The topology has changed, and `loose` is false.
    """
    changes = changed_topology(saved, now)
    if not changes:
        return int(saved["batches"])
    if not loose:
        raise TopologyError(
            f"can't resume exactly with {', '.join(changes)}: use the same data and settings, start a new run, "
            f"or add --resume-loose: {COST}"
        )
    crops = saved["batches"] * saved["batch_size"] * saved["world_size"]
    return int(crops // (now["batch_size"] * now["world_size"]))
