"""How a run stops before its end, on all ranks at the same step: asked to by a signal, or because a value broke.

At each step the ranks add up whether one of them got SIGTERM or SIGINT or saw a value that is not finite; the sum is
read one step later, when an accelerator has long made it, so that no step waits. Lightning's own handler makes a
collective call inside the signal handler, which hangs when a rank is late (Lightning's issues 21487, 21640).
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from codec.distributed import rank, sum_over_ranks
from codec.errors import RunError
from training.run import Run

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class JointStopError(RunError):
    """Every rank raises it together, and rank 0 alone says it."""

    exit_code = 1


class StoppedBySignalError(JointStopError):
    """A signal asked the run to stop, and its checkpoint is written; the exit code is the shell's for the signal."""

    def __init__(self, signum: signal.Signals, step: int, run: Run) -> None:
        super().__init__(
            f"stopped by {signum.name} after step {step}, with a checkpoint: "
            f"go on with 'nacre train fit --resume {run.directory}'"
        )
        self.exit_code = 128 + signum


class NotFiniteError(JointStopError):
    """A loss or gradient was NaN or infinite."""

    def __init__(self, step: int, names: list[str], run: Run) -> None:
        verb = "was" if len(names) == 1 else "were"
        remedy = (
            f"its last checkpoint is good: go on with 'nacre train fit --resume {run.directory} --resume-loose "
            "--model.optimizer.learning_rate RATE' and a lower rate"
            if run.last_checkpoint.is_file()
            else "there is no checkpoint yet: start again with a lower model.optimizer.learning_rate"
        )
        super().__init__(f"{', '.join(names)} {verb} not finite at step {step + 1}; {remedy}")


class StepVote:
    """Sums over ranks, given at one step and read at the next."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sum: Tensor | None = None
        self._copied: Any = None

    def exchange(self, mine: Tensor) -> list[float]:
        """Give this rank's values [N] of this step, and return the sums of the step before; zeros at first."""
        before = self._read() if self._sum is not None else [0.0] * len(mine)
        joint = sum_over_ranks(mine)
        if self._device.type == "cuda":
            self._sum = torch.empty(joint.shape, pin_memory=True).copy_(joint, non_blocking=True)
            self._copied = cast(Any, torch.cuda).Event()
            self._copied.record()
        else:
            self._sum = joint
        return before

    def _read(self) -> list[float]:
        assert self._sum is not None
        if self._copied is not None:
            self._copied.synchronize()
        return self._sum.tolist()


class RunGuard(Callback):
    """Stop all ranks together.

    `stop_signal` is the signal that the ranks have agreed to stop for; who writes the last checkpoint does so then.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.stop_signal: signal.Signals | None = None
        self._received: signal.Signals | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the signals over from Lightning, which puts the former handlers back at its end."""
        self._vote = StepVote(pl_module.device)
        # Lightning asks the ranks for its own flag at each step, and waits for the answer.
        cast(Any, trainer.fit_loop.epoch_loop)._broadcast_sigterm_tensor = _never_asked
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                signal.signal(signum, self._receive)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Vote.

        Raises:
            NotFiniteError: A value broke, one step ago or before.
        """
        device = pl_module.device
        asked = [torch.full((), float(self._received == signum), device=device) for signum in SIGNALS]
        broken = cast(Any, pl_module).finite.is_broken(device)
        *signals, broken_sum = self._vote.exchange(torch.stack([*asked, broken]))
        if broken_sum:
            self._raise(pl_module)
        self.stop_signal = next((signum for signum, count in zip(SIGNALS, signals, strict=True) if count), None)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Don't validate broken weights."""
        self._check(pl_module)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Don't save broken weights: every way to write a checkpoint comes by here, on all ranks.

        Raises:
            NotFiniteError: A value broke.
        """
        self._check(pl_module)

    def _check(self, module: L.LightningModule) -> None:
        if float(sum_over_ranks(cast(Any, module).finite.is_broken(module.device))):
            self._raise(module)

    def _raise(self, module: L.LightningModule) -> None:
        step, names = cast(Any, module).finite.first_broken()
        raise NotFiniteError(step, names, self.run)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self._received == signum == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(signum)
        if rank() == 0:
            # Not print: the signal may have come in the middle of one.
            os.write(2, f"\nnacre: {self._received.name}: saving a checkpoint after the step in progress\n".encode())


def _never_asked() -> None:
    return None
