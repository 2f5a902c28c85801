"""Where outputs go. Workers write payloads, whole or not at all; a sink names them, and says what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from serving.transcode.manifest import Record
from serving.transcode.order import Order
from serving.transcode.place import Place
from serving.transcode.state import State


class Sink(Protocol):
    """The outputs of one DST."""

    def payload(self, source: str, output: str) -> str:
        """Return the name under DST to which a worker writes the output of `source`."""
        ...

    def assign(self, source: str) -> str | None:
        """Decide, if it isn't yet, in which shard a source belongs, and return that; None where there are none."""
        ...

    def holds(self, record: Record) -> bool:
        """Tell whether what `record` says was made is there."""
        ...

    def is_taken(self, output: str) -> bool:
        """Tell whether there is something of that name already."""
        ...

    def settled(self, source: str) -> None:
        """Do what is to be done once a source is settled.

        Raises:
            NacreError: It can't be written.
        """
        ...

    def finish(self) -> None:
        """Do what is left to do once all are settled.

        Raises:
            NacreError: It can't be written.
        """
        ...


def open_sink(order: Order, state: State, place: Place, scratch: Path) -> Sink:
    """Return the sink that an order's settings name."""
    from serving.transcode.sinks.shards import Shards
    from serving.transcode.sinks.tree import Tree

    return Tree(state) if order.settings.sink == "tree" else Shards(order, state, place, scratch)
