"""`nacre data`: build data sets and look into them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from data_pipelines.build import BuildReport, build_dataset
from data_pipelines.folder import DataFolder
from data_pipelines.index import read_index, verify_shards
from data_pipelines.inspect import DatasetSummary, inspect_dataset
from data_pipelines.progress import progress_bar
from data_pipelines.screening import REASONS
from data_pipelines.settings import BuildConfig
from data_pipelines.splits import SPLITS

_DEFAULTS = BuildConfig()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def data() -> None:
    """Build and inspect training data: audio files to shards."""


@data.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SRC...")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where the data set goes.")
@click.option(
    "--sample-rate",
    type=int,
    default=_DEFAULTS.sample_rate,
    show_default=True,
    help="Hz; other rates are resampled.",
)
@click.option(
    "--channels",
    type=click.IntRange(1, 2),
    default=_DEFAULTS.channels,
    show_default=True,
    help="1 mixes stereo down; 2 rejects mono.",
)
@click.option(
    "--val-percent",
    type=click.FloatRange(0, 100),
    default=_DEFAULTS.val_percent,
    show_default=True,
    help="Share of files for validation.",
)
@click.option(
    "--test-percent",
    type=click.FloatRange(0, 100),
    default=_DEFAULTS.test_percent,
    show_default=True,
    help="Share of files set aside for tests.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: len(os.sched_getaffinity(0)),
    show_default="all cores",
    help="Processes that decode.",
)
def build(
    sources: tuple[Path, ...],
    out: Path,
    sample_rate: int,
    channels: int,
    val_percent: float,
    test_percent: float,
    jobs: int,
) -> None:
    """Turn any tree of audio files into checked, split, reproducible shards.

    SRC are folders (or files) with wav, flac, mp3, ogg, opus, aiff (m4a with the extra `m4a`). Files that can't be
    used are counted by reason and never stop the build. Killed and run again, it completes. Run again with more
    sources, old files keep their split.

    \b
    Example:
      nacre data build recordings/ podcasts/ --out data/speech16k --val-percent 5
    """
    config = BuildConfig(sample_rate=sample_rate, channels=channels, val_percent=val_percent, test_percent=test_percent)
    report = build_dataset(sources, out, config, jobs=jobs, show_progress=True)
    _print_report(out, report)


@data.command()
@click.argument("directory", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--verify", is_flag=True, help="Also read every shard and check its sha256.")
def inspect(directory: str, as_json: bool, verify: bool) -> None:
    """Show hours, source rates, rejects by reason and durations of a data set; fail if a shard is missing or cut.

    DIR is a folder made by `nacre data build`, or a URL such as s3://bucket/data.

    \b
    Example:
      nacre data inspect data/speech16k --verify
    """
    folder = DataFolder(directory)
    summary = inspect_dataset(folder)
    if verify:
        index, _ = read_index(folder)
        with progress_bar("verifying", sum(len(shards) for shards in index.splits.values()), "shards") as advance:
            verify_shards(folder, index, advance)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(summary), indent=2))
    else:
        _print_summary(summary)


def _print_report(out: Path, report: BuildReport) -> None:
    for split in SPLITS:
        click.echo(f"{split:>5}: {report.files[split]} files, {report.seconds[split] / 3600:.2f} h")
    for reason, count in sorted(report.rejected.items()):
        click.echo(f"rejected {count}, {reason}: {REASONS[reason]}")
    if report.resumed_files or report.resumed_shards:
        click.echo(f"kept from an interrupted run: {report.resumed_files} files, {report.resumed_shards} shards")
    for split, option in (("train", "lower --val-percent and --test-percent"), ("val", "raise --val-percent")):
        if report.files[split] == 0:
            click.echo(f"nacre: warning: no file fell into {split}: add audio, or {option}", err=True)
    click.echo(f"{out} is complete, index sha256 {report.index_sha256}")


def _print_summary(summary: DatasetSummary) -> None:
    console = Console(highlight=False)
    console.print(f"{summary.directory}: {summary.sample_rate} Hz, {summary.channels} channels", soft_wrap=True)
    console.print(f"index sha256 {summary.index_sha256}", soft_wrap=True)
    table = Table("split", "files", "hours", "shards", "records", "MB")
    for name, split in summary.splits.items():
        megabytes = f"{split.bytes / 1e6:.1f}"
        table.add_row(name, str(split.files), f"{split.hours:.3f}", str(split.shards), str(split.records), megabytes)
    console.print(table)
    _print_counts(
        console, "source rates, Hz", {str(rate): count for rate, count in summary.source_sample_rates.items()}
    )
    _print_counts(console, "source channels", {str(count): files for count, files in summary.source_channels.items()})
    _print_counts(console, "durations", summary.durations)
    _print_counts(console, "rejected", summary.rejected)


def _print_counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    most = max(counts.values(), default=0)
    console.print(f"{title}:{'' if counts else ' none'}")
    for name, count in counts.items():
        console.print(f"  {name:>20} {count:>7} {'#' * (-(-30 * count // most) if most else 0)}")
