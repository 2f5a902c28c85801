"""The watch on the data: what could not be read, over all ranks, shown once a shard, logged, and limited."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, cast

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback

from codec.distributed import rank, sum_over_ranks, world_size
from codec.errors import DataError
from data_pipelines.damage import Damage, worst_set
from data_pipelines.datamodule import AudioDataModule


class DataWatch(Callback):
    """Look whenever values are logged: `data/replaced_records` of the run, `data/bad_shards` since it was (re)started.

    A resumed run goes on counting replaced records; shards may have been mended meanwhile, so they are found anew.

    All ranks look at the same step and judge the same sums, so that they stop together.
    """

    def __init__(self) -> None:
        self._before = 0
        self._replaced = 0
        self._sent = 0
        self._known: dict[tuple[str, str], Damage] = {}

    def state_dict(self) -> dict[str, int]:
        """Return what a resumed run goes on counting from."""
        return {"replaced_records": self._before + self._replaced}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on counting."""
        self._before = state_dict["replaced_records"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at what the start of the codec found."""
        self._look(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look and log, if it is time.

        Raises:
            DataError: More is damaged than `data.max_replaced_share` allows.
        """
        every: int = cast(Any, trainer).log_every_n_steps
        if trainer.global_step % every == 0:
            self._look(trainer, pl_module)
            counts = {"data/replaced_records": self._before + self._replaced, "data/bad_shards": len(self._known)}
            pl_module.log_dict({name: float(count) for name, count in counts.items()})

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show what was found since."""
        self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: AudioDataModule = cast(Any, trainer).datamodule
        mine = data.damage.damages
        sums = torch.tensor([data.damage.replaced_records, len(mine) - self._sent])
        self._replaced, news = sum_over_ranks(sums.to(pl_module.device)).tolist()
        if news == 0:
            return
        fresh = self._learn(gather(mine[self._sent :], pl_module.device))
        self._sent = len(mine)
        if trainer.is_global_zero:
            for damage in fresh:
                # sys.stderr is looked up now: while a bar is drawn, rich stands there and prints above it.
                print(describe(damage), file=sys.stderr, flush=True)
        check_share(tuple(self._known.values()), data.max_replaced_share)

    def _learn(self, damages: list[Damage]) -> list[Damage]:
        """Keep what is new, and return it."""
        fresh = {(damage.directory, damage.shard): damage for damage in damages}
        fresh = {place: damage for place, damage in sorted(fresh.items()) if place not in self._known}
        self._known |= fresh
        return list(fresh.values())


def gather(damages: tuple[Damage, ...], device: torch.device) -> list[Damage]:
    """Return the damages of all ranks, on each of them; they travel as JSON, not pickled."""
    if world_size() == 1:
        return list(damages)
    text = json.dumps([asdict(damage) for damage in damages]).encode()
    lengths = torch.zeros(world_size(), dtype=torch.long, device=device)
    lengths[rank()] = len(text)
    sizes = sum_over_ranks(lengths).tolist()
    mine = torch.zeros(max(sizes), dtype=torch.uint8, device=device)
    mine[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8).to(device)
    found = [torch.empty_like(mine) for _ in sizes]
    dist.all_gather(found, mine)
    texts = [bytes(each[:size].tolist()) for each, size in zip(found, sizes, strict=True)]
    return [Damage(**fields) for each in texts for fields in json.loads(each)]


def describe(damage: Damage) -> str:
    """Return the line that a user sees of a shard."""
    return f"warning: {damage.reason}; other records replace {damage.bad_records} of its records"


def check_share(damages: tuple[Damage, ...], most: float) -> None:
    """Check that no data set has more unreadable records than is allowed.

    Raises:
        DataError: One has.
    """
    directory, share = worst_set(damages)
    if share > most:
        raise DataError(
            f"{share:.1%} of the records in '{directory}' can't be read, and data.max_replaced_share allows {most:.1%}:"
            " copy the damaged shards again, or raise the limit, and resume"
        )
