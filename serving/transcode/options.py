"""The options that `nacre transcode` and `nacre transcode plan` share, and the order that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from registry.shipped import DEFAULT_MODEL
from serving.commands import MODEL_HELP

if TYPE_CHECKING:
    from codec.package import Package
    from serving.transcode.order import Order
    from serving.transcode.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
_SINKS = click.Choice(["tree", "containers", "tokens"])
_SINK_HELP = "What DST becomes: a mirrored tree, shards (tars) of containers, or shards of tokens for language models."
_OPTIONS = (
    click.argument("source", metavar="SRC"),
    click.argument("target", metavar="DST"),
    click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP),
    click.option("--bitrate-kbps", type=float, help="One of the model's bitrates; without it, the highest."),
    click.option("--num-quantizers", type=int, help="Quantizer stages, instead of a bitrate."),
    click.option("--denoise", is_flag=True, help="Leave noise out; for a model that was trained to."),
    click.option("--decode", is_flag=True, help="Turn containers back into audio."),
    click.option("--sink", type=_SINKS, default="tree", show_default=True, help=_SINK_HELP),
    click.option("--delay", is_flag=True, help="Give tokens the delay pattern: stage k is k frames late."),
    click.option("--part", metavar="I/N", help="Do part I of N, while other machines do the other parts."),
    click.option("--workers", type=click.IntRange(1), help="Workers at once; without it, one a core, or one on a GPU."),
    click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, cuda:1."),
    click.option("--retry-quarantined", is_flag=True, help="Try files again that killed workers."),
)


@dataclass(frozen=True, kw_only=True)
class Given:
    """The shared options, as they were given."""

    source: str
    target: str
    model: str
    bitrate_kbps: float | None
    num_quantizers: int | None
    denoise: bool
    decode: bool
    sink: str
    delay: bool
    part: str | None
    workers: int | None
    device: str
    retry_quarantined: bool


def shared_options(command: Command) -> Command:
    """Give a command the shared arguments and options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def make_order(given: Given, *, shard_records: int = 1000, parquet: bool = False) -> tuple[Order, Package]:
    """Return the order that the options make, and the model's package.

    Raises:
        UsageError: They contradict each other.
        NacreError: There is no such model, bitrate or part, or the model can't do it.
    """
    _check(given, parquet)
    from codec.package import open_package
    from registry.resolve import resolve_package
    from serving.transcode.order import Order, Part

    package = open_package(resolve_package(given.model).absolute())
    order = Order(
        source=given.source,
        target=given.target,
        package=package.directory,
        fingerprint=package.fingerprint,
        settings=_settings(given, package),
        part=None if given.part is None else Part.parse(given.part),
        device=given.device,
        shard_records=shard_records,
        parquet=parquet,
        retry_quarantined=given.retry_quarantined,
    )
    return order, package


def _settings(given: Given, package: Package) -> Settings:
    from serving.transcode.settings import Settings

    if given.decode:
        return Settings(decode=True)
    stages = package.config.resolve_num_quantizers(given.num_quantizers, given.bitrate_kbps)
    if given.denoise:
        package.config.check_denoising()
    if given.delay:
        from serving.transcode.tokens.delay import check_padding

        check_padding(package.config.quantizer.codebook_size)
    return Settings(num_quantizers=stages, denoise=given.denoise, sink=given.sink, delay=given.delay)  # type: ignore[arg-type]  # click has checked it


def _check(given: Given, parquet: bool) -> None:
    if given.decode and (given.bitrate_kbps is not None or given.num_quantizers is not None):
        raise click.UsageError("--decode takes no bitrate: containers know their own")
    if given.decode and given.denoise:
        raise click.UsageError("--decode takes no --denoise: noise is left out when audio is encoded")
    if given.decode and given.sink != "tree":
        raise click.UsageError("--decode takes no --sink: decoded audio goes into a tree")
    if (given.delay or parquet) and given.sink != "tokens":
        raise click.UsageError(f"{'--delay' if given.delay else '--parquet'} is for tokens: add --sink tokens")


def local_path(text: str) -> Path | None:
    """Return a local path; None for a URL."""
    return None if "://" in text else Path(text)
