"""`nacre codec`: what a codec costs and gives, from its configuration alone; and the codec as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codec.errors import PackageError
from serving.commands import MODEL_HELP

if TYPE_CHECKING:
    from codec.config import CodecConfig
    from codec.describe import Description

YAML_SUFFIXES = (".yaml", ".yml")


@click.group()
def codec() -> None:
    """Look at a codec's configuration, or hand the codec out."""


@codec.command()
@click.argument("config", type=click.Path(path_type=Path))
def describe(config: Path) -> None:
    """Print the size, cost, rates and latency of the codec that CONFIG describes; no weights are needed.

    \b
    Example:
      nacre codec describe configs/codec/encodec_24k.yaml

    CONFIG is a codec.json, a package folder, or a YAML file that is a codec's configuration or, as those of
    configs/train do, holds one under model.codec. Multiply-adds are per second of audio, with every quantizer stage;
    the quantizer's parameters are its codebooks. Of a package it also tells how well training used the codebooks.
    """
    from codec.describe import describe_codec

    chosen = read_config(config)
    for line in lines(chosen, describe_codec(chosen)) + codebook_lines(chosen, config):
        click.echo(line)


@codec.command()
@click.option("--model", required=True, help=MODEL_HELP)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder for the graphs.")
def export_onnx(model: str, out: Path) -> None:
    """Export a model as ONNX graphs, which give the same codes and audio in any ONNX runtime.

    \b
    Example:
      nacre codec export-onnx --model speech@production --out speech-onnx

    encoder.onnx maps audio to the codes of all quantizer stages, of which the first ones make each lower bitrate, and
    decoder.onnx maps codes of any number of stages to audio. A causal model also gets encoder_stream.onnx and
    decoder_stream.onnx, which code piece by piece. onnx.json beside them describes what they take and give.
    """
    from registry.resolve import resolve_package
    from serving.onnx_export import export_onnx as export

    for path in export(resolve_package(model), out):
        click.echo(f"{path}: {path.stat().st_size:,} bytes")


def read_config(path: Path) -> CodecConfig:
    """Return the configuration in a codec.json, a package folder or a YAML file.

    Raises:
        PackageError: There is none, or it is not a codec's.
    """
    from codec.config import CodecConfig
    from codec.package import CONFIG

    file = path / CONFIG if path.is_dir() else path
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(f"can't read '{file}' as a configuration: {error}") from None
    if file.suffix not in YAML_SUFFIXES:
        return CodecConfig.from_json(text)
    return CodecConfig.from_mapping(_parse_yaml(text, file), file.name)


def _parse_yaml(text: str, file: Path) -> Any:
    """Return the codec's mapping: the whole file, or what it holds under model.codec."""
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PackageError(f"'{file}' is not YAML: {' '.join(str(error).split())}") from None
    model = data.get("model") if isinstance(data, dict) else None
    return model["codec"] if isinstance(model, dict) and "codec" in model else data


def lines(config: CodecConfig, description: Description) -> list[str]:
    """Return what `describe` prints."""
    parts = {"encoder": description.encoder, "quantizer": description.quantizer, "decoder": description.decoder}
    rows = [(name, part.parameters, part.multiply_adds) for name, part in parts.items()]
    rows.append(("total", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    rates = description.bitrates_kbps
    latency = "not a streaming codec" if description.latency_ms is None else f"{description.latency_ms:.1f} ms"
    segments = "none"
    if config.segments is not None:
        length, overlap = (
            samples / config.sample_rate for samples in (config.segments.length, config.segments.overlap)
        )
        segments = f"{length:g} s at equal loudness, {1000 * overlap:g} ms of it shared with the next"
    return [
        f"{config.name}: {config.family}, {config.sample_rate} Hz, {config.channels} channel(s)",
        f"{'part':<20}{'parameters':>14}{'multiply-adds/s':>18}",
        *(f"{name:<20}{parameters:>14,}{multiply_adds:>18,}" for name, parameters, multiply_adds in rows),
        f"{'frame rate':<20}{description.frame_rate:g} Hz",
        f"{'bitrates':<20}{rates[0]:g} to {rates[-1]:g} kbps, {len(rates)} quantizer stages of {rates[0]:g} kbps",
        f"{'algorithmic latency':<20}{latency}",
        f"{'segments':<20}{segments}",
        f"{'denoises on request':<20}{'yes' if config.can_denoise else 'no'}",
    ]


def codebook_lines(config: CodecConfig, path: Path) -> list[str]:
    """Return how well each stage's codebook was used, if `path` is a package whose metrics tell.

    Raises:
        PackageError: The metrics can't be read.
    """
    from codec.health import has_collapsed
    from codec.package import read_metrics

    health = read_metrics(path).get("codebook") if path.is_dir() else None
    if health is None:
        return []
    size = config.quantizer.codebook_size
    collapsed = [str(stage) for stage, value in enumerate(health["perplexity"]) if has_collapsed(value, size)]
    return [
        f"{'perplexity':<20}{' '.join(f'{value:.0f}' for value in health['perplexity'])} of {size} entries, by stage",
        f"{'dead entries':<20}{' '.join(f'{value:.1%}' for value in health['dead_share'])}",
        f"{'expired per step':<20}{' '.join(f'{value:.2%}' for value in health['expiry_rate'])}",
        f"{'collapsed stages':<20}{', '.join(collapsed) or 'none'}",
    ]
