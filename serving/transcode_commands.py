"""`nacre transcode`: a folder of audio to containers, or back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.shipped import DEFAULT_MODEL
from serving.commands import MODEL_HELP

if TYPE_CHECKING:
    from serving.manifest import Record


@click.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@click.option("--bitrate-kbps", type=float, help="One of the model's bitrates; without it, the highest.")
@click.option("--num-quantizers", type=int, help="Quantizer stages, instead of a bitrate.")
@click.option("--denoise", is_flag=True, help="Leave noise out; for a model that was trained to.")
@click.option("--decode", is_flag=True, help="Turn containers back into audio.")
def transcode(
    source: Path,
    target: Path,
    model: str,
    bitrate_kbps: float | None,
    num_quantizers: int | None,
    denoise: bool,
    decode: bool,
) -> None:
    """Encode every audio file under SRC into the mirrored folder DST.

    \b
    Example:
      nacre transcode archive archive-nac --bitrate-kbps 6
      nacre transcode archive-nac restored --decode

    a.wav becomes a.wav.nac. Run again after a stop, or when files were added: only what is missing or changed is
    done. DST/manifest.jsonl records each file with its checksums, or why it failed; exit status 1 if any did.
    """
    if decode and (bitrate_kbps is not None or num_quantizers is not None):
        raise click.UsageError("--decode takes no bitrate: containers know their own")
    if decode and denoise:
        raise click.UsageError("--decode takes no --denoise: noise is left out when audio is encoded")
    from codec.weights import load_package
    from registry.resolve import resolve_package
    from serving.transcode import MANIFEST, Settings, transcode_tree

    loaded = load_package(resolve_package(model))
    stages = loaded.package.config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    if denoise:
        loaded.package.config.check_denoising()
    settings = Settings(decode=decode, num_quantizers=None if decode else stages, denoise=denoise)
    with file_progress() as show:
        summary = transcode_tree(loaded, source, target, settings, show)
    counts = f"{summary.done} done, {summary.unchanged} unchanged, {len(summary.failed)} failed"
    click.echo(f"{counts}, {summary.ignored} other files left; see {target / MANIFEST}")
    if summary.failed:
        raise SystemExit(1)


@contextlib.contextmanager
def file_progress() -> Iterator[Callable[[int, int, Record], None]]:
    """Yield what shows each file as it is finished: a bar on stderr, and a line for each failure."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    progress = Progress(*columns, console=console)
    bar = progress.add_task("", total=None, rate="")

    def show(number: int, total: int, record: Record) -> None:
        progress.start()
        if record.status == "failed":
            console.print(escape(f"failed: {_printable(record.source)}: {record.reason}"))
        speed = progress.tasks[bar].speed
        progress.update(bar, completed=number, total=total, rate=f"{speed:.1f} files/s" if speed else "")

    try:
        yield show
    finally:
        progress.stop()


def _printable(name: str) -> str:
    """Replace what a file name may hold and a terminal can't show."""
    return name.encode("utf-8", "replace").decode()
