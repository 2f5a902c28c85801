"""One Ray actor: a worker (worker.py) on a core or GPU of some node, with the model that was sent along."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

from codec.errors import NacreError
from codec.package import SUMS, read_sums
from serving.transcode.engines import Batch
from serving.transcode.engines.ray_reach import Reach, check_source, check_target
from serving.transcode.entry import Entry
from serving.transcode.work import Job, News, Task


@dataclass(frozen=True)
class Ready:
    """The actor has loaded the model, on the node of that id, and can reach what it needs."""

    node: str


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """What an actor starts with: the job, the files of its package, and what its node has to reach.

    `sample` is an entry that can be opened elsewhere.
    """

    job: Job
    files: dict[str, bytes]
    reach: Reach
    sample: Entry | None


def pack(job: Job, reach: Reach, sample: Entry | None) -> Shipment:
    """Return a job ready to be sent.

    Raises:
        PackageError: The package's folder is none.
    """
    names = [*read_sums((job.package / SUMS).read_bytes(), str(job.package)), SUMS]
    files = {name: (job.package / name).read_bytes() for name in names}
    return Shipment(job=job, files=files, reach=reach, sample=sample)


class RayActor:
    """`work` yields until the actor is killed, while `give`, in another thread, brings tasks."""

    def __init__(self) -> None:
        self._tasks = SimpleQueue[Task]()

    def give(self, batch: Batch) -> None:
        """Queue tasks."""
        for task in batch:
            self._tasks.put(task)

    def work(self, shipment: Shipment) -> Iterator[Ready | News]:
        """Load the model, then do tasks.

        Raises:
            NacreError: This node doesn't reach what it needs to, or the model can't be loaded.
        """
        import ray
        import torch

        from serving.transcode.worker import Worker

        if shipment.job.device == "cpu":
            torch.set_num_threads(1)
        try:
            check_target(shipment.job, shipment.reach)
            if shipment.sample is not None:
                check_source(shipment.sample)
            # Checked against its checksums as it is loaded, and not needed afterwards.
            with tempfile.TemporaryDirectory(prefix="nacre-package-") as folder:
                for name, data in shipment.files.items():
                    Path(folder, name).write_bytes(data)
                worker = Worker(replace(shipment.job, package=Path(folder)))
        except Exception as error:  # from CUDA, for one
            raise NacreError(f"the node {ray.util.get_node_ip_address()} can't take part: {error}") from None
        yield Ready(ray.get_runtime_context().get_node_id())
        yield from worker.run(iter(self._tasks.get, None))
