"""`nacre transcode verify`, `nacre transcode checksums` and `nacre transcode bag`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from codec.errors import MissingToolError
from registry.shipped import DEFAULT_MODEL
from serving.commands import MODEL_HELP


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@click.option("--min-visqol", type=click.FloatRange(1, 5), help="The ViSQOL that every file has to reach, 1 to 5.")
@click.option("--min-si-sdr", type=float, help="The SI-SDR that every file has to reach, in dB.")
@click.option(
    "--repair-kbps", type=float, help="Encode what misses a floor again, at this bitrate, and measure it again."
)
@click.option("--report", type=click.Path(path_type=Path), help="Write report.jsonl and report.html to this folder.")
@click.option("--workers", type=click.IntRange(1), help="Processes; without it, as many as there are cores.")
def verify(
    source: str,
    target: str,
    model: str,
    min_visqol: float | None,
    min_si_sdr: float | None,
    repair_kbps: float | None,
    report: Path | None,
    workers: int | None,
) -> None:
    """Check that DST is a whole and good transcode of SRC.

    \b
    Example:
      nacre transcode verify archive archive-nac --min-visqol 3.5 --report checked
      nacre transcode verify archive archive-nac --min-si-sdr 5 --repair-kbps 12

    Every file of SRC and DST is there and unaltered, every output is decoded whole, is as long as its source to the
    sample, with its sample rate and channels, and reaches the floors. A file's SI-SDR is that of all of it, its ViSQOL
    the mean over windows of at most 10 seconds; the worst window is reported too. Exit status 1 if anything fails.
    """
    if repair_kbps is not None and min_visqol is None and min_si_sdr is None:
        raise click.UsageError("--repair-kbps needs a floor to repair by: give --min-visqol or --min-si-sdr")
    if min_visqol is not None:
        _check_visqol()
    from codec.package import open_package
    from registry.resolve import resolve_package
    from serving.transcode.engines.local import LocalEngine
    from serving.transcode.progress import shown, terminal_view
    from serving.transcode.tally import Tally
    from serving.transcode.verify.finding import Floors
    from serving.transcode.verify.pool import Pool
    from serving.transcode.verify.run import VerifyOrder
    from serving.transcode.verify.run import verify as run

    package = open_package(resolve_package(model))
    order = VerifyOrder(
        source=source,
        target=target,
        package=package.directory,
        fingerprint=package.fingerprint,
        floors=Floors(visqol=min_visqol, si_sdr_db=min_si_sdr),
        repair_quantizers=None if repair_kbps is None else package.config.resolve_num_quantizers(None, repair_kbps),
        report=report,
    )
    tally = Tally()
    workers = workers or len(os.sched_getaffinity(0))
    with Pool(workers) as pool, terminal_view(tally) as view, shown(tally, view):
        summary = run(order, pool, LocalEngine(workers), tally)
    click.echo(summary.describe() + (f"; see {report}" if report else ""))
    if summary.num_failures:
        raise SystemExit(1)


@click.command()
@click.argument("target", metavar="DST")
def checksums(target: str) -> None:
    """List the checksums of a finished transcode, for sha256sum.

    \b
    Example:
      nacre transcode checksums archive-nac
      cd archive && sha256sum -c ../archive-nac/source-sha256.txt
      cd archive-nac && sha256sum -c output-sha256.txt

    Those of SRC are in DST/source-sha256.txt, those of DST in DST/output-sha256.txt. A transcode that is run again
    brings them up to date.
    """
    from serving.transcode.verify.bagging import write_checksums

    write_checksums(target)


@click.command()
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
def bag(target: Path) -> None:
    """Make DST a BagIt bag (RFC 8493), in place: what it holds moves into DST/data.

    \b
    Example:
      nacre transcode bag archive-nac

    DST stays what it is for all other commands, and a transcode that is run again brings the bag up to date. It is
    dated only if SOURCE_DATE_EPOCH is set, so that the same transcode makes the same bag.
    """
    from serving.transcode.verify.bagging import bag_transcode

    bag_transcode(target)


def _check_visqol() -> None:
    from serving.transcode.verify.visqol import check_installed

    try:
        check_installed()
    except MissingToolError as error:
        raise click.UsageError(f"--min-visqol can't be measured: {error}") from None
