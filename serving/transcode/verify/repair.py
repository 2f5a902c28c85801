"""Encoding again, at a higher bitrate, what misses a floor: by an engine's workers and into the same sinks as before.

The manifest then says so, beside what was asked for at first: a transcode that is run again leaves it alone. While this
works DST has a state as in any run; so if this is killed, a transcode that is run again puts DST in order.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from codec.errors import NacreError
from serving.transcode.engines import Batch, Died, Engine
from serving.transcode.home import held
from serving.transcode.manifest import MANIFEST, Record, write_manifest
from serving.transcode.order import Order
from serving.transcode.place import Place, is_url
from serving.transcode.settings import Settings
from serving.transcode.sinks import Sink
from serving.transcode.sinks.shards import Shards
from serving.transcode.sinks.tree import Tree
from serving.transcode.sources.folder import STATE_FOLDER
from serving.transcode.state import State
from serving.transcode.verify.catalogue import Catalogue
from serving.transcode.work import Job, Outcome, Task

_SETTINGS = re.compile(r"encode num_quantizers=([0-9]+|None)( denoise)?( containers)?")


def repair(order: Order, place: Place, catalogue: Catalogue, engine: Engine) -> list[str]:
    """Encode again what misses a floor, with the stages of `order.settings`; return the names of what was.

    What has as many stages already, or can't be encoded, stays as it is.

    Raises:
        NacreError: Another run works on DST, or an output can't be written.
    """
    with held(order, place) as folder:
        in_order = False
        try:
            with State.open(folder) as state:
                with state.transaction(durable=True):
                    state.adopt(catalogue.records())
                run = _Repair(order, place, catalogue, engine, state, folder / "scratch")
                try:
                    run.work()
                finally:
                    run.finish()
                    in_order = True
        finally:
            if in_order:
                shutil.rmtree(folder)
                place.remove(STATE_FOLDER)
    return run.repaired


class _Repair:
    """`repaired` has the names of what was encoded again so far."""

    def __init__(
        self, order: Order, place: Place, catalogue: Catalogue, engine: Engine, state: State, scratch: Path
    ) -> None:
        self.repaired: list[str] = []
        self._order = order
        self._place = place
        self._catalogue = catalogue
        self._engine = engine
        self._state = state
        self._scratch = scratch
        self._sinks: dict[bool, Sink] = {False: Tree(state), True: Shards(order, state, place, scratch)}
        self._flying: dict[str, tuple[Record, Task]] = {}

    def work(self) -> None:
        """Encode again all that may come out better."""
        for settings in self._all_settings():
            suspects = self._run(settings, ([task] for task in self._tasks(settings)), alone=False)
            self._run(settings, ([task] for task in suspects), alone=True)

    def finish(self) -> None:
        """Leave DST in order, and its manifest as it is now."""
        self._place.clean(task.payload for _, task in self._flying.values())
        self._sinks[True].finish()
        with self._place.writing(MANIFEST, self._scratch) as path, path.open("wb") as file:
            write_manifest(file, self._state.records())

    def _all_settings(self) -> list[Settings]:
        """Return the settings to encode by, as what is encoded again was."""
        stages = self._order.settings.num_quantizers
        return [
            Settings(num_quantizers=stages, denoise=denoise, sink=sink)
            for denoise in (False, True)
            for sink in ("tree", "containers")
        ]

    def _tasks(self, settings: Settings) -> Iterator[Task]:
        """Yield the work that is to be done by these settings."""
        for finding in self._catalogue.findings(below=True):
            record, entry = self._catalogue.checked(finding)
            if _better(record, settings) and record.output is not None:
                payload = self._sinks[settings.sink != "tree"].payload(record.source, record.output)
                task = Task(entry=entry, payload=payload)
                self._flying[record.source] = (record, task)
                yield task

    def _run(self, settings: Settings, batches: Iterable[Batch], *, alone: bool) -> list[Task]:
        """Do tasks, and return those whose worker died."""
        target = self._order.target
        job = Job(
            package=self._order.package,
            settings=settings,
            target=target if is_url(target) else str(Path(target).absolute()),
            scratch=self._scratch.absolute(),
            device=self._order.device,
        )
        suspects: list[Task] = []
        with closing(self._engine.run(job, iter(batches), alone=alone)) as happenings:
            for happening in happenings:
                if isinstance(happening, Died):
                    self._place.clean(task.payload for task in happening.tasks)
                    suspects += happening.tasks
                elif isinstance(happening, Outcome):
                    self._settle(settings, happening)
        return suspects

    def _settle(self, settings: Settings, outcome: Outcome) -> None:
        if outcome.status == "blocked":
            raise NacreError(f"{outcome.reason}; nothing done is lost: make room or mend that, and verify again")
        record, _ = self._flying.pop(outcome.source)
        if outcome.status != "done":
            return
        better = replace(
            record,
            output_bytes=outcome.output_bytes,
            output_sha256=outcome.output_sha256,
            position=None,
            repaired=str(settings),
        )
        with self._state.transaction():
            self._state.put(better)
        self.repaired.append(record.source)


def _better(record: Record, settings: Settings) -> bool:
    """Tell whether these settings are those of a record but for more stages than it has."""
    asked, done = _SETTINGS.match(record.settings), _SETTINGS.match(record.repaired or record.settings)
    if asked is None or done is None or done[1] == "None" or settings.num_quantizers is None:
        return False
    same = (bool(asked[2]), bool(asked[3])) == (settings.denoise, settings.sink == "containers")
    return same and int(done[1]) < settings.num_quantizers
