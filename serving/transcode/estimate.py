"""What a run would do, take and cost: a dry run, which writes nothing to DST and decodes nothing.

Every file that is to be done has its header read. It takes little memory: what is to be done is listed in a temporary
database.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codec.package import Package
from serving.transcode.order import Order
from serving.transcode.place import is_url, open_place
from serving.transcode.plan import Planner
from serving.transcode.probe import Facts, probe
from serving.transcode.recall import copy_state, look_at_target, recall_for_reading
from serving.transcode.sinks import open_sink
from serving.transcode.sources import open_source
from serving.transcode.sources.opening import EntryOpener
from serving.transcode.state import State, Work
from serving.transcode.tally import MAX_FAILURES, Tally

# Headers far away are asked for so many at a time.
_REQUESTS = 32
# The share of the cores' raw speed that reading, resampling and writing leave to the model.
_SHARE = 0.9


@dataclass
class Format:
    """The files of one format that are to be done."""

    files: int = 0
    seconds: float = 0.0
    num_bytes: int = 0


@dataclass
class Estimate:
    """What was counted, and what it comes to.

    `files` are of the kind that is transcoded: those `unchanged` need no work, those `failing` can't be done, with the
    reasons of the first of them in `failures`. `speed` is how many seconds of audio a core codes in one, None if that
    was not measured.
    """

    files: int = 0
    unchanged: int = 0
    ignored: int = 0
    to_do: int = 0
    failing: int = 0
    seconds: float = 0.0
    model_seconds: float = 0.0
    bytes_before: int = 0
    bytes_after: float = 0.0
    formats: dict[str, Format] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    workers: int = 1
    speed: float | None = None
    cost_per_hour: float | None = None

    @property
    def work_seconds(self) -> float | None:
        """How long the work will take, about."""
        return None if self.speed is None else self.model_seconds / (self.speed * self.workers * _SHARE)

    @property
    def cost(self) -> float | None:
        """What it will cost."""
        if self.work_seconds is None or self.cost_per_hour is None:
            return None
        return self.work_seconds / 3600 * self.cost_per_hour

    def to_dict(self) -> dict[str, Any]:
        """Return everything, as JSON takes it."""
        return dataclasses.asdict(self) | {"work_seconds": self.work_seconds, "cost": self.cost}

    def fail(self, name: str, reason: str) -> None:
        """Count a file that can't be done."""
        self.failing += 1
        if len(self.failures) < MAX_FAILURES:
            self.failures[name] = reason

    def add(self, num_bytes: int, facts: Facts) -> None:
        """Count a file that is to be done."""
        self.to_do += 1
        self.seconds += facts.seconds
        self.model_seconds += facts.model_seconds
        self.bytes_before += num_bytes
        self.bytes_after += facts.bytes_after
        found = self.formats.setdefault(facts.format, Format())
        found.files += 1
        found.seconds += facts.seconds
        found.num_bytes += num_bytes


def estimate(order: Order, package: Package, on_file: Callable[[int], None] = lambda _: None) -> Estimate:
    """Find out what `order` would do; `on_file` is told how many files were looked at.

    Raises:
        DataError: As `transcode`.
        MissingToolError: As `transcode`.
        NacreError: As `transcode`.
    """
    source, place = open_source(order.source), open_place(order.target)
    folder = Path(tempfile.mkdtemp(prefix="nacre-plan-"))
    result, tally = Estimate(), Tally()
    try:
        copy_state(order, place, folder)
        with State.open(folder) as state:
            recall_for_reading(place, state)
            with state.transaction():
                look_at_target(order, place, state)
                Planner(order, state, open_sink(order, state, place, folder), tally).plan(source)
            result.files, result.ignored, result.unchanged = tally.files, tally.ignored, tally.unchanged
            result.failing = tally.failed
            result.failures = {record.source: record.reason or "" for record in tally.failures}
            for number, (work, facts) in enumerate(_probe(order, package, state, folder), start=1):
                on_file(number)
                if isinstance(facts, str):
                    result.fail(work.entry.name, facts)
                else:
                    result.add(work.entry.size, facts)
    finally:
        shutil.rmtree(folder)
    return result


def _probe(order: Order, package: Package, state: State, scratch: Path) -> Iterator[tuple[Work, Facts | str]]:
    """Yield all work with what its header says, in the source's order; many at a time if they are far away."""
    with EntryOpener(scratch) as opener, ThreadPoolExecutor(_REQUESTS) as threads:
        waiting: deque[tuple[Work, Future[Facts | str]]] = deque()
        for work in state.planned_work():
            locator = work.entry.locator
            if not is_url(locator.url) or locator.kind == "tar.gz":
                yield work, probe(work.entry, opener, package, order.settings)
                continue
            waiting.append((work, threads.submit(probe, work.entry, opener, package, order.settings)))
            if len(waiting) > 2 * _REQUESTS:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
