"""Work in this process, for programs that have a model loaded; a file that kills its worker kills this process."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.transcode.engines import Batch, Died
from serving.transcode.work import Job, News

if TYPE_CHECKING:
    from codec.weights import LoadedPackage


@dataclass(frozen=True)
class InlineEngine:
    """One worker, with `model` if it is the job's and loaded already."""

    model: LoadedPackage | None = None

    def run(self, job: Job, batches: Iterator[Batch], *, alone: bool = False) -> Generator[News | Died]:
        """As `Engine.run`; every batch is done before the next is taken."""
        from serving.transcode.worker import Worker

        worker = Worker(job, self.model)
        for batch in batches:
            yield from worker.run(batch)
