"""`nacre train`: plan, fit, export, draw curves, send them to W&B, and fit entropy tables."""

from __future__ import annotations

import json
import sys
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
@click.option("--resume-loose", is_flag=True, help="With --resume: go on with other settings or another topology.")
@click.option("--init-from", metavar="WHERE", help="Fine-tune a package, NAME@alias, a run's folder or its checkpoint.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def fit(
    run_dir: Path | None,
    resume: Path | None,
    resume_loose: bool,
    init_from: str | None,
    arguments: tuple[str, ...],
) -> None:
    """Train by a YAML configuration; every key is also an option.

    \b
    Example:
      nacre train fit --config configs/train/debug.yaml --data.directory DATA --trainer.max_steps 100
    """
    from training.cli import fit as fit_run
    from training.launch import is_first_process
    from training.orphan import end_with_parent
    from training.run import inherited_run
    from training.stopping import JointStopError

    end_with_parent()
    if run_dir is not None and resume is not None:
        raise click.UsageError("give --run-dir or --resume, not both: a resumed run stays in its folder")
    if resume_loose and resume is None:
        raise click.UsageError("--resume-loose says how to --resume RUN: give that too")
    if init_from is not None:
        if resume is not None:
            raise click.UsageError("give --init-from or --resume, not both: a resumed run has its start behind it")
        arguments = (*arguments, "--model.init_from", init_from)
    try:
        run = fit_run(arguments, run_dir=run_dir, resume=resume, resume_loose=resume_loose)
    except JointStopError as stop:
        if is_first_process():
            click.echo(f"nacre: {stop}", err=True)
        # A rank that Lightning started leaves the status to the first; it would be killed for its own.
        sys.exit(stop.exit_code if inherited_run() is None else 0)
    if is_first_process():
        click.echo(run.directory)


@train.command(context_settings={"ignore_unknown_options": True})
@click.option("--devices", type=click.IntRange(min=1), help="Devices to plan for; by default the configuration's.")
@click.option("--data", metavar="DATA", help="Data set to count epochs of.")
@click.option("--measure/--no-measure", default=True, show_default=True, help="Time a few real steps on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def plan(
    devices: int | None, data: str | None, measure: bool, as_json: bool, config: Path, arguments: tuple[str, ...]
) -> None:
    """Say what a training run would cost and give, before anything starts.

    Further options are those of `nacre train fit`.

    \b
    Example:
      nacre train plan configs/train/nacre_16k.yaml --devices 8 --data DATA --data.batch_size 32
    """
    from training.plan import make_plan
    from training.plan_text import plan_lines

    made = make_plan(["--config", str(config), *arguments], devices=devices, data=data, measure=measure)
    click.echo(json.dumps(made.to_json(), indent=2) if as_json else "\n".join(plan_lines(made)))


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
@click.option("--half", is_flag=True, help="Store weights in half precision: half the bytes.")
def export(run: Path, out: Path, checkpoint: Literal["best", "last"], half: bool) -> None:
    """Export a run's averaged weights as a package.

    \b
    Example:
      nacre train export ~/.nacre/runs/debug-20250101-120000 --out packages/debug
    """
    from training.export import export_package

    package = export_package(run, out, checkpoint, half=half)
    click.echo(f"{package.directory}: {package.config.name}, fingerprint {package.fingerprint[:16]}")


@train.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The picture, a .png.")
@click.option(
    "--over",
    type=click.Choice(["steps", "minutes"]),
    default="steps",
    show_default=True,
    help="The horizontal axis; minutes compare runs whose steps take different times.",
)
@click.option("--only", multiple=True, help="Values whose names begin so, as val/; several may be given.")
def curves(runs: tuple[Path, ...], out: Path, over: Literal["steps", "minutes"], only: tuple[str, ...]) -> None:
    """Draw the curves of a run, or of several over each other, from their folders alone.

    Losses, validation at each bitrate, health of the codebooks, throughput: whatever was logged. A run may be drawn
    while it trains.

    \b
    Example:
      nacre train curves ~/.nacre/runs/debug-20250101-120000 --out curves.png
    """
    from training.curves import draw_curves

    drawn = draw_curves(runs, out, over, only)
    last = max(series.steps[-1] for run in drawn.values() for series in run.values())
    click.echo(f"{out}: {len(drawn)} run{'s' * (len(drawn) > 1)}, up to step {last}")


@train.command()
@click.argument("run", type=click.Path(path_type=Path))
def sync(run: Path) -> None:
    """Send an offline run to W&B, or what was added since it was last sent.

    It needs a key (WANDB_API_KEY or 'wandb login') and the server (WANDB_BASE_URL, if it is not W&B's own).

    \b
    Example:
      nacre train sync ~/.nacre/runs/debug-20250101-120000
    """
    from training.sync import sync_run

    count = sync_run(run)
    parts = "one part" if count == 1 else f"{count} parts"
    click.echo(f"{run}: sent {parts}" if count else f"{run}: all was sent before")


@train.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--data", required=True, metavar="DATA", help="Data set made by 'nacre data build', or its fsspec URL.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the package; must not exist.")
@click.option("--hours", type=click.FloatRange(min=0.01), default=10.0, show_default=True, help="Audio to learn from.")
def entropy(package: Path, data: str, out: Path, hours: float) -> None:
    """Add entropy tables to a package: the same codes in fewer bytes.

    Any package will do, imported ones too. The codes, and so the audio, stay as they are; containers are a fifth to a
    third smaller, and readable only by packages with these tables.

    \b
    Example:
      nacre train entropy packages/speech --data data/speech16k --out packages/speech-entropy
    """
    from training.entropy import fit_package

    fitted = fit_package(package, data, out, hours=hours)
    saving = fitted.lineage["entropy"]["saving"]
    click.echo(f"{fitted.directory}: {fitted.config.name}, fingerprint {fitted.fingerprint[:16]}")
    for stages in sorted(saving, key=int):
        rate = fitted.config.bitrate_kbps(int(stages))
        click.echo(f"  {rate:.6g} kbps: {saving[stages]:.1%} smaller, {rate * (1 - saving[stages]):.3g} kbps")
