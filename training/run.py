"""A run on disk: one directory, from which it can be resumed, drawn and exported.

config.yaml     the resolved configuration
lineage.json    what it was made from: data index, git commit, seed, hash of config.yaml, parent of a fine-tuning
metrics.jsonl   every logged value
checkpoints/    last.ckpt and best-step=N.ckpt
wandb/          W&B's offline files
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from codec.errors import RunError
from codec.files import write_text
from codec.home import nacre_home

# Processes that the first one starts find its run here.
ENVIRONMENT_VARIABLE = "NACRE_RUN_DIR"


@dataclass(frozen=True)
class Run:
    """The paths of one run."""

    directory: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.directory / "config.yaml"

    @property
    def lineage(self) -> Path:
        """What the run was made from."""
        return self.directory / "lineage.json"

    @property
    def metrics(self) -> Path:
        """Every logged value, a JSON object a line."""
        return self.directory / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.directory / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """What resuming starts from."""
        return self.checkpoints / "last.ckpt"

    def write_config(self, text: str) -> None:
        """Write config.yaml atomically."""
        write_text(self.config, text)

    def write_lineage(
        self,
        *,
        index_sha256: str,
        noise_index_sha256: str | None,
        seed: int,
        world_size: int,
        parent: dict[str, Any] | None,
        changes: Sequence[str] = (),
        step: int = 0,
    ) -> None:
        """Write lineage.json atomically; `changes` are those of a loose resume at `step`, which are kept for ever."""
        loose_resumes = self.read_lineage().get("loose_resumes", [])
        if changes:
            loose_resumes = [*loose_resumes, {"step": step, "changes": list(changes)}]
        lineage = {
            "loose_resumes": loose_resumes,
            "run": self.directory.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "data_index_sha256": index_sha256,
            "noise_index_sha256": noise_index_sha256,
            "config_sha256": hashlib.sha256(self.config.read_bytes()).hexdigest(),
            "git_commit": git_commit(),
            "seed": seed,
            "world_size": world_size,
            "parent": parent,
            "versions": {name: version(name) for name in ("nacre", "torch", "lightning")}
            | {"python": platform.python_version()},
        }
        write_text(self.lineage, json.dumps(lineage, indent=2, sort_keys=True) + "\n")

    def read_lineage(self) -> dict[str, Any]:
        """Return lineage.json, empty if the run never got as far.

        Raises:
            RunError: It is not JSON.
        """
        if not self.lineage.is_file():
            return {}
        try:
            data: dict[str, Any] = json.loads(self.lineage.read_text())
        except ValueError:
            raise RunError(f"'{self.lineage}' is not JSON") from None
        return data


def create_run(name: str, directory: Path | None = None) -> Run:
    """Create the directory of a fresh run: `directory`, or one under NACRE_HOME/runs named by `name` and the time.

    Raises:
        RunError: `directory` holds something already.
    """
    if directory is not None:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise RunError(f"'{directory}' is not empty: continue it with --resume, or choose another --run-dir")
        directory.mkdir(parents=True, exist_ok=True)
        return Run(directory.absolute())
    runs = nacre_home() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    for attempt in range(100):
        path = runs / (stem if attempt == 0 else f"{stem}-{attempt + 1}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return Run(path)
    raise RunError(f"can't find a free name for a run beside '{runs / stem}'")


def open_run(directory: Path) -> Run:
    """Open an existing run.

    Raises:
        RunError: It is no run.
    """
    run = Run(directory.absolute())
    if not run.config.is_file():
        raise RunError(f"'{directory}' is not a run: it has no config.yaml")
    return run


def inherited_run() -> Run | None:
    """Return the run of the process that started this one as a further rank, if one did."""
    directory = os.environ.get(ENVIRONMENT_VARIABLE)
    return Run(Path(directory)) if directory and "LOCAL_RANK" in os.environ else None


def git_commit() -> str:
    """Return the commit of this source tree, with `-dirty` if it differs, or `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return result.stdout.strip()
