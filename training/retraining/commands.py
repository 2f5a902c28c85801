"""`nacre retrain`: one retraining now, or a daemon that begins them by schedule and by new audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)
_settings_file = click.argument("settings", type=_PATH)


@click.group()
def retrain() -> None:
    """Retrain from production on new audio, and promote the result or say why not.

    \b
    Example:
      nacre retrain once --inbox INBOX --model speech --validation CLIPS --config configs/train/nacre_16k.yaml
      nacre retrain daemon retrain.yaml
    """


@retrain.command(context_settings={"ignore_unknown_options": True})
@click.option("--settings", type=_PATH, help="YAML as configs/retrain.yaml; the options below replace its keys.")
@click.option("--inbox", type=_PATH, help="Folder of new audio.")
@click.option("--model", help="Registered name; its production version is where training starts.")
@click.option("--validation", type=_PATH, help="Folder of fixed clips to judge by.")
@click.option("--config", type=_PATH, help="Training YAML of that architecture.")
@click.option("--policy", type=_PATH, help="YAML of the gate; configs/gate.yaml has the defaults.")
@click.option("--everything", is_flag=True, help="Take all audio in the inbox, be it taken before.")
@click.option("--allow-drift", is_flag=True, help="Train on audio that has moved too far from the clips.")
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def once(settings: Path | None, everything: bool, overrides: tuple[str, ...], **options: Any) -> None:
    """Shard what is new in the inbox, fine-tune from production, compare, register, and promote or reject.

    Further options go to `nacre train fit`. Run again after an interruption, it goes on where it stopped; without new
    audio it says what was decided last.

    \b
    Example:
      nacre retrain once --inbox INBOX --model speech --validation CLIPS \\
          --config configs/train/nacre_16k.yaml --trainer.max_steps 20000
      nacre retrain once --settings retrain.yaml --everything
    """
    from training.retraining.once import retrain_once
    from training.retraining.settings import read_settings

    changes = {name: str(value) if isinstance(value, Path) else value for name, value in options.items() if value}
    if overrides:
        changes["overrides"] = list(overrides)
    decision = retrain_once(read_settings(settings, changes), everything=everything)
    click.echo(decision.sentence)
    click.echo(f"details: {decision.folder}")


@retrain.command()
@_settings_file
def daemon(settings: Path) -> None:
    """Begin retrainings by themselves: at enough new audio in the inbox, after some days, and by a cron line.

    SETTINGS is a YAML as configs/retrain.yaml. It runs until a signal ends it; killed and started again, it goes on. It
    listens on no port.

    \b
    Example:
      nacre retrain daemon retrain.yaml
    """
    from training.retraining.daemon import run_daemon

    run_daemon(settings)


@retrain.command()
@_settings_file
@click.option("--port", default=3070, show_default=True, help="Where to listen, on this machine alone.")
def web(settings: Path, port: int) -> None:
    """Show what the daemon did and does in a browser, by Dagster's web server (pip install dagster-webserver).

    \b
    Example:
      nacre retrain web retrain.yaml
    """
    from training.retraining.daemon import run_web

    run_web(settings, port)
