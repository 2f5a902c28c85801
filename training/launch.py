"""Who started this process: torchrun or SLURM, for several machines too, or nobody but the user.

Started by either, the ranks agree on the run before there is a process group: rank 0 decides, and tells the others by
torch's key-value store at MASTER_ADDR and MASTER_PORT, which torchrun serves, and rank 0 under SLURM.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from codec.distributed import rank
from codec.errors import NacreError, RunError
from training.run import Run, inherited_run
from training.stopping import JointStopError

TIMEOUT = timedelta(minutes=10)
# For others to hear that rank 0 refuses.
PATIENCE = timedelta(minutes=2)
GUIDE = "docs/multi-node.md"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """This process's place in a job: `devices` processes on each of `num_nodes` machines."""

    rank: int
    devices: int
    num_nodes: int
    address: str
    port: int
    serves_store: bool

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0


def find_launch() -> Launch | None:
    """Return this process's place in a job of torchrun or SLURM, None if neither started several processes.

    Raises:
        RunError: SLURM's job lacks --ntasks-per-node.
    """
    if dist.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        return Launch(
            rank=int(os.environ["RANK"]),
            devices=devices,
            num_nodes=int(os.environ["WORLD_SIZE"]) // devices,
            address=os.environ["MASTER_ADDR"],
            port=int(os.environ["MASTER_PORT"]),
            serves_store=False,
        )
    if not SLURMEnvironment.detect() or int(os.environ["SLURM_NTASKS"]) == 1:
        return None
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise RunError(f"under SLURM give --ntasks-per-node, one task for each device ({GUIDE})")
    environment = SLURMEnvironment(auto_requeue=False)
    devices = int(os.environ["SLURM_NTASKS_PER_NODE"])
    return Launch(
        rank=environment.global_rank(),
        devices=devices,
        num_nodes=environment.world_size() // devices,
        address=environment.main_address,
        port=environment.main_port,
        serves_store=environment.global_rank() == 0,
    )


def own_environment() -> list[SLURMEnvironment]:
    """Return Lightning's plugin for SLURM without its requeueing, which would write checkpoints of its own."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def is_first_process() -> bool:
    """Tell whether this process speaks for the job."""
    launch = find_launch()
    return inherited_run() is None and (launch is None or launch.is_first)


class LostRankError(RunError):
    """Another process of the job died."""

    def __init__(self, run: Run) -> None:
        last = f"go on with --resume {run.directory}" if run.last_checkpoint.is_file() else "it has no checkpoint yet"
        super().__init__(
            f"rank {rank()} lost the connection to another rank, which has died: see that one's messages; {last}"
        )


def is_lost_rank(error: RuntimeError) -> bool:
    """Tell whether a collective call failed because another rank is gone; gloo raises plain errors."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


class Agreement:
    """What rank 0 decides for all; the store lives as long as this, for Lightning uses it on."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        try:
            self._store = dist.TCPStore(  # type: ignore[attr-defined]  # torch exports it without saying so
                launch.address,
                launch.port,
                is_master=launch.serves_store,
                timeout=TIMEOUT,
                wait_for_workers=False,
                multi_tenant=True,
            )
        except (dist.DistError, RuntimeError):
            where = f"{launch.address}:{launch.port} (MASTER_ADDR, MASTER_PORT)"
            raise RunError(f"rank {launch.rank} can't reach rank 0 at {where}: see {GUIDE}") from None

    def reach(self, decide: Callable[[], Run]) -> Run:
        """Return the run that `decide` opens or creates on rank 0.

        Raises:
            NacreError: What `decide` raised, on rank 0.
            JointStopError: It raised, on the other ranks.
            RunError: Rank 0 ended without an answer, or its run is not on a shared folder.
        """
        key = f"nacre/run/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
        if not self._launch.is_first:
            return self._hear(key)
        try:
            run = decide()
        except NacreError:
            self._store.set(key, "")
            self._await_others(key)
            raise
        self._store.set(key, str(run.directory))
        return run

    def _await_others(self, key: str) -> None:
        """Let the others hear, for the store may end with this process."""
        others = range(1, self._launch.devices * self._launch.num_nodes)
        with suppress(dist.DistError, RuntimeError):
            self._store.wait([f"{key}/heard/{other}" for other in others], PATIENCE)

    def _hear(self, key: str) -> Run:
        try:
            directory = self._store.get(key).decode()
        except (dist.DistError, RuntimeError):
            raise RunError(f"rank {self._launch.rank} heard nothing from rank 0: see what rank 0 says") from None
        if not directory:
            self._store.set(f"{key}/heard/{self._launch.rank}", "")
            raise JointStopError("rank 0 refuses the run")
        run = Run(Path(directory))
        if not run.config.is_file():
            raise RunError(
                f"rank {self._launch.rank} doesn't see '{directory}': a run's folder must be shared ({GUIDE})"
            )
        return run
