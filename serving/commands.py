"""`nacre serve` and `nacre bento`: the HTTP service, running or packaged."""

from __future__ import annotations

from pathlib import Path

import click

from registry.shipped import DEFAULT_MODEL
from serving.workers import number_of_workers

MODEL_HELP = "Package folder, NAME, NAME:VERSION or NAME@alias."


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    default=[DEFAULT_MODEL],
    show_default=True,
    help=f"{MODEL_HELP} May be given several times.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="IP address to listen on; 0.0.0.0 is every one.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="TCP port.")
@click.option(
    "--workers",
    default=number_of_workers,
    show_default="one a core, at most 8; one for a GPU",
    type=click.IntRange(1),
    help="Processes, each with the model.",
)
def serve(models: tuple[str, ...], host: str, port: int, workers: int) -> None:
    """Serve models over HTTP until SIGTERM or Ctrl-C.

    A model named by an alias is followed: when the alias is promoted to another version, that one is served within
    seconds, without a failed request. Containers of former versions are still decoded.

    \b
    Example:
      nacre serve --port 3000
      nacre serve --model speech@production --model music@production
      curl --data-binary @a.wav -H 'Content-Type: audio/wav' \\
        'http://127.0.0.1:3000/v1/encode?bitrate_kbps=6' -o a.nac
      curl --data-binary @a.nac -H 'Content-Type: application/vnd.nacre' \\
        http://127.0.0.1:3000/v1/decode -o decoded.wav

    The API describes itself at /openapi.json. Limits are listed at /v1/limits, and set by environment variables:
    NACRE_MAX_BODY_BYTES, NACRE_MAX_SECONDS, NACRE_CONCURRENCY, NACRE_QUEUE and so on, NACRE_ and a limit's name.
    """
    from serving.server import serve_forever

    serve_forever(models, host=host, port=port, workers=workers)


@click.group()
def bento() -> None:
    """Package a model with the service that serves it."""


@bento.command()
@click.argument("model")
@click.option("--out", type=click.Path(path_type=Path), help="Export the Bento to this new folder as well.")
def build(model: str, out: Path | None) -> None:
    """Build a Bento of MODEL (a package folder, NAME, NAME:VERSION or NAME@alias) and print its tag.

    \b
    Example:
      nacre bento build speech@production --out speech-bento
      cd speech-bento && bentoml serve . --host 127.0.0.1

    It holds the code, the package and pinned requirements, and needs nothing of this machine.
    """
    from serving.bento import build_bento

    click.echo(build_bento(model, out))
