"""`nacre train`: fit and export."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click


@click.group()
def train() -> None:
    """Train a codec and export it as a package.

    \b
    Example:
      nacre train fit --config configs/train/debug.yaml --data.directory DATA
    """


# --help goes to LightningCLI, which knows every key.
@train.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.option("--run-dir", type=click.Path(path_type=Path), help="Folder of the fresh run.")
@click.option("--resume", type=click.Path(path_type=Path), help="Run to continue from its last checkpoint.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def fit(run_dir: Path | None, resume: Path | None, arguments: tuple[str, ...]) -> None:
    """Train by a YAML configuration; every key is also an option.

    \b
    Example:
      nacre train fit --config configs/train/debug.yaml --data.directory DATA --trainer.max_steps 100
    """
    from training.cli import fit as fit_run
    from training.run import inherited_run

    if run_dir is not None and resume is not None:
        raise click.UsageError("give --run-dir or --resume, not both: a resumed run stays in its folder")
    run = fit_run(arguments, run_dir=run_dir, resume=resume)
    if inherited_run() is None:
        click.echo(run.directory)


@train.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the package; must not exist.")
@click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Best by val/mel_distance, or the last one.",
)
def export(run: Path, out: Path, checkpoint: Literal["best", "last"]) -> None:
    """Export a run's averaged weights as a package.

    \b
    Example:
      nacre train export ~/.nacre/runs/debug-20250101-120000 --out packages/debug
    """
    from training.export import export_package

    package = export_package(run, out, checkpoint)
    click.echo(f"{package.directory}: {package.config.name}, fingerprint {package.fingerprint[:16]}")
