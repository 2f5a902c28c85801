"""One run: from the plan, by an engine's workers, to the outputs and the manifest.

The coordinator alone writes the state, and never loads a model. Killed anywhere, it leaves outputs whole or absent, and
the next run does the rest: what was in flight is done again, everything else isn't.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from sqlite3 import Error as DatabaseError

from codec.errors import NacreError
from codec.files import TEMPORARY_PREFIX
from serving.transcode.engines import Batch, Died, Engine
from serving.transcode.home import PARTS, held, remove_folder
from serving.transcode.manifest import MANIFEST, Record, write_manifest
from serving.transcode.order import Order
from serving.transcode.place import LocalPlace, Place, is_url, open_place
from serving.transcode.plan import MAX_DIED, Planner, quarantined
from serving.transcode.recall import look_at_target, recall
from serving.transcode.sinks import open_sink
from serving.transcode.sources import Source, open_source
from serving.transcode.sources.folder import STATE_FOLDER, Folder
from serving.transcode.state import State, Work
from serving.transcode.stopping import StoppedError, stoppable
from serving.transcode.tally import Tally
from serving.transcode.work import Advance, Job, Outcome, Task

# Tasks that go to a worker together: so many, unless their bytes are many.
BATCH_FILES = 8
BATCH_BYTES = 32 << 20


class _BlockedError(Exception):
    """An output can't be written; nothing more can be done."""


def transcode(order: Order, engine: Engine, tally: Tally | None = None) -> Tally:
    """Bring DST up to date with SRC, and return what was counted, in `tally` if given.

    Raises:
        DataError: The source can't be listed or has nothing of the kind, or the manifest is damaged.
        NacreError: The folders can't be used so, another run works on DST, an output can't be written, or a signal
            came; what was done until then stays, and another run goes on from there.
        MissingToolError: A URL needs a package that is not installed.
    """
    tally = tally or Tally()
    source, place = open_source(order.source), open_place(order.target)
    _check_folders(source, place, order)
    try:
        with stoppable(), held(order, place) as folder:
            _clean(place, folder, order)
            with State.open(folder) as state:
                _Run(order, engine, tally, place, state, folder).run(source)
            tally.stage = "done"
            remove_folder(folder)
            if order.part is None:
                place.remove(STATE_FOLDER)
    except StoppedError:
        raise NacreError(f"stopped with {tally.settled} of {tally.files} files settled; run again to go on") from None
    except _BlockedError as error:
        raise NacreError(f"{error}; nothing done is lost: make room or mend that, and run again") from None
    return tally


class _Run:
    def __init__(self, order: Order, engine: Engine, tally: Tally, place: Place, state: State, folder: Path) -> None:
        self._order = order
        self._engine = engine
        self._tally = tally
        self._place = place
        self._state = state
        self._scratch = folder / "scratch"
        self._folder = folder
        self._flying: dict[str, Work] = {}
        self._sink = open_sink(order, state, place, self._scratch)

    def run(self, source: Source) -> None:
        recall(self._order, self._place, self._state, self._folder)
        with self._state.transaction(durable=True):
            self._place.clean(self._sink.payload(*flight) for flight in self._state.in_flight())
            look_at_target(self._order, self._place, self._state)
            Planner(self._order, self._state, self._sink, self._tally).plan(source)
        self._tally.begin_work()
        try:
            for alone in (False, True):
                while self._state.next_work(alone=alone, most=1):
                    self._work(alone)
        except BaseException:
            self._take_back()
            raise
        self._tally.stage = "packing"
        self._sink.finish()
        self._write_manifest()

    def _work(self, alone: bool) -> None:
        job = Job(
            package=self._order.package,
            settings=self._order.settings,
            target=self._order.target if is_url(self._order.target) else str(Path(self._order.target).absolute()),
            scratch=self._scratch.absolute(),
            device=self._order.device,
        )
        with closing(self._engine.run(job, self._batches(alone), alone=alone)) as happenings:
            for happening in happenings:
                if isinstance(happening, Died):
                    self._bury(happening)
                elif isinstance(happening, Advance):
                    self._advance(happening)
                else:
                    self._settle(happening)

    def _batches(self, alone: bool) -> Iterator[Batch]:
        while works := _within(self._state.next_work(alone=alone, most=1 if alone else BATCH_FILES)):
            with self._state.transaction(durable=True):
                self._state.start(works, alone=alone)
            self._flying |= {work.entry.name: work for work in works}
            yield [self._task(work) for work in works]

    def _task(self, work: Work) -> Task:
        payload = self._sink.payload(work.entry.name, work.output)
        return Task(entry=work.entry, payload=payload, known_sha256=work.known)

    def _advance(self, advance: Advance) -> None:
        size = self._flying[advance.source].entry.size
        self._tally.advance(advance.source, num_bytes=size * advance.share, seconds=advance.seconds)

    def _settle(self, outcome: Outcome) -> None:
        if outcome.status == "blocked":
            raise _BlockedError(outcome.reason)
        work = self._flying.pop(outcome.source)
        if outcome.status == "unchanged":
            last = self._state.record(outcome.source)
            assert last is not None
            record = replace(last, source_stamp=work.entry.stamp)
        else:
            record = self._record(work, outcome)
        self._put(record, worked=outcome.status == "done")

    def _bury(self, died: Died) -> None:
        """Tasks of a worker that is gone go again alone, or never again."""
        self._place.clean(task.payload for task in died.tasks)
        for task in died.tasks:
            work = self._flying.pop(task.entry.name)
            self._tally.take_back(task.entry.name)
            with self._state.transaction(durable=True):
                times = self._state.bury(task.entry.name)
            if times >= MAX_DIED:
                outcome = Outcome(source=task.entry.name, status="failed")
                self._put(quarantined(self._record(work, outcome)), worked=True)

    def _put(self, record: Record, *, worked: bool) -> None:
        with self._state.transaction():
            self._state.put(record)
        self._tally.settle(record, worked=worked)
        self._sink.settled(record.source)

    def _record(self, work: Work, outcome: Outcome) -> Record:
        return Record(
            source=work.entry.name,
            output=work.output,
            status="done" if outcome.status == "done" else "failed",
            settings=str(self._order.settings),
            fingerprint=self._order.fingerprint,
            source_bytes=work.entry.size,
            source_stamp=work.entry.stamp,
            source_sha256=outcome.source_sha256,
            seconds=outcome.seconds,
            output_bytes=outcome.output_bytes,
            output_sha256=outcome.output_sha256,
            shard=self._state.shard_of(work.entry.name),
            reason=outcome.reason,
        )

    def _take_back(self) -> None:
        """Leave nothing of what was in flight."""
        self._tally.stage = "stopping"
        with suppress(OSError, NacreError):
            self._place.clean(self._sink.payload(name, work.output) for name, work in self._flying.items())
            shutil.rmtree(self._scratch, ignore_errors=True)
        with suppress(DatabaseError), self._state.transaction():  # the disk may be full
            self._state.abandon()

    def _write_manifest(self) -> None:
        part = self._order.part
        records = self._state.records() if part is None else self._state.planned_records()
        name = MANIFEST if part is None else f"{PARTS}/{part}.jsonl"
        try:
            with self._place.writing(name, self._scratch) as path, path.open("wb") as file:
                write_manifest(file, records)
        except OSError as error:
            raise _BlockedError(f"can't write '{name}': {error.strerror or error}") from None


def _within(works: list[Work]) -> list[Work]:
    """Return the first of `works` whose bytes are not too many together, and one in any case."""
    total, count = 0, 0
    for work in works:
        total += work.entry.size
        if count and total > BATCH_BYTES:
            break
        count += 1
    return works[:count]


def _clean(place: Place, folder: Path, order: Order) -> None:
    """Remove what a kill left, but for the state; beside other parts, only what the own state names."""
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    if isinstance(place, LocalPlace) and order.part is None:
        for temporary in place.root.rglob(f"{TEMPORARY_PREFIX}*"):
            temporary.unlink(missing_ok=True)


def _check_folders(source: Source, place: Place, order: Order) -> None:
    """Check that the source's files are not those of the target."""
    if not isinstance(place, LocalPlace):
        return
    if place.root.exists() and not place.root.is_dir():
        raise NacreError(f"'{place.root}' is a file: name a folder")
    if isinstance(source, Folder):
        inner, outer = source.root.resolve(), place.root.resolve()
        if inner.is_relative_to(outer) or outer.is_relative_to(inner):
            raise NacreError(f"'{source.root}' and '{place.root}' lie in each other: choose folders apart")
