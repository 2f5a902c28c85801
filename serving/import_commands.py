"""`nacre import`: models that others published, as packages."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(name="import")
def import_group() -> None:
    """Turn models that others published into packages."""


@import_group.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The package's new folder.")
def hf(directory: Path, out: Path) -> None:
    """Import a Hugging Face model directory: its config.json and model.safetensors.

    \b
    Example:
      nacre import hf dac_16khz --out packages/dac_16k
      nacre registry register packages/dac_16k --name dac

    It gives the same codes and audio as transformers does. Pickled weights are refused: loading them can run code.
    """
    from codec.hf_import import import_hf

    package = import_hf(directory, out)
    config = package.config
    bitrates = f"{config.bitrates_kbps[0]:.3g} to {config.bitrates_kbps[-1]:.3g} kbps"
    click.echo(f"{out}: {config.name}, {config.sample_rate} Hz, {bitrates}, fingerprint {package.fingerprint[:16]}")
