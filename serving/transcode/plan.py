"""What is to do: every entry of the source, compared with what was done and what DST holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from codec.errors import DataError
from serving.transcode.entry import Entry
from serving.transcode.manifest import Record
from serving.transcode.order import Order
from serving.transcode.sinks import Sink
from serving.transcode.sources import Source
from serving.transcode.state import Flight, State, Work
from serving.transcode.tally import Tally

# A file is quarantined that took so many workers with it. Of one that was in flight when a run was killed as a whole,
# nobody knows whether it was at fault: the second time it is put last and done alone, and twice killed so, it is too.
MAX_DIED = 2
MAX_LOST = 2
MAX_LOST_ALONE = 2
_KILLER = "it kills whatever worker transcodes it, and is left alone until it changes, or --retry-quarantined is given"


class Planner:
    """Plans a run into `state`, counting in `tally`."""

    def __init__(self, order: Order, state: State, sink: Sink, tally: Tally) -> None:
        self._order = order
        self._settings = order.settings
        self._state = state
        self._sink = sink
        self._tally = tally

    def plan(self, source: Source) -> None:
        """Write down what is to do.

        Raises:
            DataError: There is nothing that could be done.
            NacreError: The source can't be listed.
        """
        self._state.begin_plan()
        part, found = self._order.part, False
        for entry in self._entries(source):
            found = True
            if part is None or part.has(source.group(entry)):
                self._tally.see(entry.size)
                self._plan_entry(entry)
        if not found:
            kind = "container" if self._settings.decode else "audio"
            raise DataError(f"there is no {kind} in '{self._order.source}'")

    def _entries(self, source: Source) -> Iterator[Entry]:
        """Yield what is of the right kind; the second of a name gets another, under which it fails."""
        for entry in source.entries():
            if not self._settings.takes(entry.name):
                self._tally.ignored += 1
                continue
            name, number = entry.name, 2
            while self._state.is_planned(name):
                name, number = f"{entry.name}#{number}", number + 1
            yield entry if name == entry.name else replace(entry, name=name, refusal="another entry is called so too")

    def _plan_entry(self, entry: Entry) -> None:
        new = self._new_record(entry)
        last = self._state.record(entry.name)
        known = None
        if last is not None and _is_same(last, new):
            if last.quarantined and last.source_stamp == new.source_stamp and not self._order.retry_quarantined:
                self._settle(last, output=last.output)
                return
            if last.status == "done" and self._sink.holds(last):
                if last.source_stamp == new.source_stamp:
                    self._settle(last, output=last.output)
                    return
                known = last.source_sha256
        flight = self._state.flight(entry.name)
        if reason := entry.refusal or self._obstacle(new, last, flight):
            self._fail(replace(new, output=None, reason=reason))
        elif flight is not None and is_killer(flight):
            self._fail(quarantined(new))
        else:
            self._plan_work(entry, new, known, flight or Flight(output=""))

    def _plan_work(self, entry: Entry, new: Record, known: str | None, flight: Flight) -> None:
        assert new.output is not None
        self._sink.assign(entry.name)
        suspect = flight.died > 0 or flight.lost >= MAX_LOST
        self._state.plan_work(
            Work(entry=entry, output=new.output, known=known),
            rank=flight.lost,
            size=0 if entry.locator.kind == "tar.gz" else entry.size,  # which is read in its own order
            alone=suspect,
        )

    def _settle(self, record: Record, *, output: str | None) -> None:
        self._state.plan_settled(record.source, output)
        self._tally.settle(record, worked=False)

    def _fail(self, record: Record) -> None:
        self._state.plan_settled(record.source, None)
        record = replace(record, shard=self._state.shard_of(record.source))
        self._state.put(record)
        self._tally.settle(record, worked=False)

    def _obstacle(self, new: Record, last: Record | None, flight: Flight | None) -> str | None:
        """Say why the output's name can't be used, if it can't."""
        assert new.output is not None
        if self._state.owner(new.output) is not None:
            return f"its output '{new.output}' is another file's too: rename one of them"
        ours = new.output in (last and last.output, flight and flight.output)
        if not ours and self._sink.is_taken(new.output):
            return f"its output '{new.output}' exists and is not from a run before: move it away"
        return None

    def _new_record(self, entry: Entry) -> Record:
        return Record(
            source=entry.name,
            output=self._settings.output_name(entry.name),
            status="failed",
            settings=str(self._settings),
            fingerprint=self._order.fingerprint,
            source_bytes=entry.size,
            source_stamp=entry.stamp,
        )


def quarantined(record: Record) -> Record:
    """Return the record of a file that is left alone."""
    return replace(record, status="failed", reason=_KILLER, quarantined=True)


def is_killer(flight: Flight) -> bool:
    """Tell whether a source is to be quarantined for what befell it."""
    return flight.died >= MAX_DIED or flight.lost_alone >= MAX_LOST_ALONE


def _is_same(last: Record, new: Record) -> bool:
    """Tell whether a record is of the same work, as far as its source's name and size say."""
    key = (last.settings, last.fingerprint, last.output, last.source_bytes)
    return key == (new.settings, new.fingerprint, new.output, new.source_bytes)
