"""`nacre registry push`: it is here and not in the registry's room, which knows nothing of W&B."""

from __future__ import annotations

import click


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--wandb", "to_wandb", is_flag=True, help="To W&B, which is the one place to push to.")
@click.option("--collection", metavar="PATH", help="Link to this collection, not to wandb-registry-model/NAME.")
def push(reference: str, to_wandb: bool, collection: str | None) -> None:
    """Publish a version to W&B: the package as an artifact, with metrics and lineage, linked to a registry collection.

    It needs a key (WANDB_API_KEY or 'wandb login') and the server (WANDB_BASE_URL, if it is not W&B's own). The
    project is WANDB_PROJECT, or nacre.

    \b
    Example:
      nacre registry push speech@production --wandb
    """
    if not to_wandb:
        raise click.UsageError("say where to: --wandb")
    from registry.registry import Registry
    from training.publish import publish

    published = publish(Registry.open(), reference, collection)
    click.echo(f"published {published.version} as {published.artifact}, linked to {published.collection}")
