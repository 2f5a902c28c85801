"""Where metrics go: a JSON-lines file in the run's folder, enough to draw its curves, and W&B, offline by default."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from training.config import RunConfig
from training.run import Run

# W&B names folders by time and id.
WANDB_FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>.+)")


class JsonLinesLogger(Logger):
    """Append one object {"step", "elapsed_s", name: value, ...} a line; of a step logged twice the last counts.

    `elapsed_s` is the time that the run has taken: after a resume it goes on from the last line's.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        # When the run would have begun, had it never been interrupted; known once the file was read.
        self._begin_s: float | None = None
        self._made_s = time.monotonic()

    @property
    def name(self) -> str:
        """Nothing: the run's folder is the name."""
        return ""

    @property
    def version(self) -> str:
        """Nothing, as `name`."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a line; values that are not finite are written as null."""
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items() if name != "epoch"}
        if self._begin_s is None:
            self._begin_s = self._made_s - self._continue()
        elapsed_s = round(time.monotonic() - self._begin_s, 2)
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "elapsed_s": elapsed_s} | values) + "\n")

    def _continue(self) -> float:
        """Cut off a last line that a killed run has not finished; return the seconds up to the one before."""
        if not self.path.is_file():
            return 0.0
        written = self.path.read_bytes()
        os.truncate(self.path, written.rfind(b"\n") + 1)
        whole = written.split(b"\n")[:-1]
        return float(json.loads(whole[-1]).get("elapsed_s", 0.0)) if whole else 0.0


def wandb_id(run: Run) -> str:
    """Return the run's id in W&B: a resumed run's own, else a fresh one, for folders of one name are many."""
    folders = sorted((run.directory / "wandb").glob("*run-*-*"), key=lambda path: path.name.removeprefix("offline-"))
    ids = [match["id"] for folder in folders if (match := WANDB_FOLDER.fullmatch(folder.name))]
    return ids[-1] if ids else f"{run.directory.name}-{secrets.token_hex(4)}"


@contextmanager
def wandb_environment(run: Run) -> Iterator[None]:
    """Keep what W&B stages in the run's folder, and Lightning's choice of W&B's mode from the next run."""
    before = {name: os.environ.get(name) for name in ("WANDB_DATA_DIR", "WANDB_MODE")}
    os.environ.setdefault("WANDB_DATA_DIR", str(run.directory / "wandb"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def build_loggers(run: Run, config: RunConfig) -> list[Logger]:
    """Return the loggers of a run."""
    loggers: list[Logger] = [JsonLinesLogger(run.metrics)]
    if config.wandb_mode != "disabled":
        from wandb import Settings

        wandb = WandbLogger(
            project=config.wandb_project,
            name=run.directory.name,
            id=wandb_id(run),
            log_model=config.wandb_mode == "online",
            save_dir=run.directory,
            offline=config.wandb_mode == "offline",
            settings=Settings(silent=True, console="off", x_disable_stats=True),
        )
        # Lightning passes an argument that W&B warns about.
        wandb._wandb_init.pop("anonymous", None)
        loggers.append(wandb)
    return loggers
