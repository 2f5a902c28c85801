"""The runner: a thread that takes jobs, one at a time, and works on each until it is done or has to be left.

Each worker process has one, on the same store. A runner that is stopped gives its job back; one that is killed leaves a
lease that runs out, and what it had finished stays.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from serving.jobs.cleaning import clean
from serving.jobs.converter import Converter
from serving.jobs.errors import JobCancelledError, LeaseLostError, RunnerStoppedError
from serving.jobs.folder import JobFolder, check_room
from serving.jobs.job import State
from serving.jobs.queue import Claim, JobQueue
from serving.jobs.store import JobStore
from serving.jobs.watch import RENEW_SECONDS, Watch
from serving.jobs.work import Work

LEASE_SECONDS = 15.0
POLL_SECONDS = 1.0
CLEAN_SECONDS = 60.0

logger = logging.getLogger("nacre.serving")


class JobRunner:
    """Works on the jobs of `store` with `converter`, in a thread between `start` and `stop`.

    Start it when the models are loaded. A job whose runner died is taken up `lease_s` after its last sign of life.
    `on_finish` is told how each job ended.
    """

    def __init__(
        self,
        store: JobStore,
        converter: Converter,
        lease_s: float = LEASE_SECONDS,
        on_finish: Callable[[State], None] = lambda state: None,
    ) -> None:
        self._store = store
        self._converter = converter
        self._lease_s = lease_s
        self._on_finish = on_finish
        self._queue = JobQueue(store.database, round(lease_s * 1000))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nacre-jobs", daemon=True)
        self._cleaned = -CLEAN_SECONDS

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """End the work at its next step and give the job back; return whether that came within `timeout_s`."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def run_one(self) -> bool:
        """Take one job and work on it; return whether there was one."""
        claim = self._queue.claim()
        if claim is None:
            return False
        folder = self._store.folder(claim.id)
        try:
            self._work(claim, folder)
        except RunnerStoppedError:
            self._give_back(claim, folder)
        except JobCancelledError:
            folder.remove()
            self._queue.let_go(claim)
        except LeaseLostError as error:
            logger.warning("%s: this one leaves it", error)
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._clean()
                busy = self.run_one()
            except Exception:
                logger.exception("the jobs' runner failed and goes on")
                busy = False
            if not busy:
                self._stopping.wait(POLL_SECONDS)

    def _work(self, claim: Claim, folder: JobFolder) -> None:
        every_s = min(RENEW_SECONDS, self._lease_s / 3)
        limits = self._store.limits

        def room() -> None:
            check_room(self._store.root, limits.job_min_free_bytes)

        with Watch(self._queue, claim, self._stopping, room, every_s) as watch:
            state = Work(claim, self._queue, folder, self._converter, limits, watch).run()
        self._on_finish(state)

    def _give_back(self, claim: Claim, folder: JobFolder) -> None:
        try:
            self._queue.release(claim)
        except JobCancelledError:
            folder.remove()
            self._queue.let_go(claim)
        except LeaseLostError as error:
            logger.warning("%s: this one leaves it", error)

    def _clean(self) -> None:
        if time.monotonic() - self._cleaned >= CLEAN_SECONDS:
            clean(self._store)
            self._cleaned = time.monotonic()
