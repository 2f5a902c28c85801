"""Where workers run. An engine moves tasks and news of them; who retries, and what that means, is the coordinator's."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.transcode.work import Job, News, Task

Batch = Sequence[Task]


@dataclass(frozen=True)
class Died:
    """A worker is gone, and with it the outcomes of these tasks."""

    tasks: tuple[Task, ...]


class Engine(Protocol):
    """Runs workers (worker.py), each of which loads the job's model once."""

    def run(self, job: Job, batches: Iterator[Batch], *, alone: bool = False) -> Generator[News | Died]:
        """Do all batches; yield one outcome for each task, in any order, or the task within a `Died`.

        Before that it may be told how far the task is.

        A batch is taken from `batches` only when a worker is there for it, so that few are in flight; with `alone`, at
        most one is, and the next is taken only after all of its outcomes were yielded and the caller asked for more. A
        worker that died is replaced. Closing the iterator ends all workers within seconds; they leave outputs whole or
        absent.

        Raises:
            NacreError: No worker can be started, or one can't load the model.
        """
        ...
