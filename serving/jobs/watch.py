"""What goes on beside the work on a job: its lease is renewed, its progress told, and reasons to end it are noticed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from serving.jobs.errors import RunnerStoppedError, StorageFullError, WorkEndedError
from serving.jobs.queue import Claim, JobQueue

RENEW_SECONDS = 1.0

logger = logging.getLogger("nacre.serving")


class Watch:
    """Watches over a claim in a thread of its own; the work calls `report` or `check` often, which raise to end it.

    `check_room` is asked as often as the lease is renewed, and raises when the disk is full.
    """

    def __init__(
        self,
        queue: JobQueue,
        claim: Claim,
        stopping: threading.Event,
        check_room: Callable[[], None],
        every_s: float = RENEW_SECONDS,
    ) -> None:
        self._queue = queue
        self._claim = claim
        self._stopping = stopping
        self._check_room = check_room
        self._every_s = every_s
        self._progress = 0.0
        self._ended: WorkEndedError | None = None
        self._full: StorageFullError | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nacre-job-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def report(self, progress: float) -> None:
        """Note how much of the job is done, from 0 to 1. Raises as `check`."""
        self._progress = progress
        self.check()

    def check(self) -> None:
        """Go on, or not.

        Raises:
            WorkEndedError: The job was cancelled, taken by another runner, or this one is stopping.
            StorageFullError: There is no room left on the disk.
        """
        if self._stopping.is_set():
            raise RunnerStoppedError("the runner is stopping")
        if self._ended is not None:
            raise self._ended
        if self._full is not None:
            raise self._full

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                self._queue.renew(self._claim, self._progress)
            except WorkEndedError as ended:
                self._ended = ended
                return
            except Exception:
                logger.exception("the lease of job %s could not be renewed", self._claim.id)
            self._look_at_disk()

    def _look_at_disk(self) -> None:
        try:
            self._check_room()
            self._full = None
        except StorageFullError as full:
            self._full = full
        except OSError:
            logger.exception("the disk of job %s could not be asked for its room", self._claim.id)
