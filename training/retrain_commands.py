"""`nacre retrain`: one retraining now; schedules and sensors come later."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def retrain() -> None:
    """Retrain from production on new audio, and promote the result or say why not.

    \b
    Example:
      nacre retrain once --inbox INBOX --model speech --validation CLIPS --config configs/train/nacre_16k.yaml
    """


@retrain.command(context_settings={"ignore_unknown_options": True})
@click.option("--inbox", required=True, type=click.Path(path_type=Path), help="Folder of new audio.")
@click.option("--model", required=True, help="Registered name; its production version is where training starts.")
@click.option("--validation", required=True, type=click.Path(path_type=Path), help="Folder of fixed clips to judge by.")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="Training YAML of that architecture.")
@click.option("--policy", type=click.Path(path_type=Path), help="YAML of the gate; configs/gate.yaml has the defaults.")
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def once(
    inbox: Path, model: str, validation: Path, config: Path, policy: Path | None, overrides: tuple[str, ...]
) -> None:
    """Shard the inbox, fine-tune from production, compare, register, and promote or reject.

    Further options go to `nacre train fit`. Run again after an interruption, it goes on where it stopped.

    \b
    Example:
      nacre retrain once --inbox INBOX --model speech --validation CLIPS \
          --config configs/train/nacre_16k.yaml --trainer.max_steps 20000
    """
    from training.retrain import RetrainRequest, retrain_once

    request = RetrainRequest(
        model=model, inbox=inbox, validation=validation, config=config.absolute(), policy=policy, overrides=overrides
    )
    decision = retrain_once(request)
    outcome = "promoted" if decision.promoted else "rejected"
    versions = f"{decision.model}:{decision.candidate} (from version {decision.production})"
    click.echo(f"{outcome} {versions}: {'; '.join(decision.reasons)}")
    click.echo(f"details: {decision.folder}")
