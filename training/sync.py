"""Send a run's offline W&B files to the server: `wandb sync`, asked first whether it can work, and checked afterwards.

The program retries for ever where there is no network, and ends with 0 where the server refuses; what counts is the
mark that it leaves beside each file that it has sent.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from codec.errors import RunError
from training.run import Run, open_run
from training.wandb_server import wandb_settings, why_unreachable


def sync_run(directory: Path) -> int:
    """Send the parts of a run that were not sent yet, and return how many those were: one for each time it was resumed.

    Raises:
        RunError: It is no run or has no offline files; or the server can't be reached, or refuses, also for want of a
            key.
    """
    run = open_run(directory)
    files = sorted((run.directory / "wandb").glob("offline-run-*/run-*.wandb"))
    if not files:
        raise RunError(f"'{directory}' has no offline W&B run: train with --run.wandb_mode offline")
    waiting = [file for file in files if not _mark(file).exists()]
    if not waiting:
        return 0
    url = wandb_settings().base_url
    with Console(stderr=True).status(f"sending {run.directory.name} to {url}"):
        if reason := why_unreachable(url):
            raise RunError(f"can't reach {url}: {reason}; the run stays as it is, so sync it later")
        said = _wandb_sync(run, waiting)
    if unsent := [file for file in waiting if not _mark(file).exists()]:
        raise RunError(f"'{unsent[0].parent}' was not sent to {url}: {_reason(said)}")
    return len(waiting)


def _mark(file: Path) -> Path:
    """Return what wandb writes beside a file that it has sent."""
    return file.with_name(f"{file.name}.synced")


def _wandb_sync(run: Run, files: list[Path]) -> str:
    """Run `wandb sync` and return what it said."""
    # Training offline leaves the mode in the environment, in which nothing is ever sent.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    command = [sys.executable, "-m", "wandb", "sync", "--yes", *(str(file.parent) for file in files)]
    result = subprocess.run(
        command,
        cwd=run.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.stdout


def _reason(said: str) -> str:
    """Return the line that tells why, of what wandb said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("API key" in line for line in lines):
        return "there is no API key: set WANDB_API_KEY or run 'wandb login'"
    errors = [line for line in lines if "error" in line.lower()] or lines or ["wandb says nothing"]
    return errors[-1].removeprefix("wandb: ").removeprefix("ERROR ")
