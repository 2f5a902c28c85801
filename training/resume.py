"""What a resumed run may change: nothing that it learns by, unless `--resume-loose` asks for it.

The place in the data and what it is relative to (ranks, workers, batches, shards) is data_pipelines/position.py's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, cast

import lightning as L
import yaml
from lightning.pytorch.callbacks import Callback

from codec.errors import RunError
from data_pipelines.position import COST
from training.run import Run

# What decides the weights of the next step. Data settings are checked with the place in the data.
LEARNED_BY = ("seed_everything", "model.", "run.ema_decay", "trainer.precision", "trainer.max_steps")


def changed_settings(before: str, now: str) -> list[str]:
    """Return `KEY from OLD to NEW` for each setting of LEARNED_BY that differs between two YAML documents."""
    old, new = (dict(_flatten(yaml.safe_load(text))) for text in (before, now))
    return [
        f"{key} from {old.get(key)} to {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if key.startswith(LEARNED_BY) and old.get(key) != new.get(key)
    ]


def check_settings(run: Run, now: str, *, loose: bool) -> list[str]:
    """Compare a run's config.yaml with the YAML that it would go on with, and return what changes.

    Raises:
        RunError: Something does, and `loose` is false.
    """
    changes = changed_settings(run.config.read_text(), now)
    if changes and not loose:
        raise RunError(
            f"can't resume exactly with {', '.join(changes)}: leave the settings as they were, "
            "or add --resume-loose to go on with the new ones"
        )
    return changes


class LooseResume(Callback):
    """Say what a loosely resumed run changes and what that costs, and make its settings count.

    A checkpoint brings the optimisers' settings along; those of the configuration replace them.
    """

    def __init__(self, changes: list[str]) -> None:
        self.changes = changes

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set rates, betas and decay; the schedule goes on at its step."""
        self._say(trainer)
        fresh, _ = cast(Any, pl_module).configure_optimizers()
        schedules = cast(list[Any], pl_module.lr_schedulers())
        for made, optimizer, schedule in zip(fresh, trainer.optimizers, schedules, strict=True):
            schedule.base_lrs = [group["initial_lr"] for group in made.param_groups]
            groups = zip(made.param_groups, optimizer.param_groups, schedule.lr_lambdas, strict=True)
            for wanted, group, factor in groups:
                settings = {key: value for key, value in wanted.items() if key not in ("params", "lr")}
                group.update(settings | {"lr": wanted["initial_lr"] * factor(schedule.last_epoch)})

    def _say(self, trainer: L.Trainer) -> None:
        if not trainer.is_global_zero:
            return
        topology = cast(Any, trainer).datamodule.changed_topology
        cost = COST if topology else "the run equals no uninterrupted one"
        changes = ", ".join([*topology, *self.changes])
        text = f"resuming loosely with {changes}: {cost}" if changes else "nothing changed, so this resumes exactly"
        print(f"nacre: {text}", file=sys.stderr, flush=True)


def _flatten(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flatten(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node
