"""`nacre transcode`: an archive of audio to containers or tokens, or containers back to audio."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving.transcode.group import TranscodeGroup
from serving.transcode.options import Given, local_path, make_order, shared_options

if TYPE_CHECKING:
    from serving.transcode.engines import Engine
    from serving.transcode.order import Order
    from serving.transcode.tally import Tally


@click.group(cls=TranscodeGroup, invoke_without_command=True, no_args_is_help=True)
@shared_options
@click.option("--shard-records", type=click.IntRange(1), default=1000, show_default=True, help="Records a shard.")
@click.option("--parquet", is_flag=True, help="Write each shard of tokens as Parquet too.")
@click.option("--bag", is_flag=True, help="Make DST a BagIt bag at the end.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="What works.")
@click.option("--ray-address", metavar="HOST:PORT|auto", help="Ray's cluster; without it, one of this machine's own.")
@click.option("--status", type=click.Path(path_type=Path), help="Keep the run's counts in this JSON file.")
def transcode(
    shard_records: int,
    parquet: bool,
    bag: bool,
    engine: str,
    ray_address: str | None,
    status: Path | None,
    **given: Any,
) -> None:
    """Encode every audio file of SRC into DST, each exactly once.

    \b
    Example:
      nacre transcode archive archive-nac --bitrate-kbps 6
      nacre transcode archive-nac restored --decode
      nacre transcode s3://bucket/audio.tar s3://bucket/tokens --sink tokens --parquet
      nacre transcode archive archive-nac --part 1/4

    SRC is a folder, a BagIt bag, a zip or tar, a folder or 'pattern' of WebDataset shards, or the URL of one. a.wav
    becomes a.wav.nac. Run again after a stop, or when files were added: only what is missing or changed is done.
    DST/manifest.jsonl records each file with its checksums, or why it failed; exit status 1 if any did.

    While it works, DST/.nacre/status.json says how far it is. Parts run at the same time on as many machines; after
    them, a run without --part joins what they did.
    """
    shared = Given(**given)
    if ray_address is not None and engine != "ray":
        raise click.UsageError("--ray-address is for Ray: add --engine ray")
    if bag and local_path(shared.target) is None:
        raise click.UsageError("--bag is for a DST on this machine's disks")
    if bag and shared.part is not None:
        raise click.UsageError("--bag is for all parts together: give it to the run without --part that joins them")
    if status is not None and not status.absolute().parent.is_dir():
        raise click.UsageError(f"--status is in no folder: there is no '{status.parent}'")
    order, _ = make_order(shared, shard_records=shard_records, parquet=parquet)
    tally = _run(order, _engine(engine, shared, ray_address), bag, status)
    _report(order, tally)


def _engine(name: str, shared: Given, ray_address: str | None) -> Engine:
    if name == "ray":
        from serving.transcode.engines.ray import RayEngine

        return RayEngine(address=ray_address, workers=shared.workers)
    from serving.transcode.engines.local import LocalEngine

    return LocalEngine(shared.workers or (None if shared.device == "cpu" else 1))


def _run(order: Order, engine: Engine, bag: bool, status: Path | None) -> Tally:
    from serving.transcode.coordinator import transcode as work
    from serving.transcode.home import status_path
    from serving.transcode.progress import shown, terminal_view
    from serving.transcode.status import StatusFile
    from serving.transcode.tally import Tally

    tally = Tally()
    with ExitStack() as stack:
        order, finish = _prepare(order, bag)
        view = stack.enter_context(terminal_view(tally))
        stack.enter_context(shown(tally, view, StatusFile(status or status_path(order), order)))
        work(order, engine, tally)
        finish()
    return tally


def _prepare(order: Order, bag: bool) -> tuple[Order, Callable[[], None]]:
    """Return the order for the payload of DST, if that is a bag, and what is to be done at the end."""
    target = local_path(order.target)
    if target is None or order.part is not None:
        return order, _nothing
    finish = partial(_make_bag if bag else _refresh, target)
    if not target.is_dir():
        return order, finish
    from dataclasses import replace

    from codec.errors import NacreError
    from codec.locking import locked
    from serving.transcode.bags.write import payload_folder

    with locked(target, NacreError(f"another run is writing to '{target}': wait for its end")):
        payload = payload_folder(target)
    return replace(order, target=str(payload)), finish


def _make_bag(target: Path) -> None:
    from serving.transcode.verify.bagging import bag_transcode

    bag_transcode(target)


def _refresh(target: Path) -> None:
    """Bring a bag, or lists of checksums, up to date, if there are any."""
    from serving.transcode.verify.bagging import refresh

    refresh(str(target))


def _nothing() -> None:
    """Do nothing."""


def _report(order: Order, tally: Tally) -> None:
    counts = f"{tally.done} done, {tally.unchanged} unchanged, {tally.failed} failed"
    where = f"see {_manifest(order.target)}" if order.part is None else "what it did waits to be joined"
    click.echo(f"{counts}, {tally.ignored} other files left; {where}")
    if tally.quarantined:
        click.echo(f"{tally.quarantined} of the failed are quarantined: they kill the worker that transcodes them")
    if tally.failed:
        raise SystemExit(1)


def _manifest(target: str) -> str:
    """Return where the manifest lies: in DST, or in the payload of the bag that it is."""
    from serving.transcode.bags.names import PAYLOAD
    from serving.transcode.bags.read import is_bag
    from serving.transcode.manifest import MANIFEST

    folder = local_path(target)
    if folder is not None and is_bag(folder):
        target = str(folder / PAYLOAD)
    return f"{target.rstrip('/')}/{MANIFEST}"
