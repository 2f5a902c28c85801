"""A mirrored tree: one output for each source, under the source's name and a suffix."""

from __future__ import annotations

from dataclasses import dataclass

from serving.transcode.manifest import Record
from serving.transcode.state import State


@dataclass(frozen=True)
class Tree:
    """Workers write where outputs stay."""

    state: State

    def payload(self, source: str, output: str) -> str:
        """As `Sink.payload`."""
        return output

    def assign(self, source: str) -> None:
        """As `Sink.assign`."""
        return

    def holds(self, record: Record) -> bool:
        """As `Sink.holds`, by the size."""
        return record.output is not None and self.state.present_size(record.output) == record.output_bytes

    def is_taken(self, output: str) -> bool:
        """As `Sink.is_taken`."""
        return self.state.present_size(output) is not None

    def settled(self, source: str) -> None:
        """As `Sink.settled`."""

    def finish(self) -> None:
        """As `Sink.finish`."""
