"""`nacre audio`: get real training audio."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from codec.errors import DataError
from codec.home import nacre_home
from data_pipelines.fetch import FetchReport, fetch
from data_pipelines.licences import FetchedPackage
from data_pipelines.pool import KINDS, POOL, SourcePackage, select

PLAIN_INTERVAL_S = 5.0


@click.group()
def audio() -> None:
    """Get real training audio."""


@audio.command("fetch")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only this kind; may be repeated.")
@click.option(
    "--package",
    "names",
    multiple=True,
    metavar="NAME",
    type=click.Choice([each.name for each in POOL]),
    help="Only this package of either list; may be repeated.",
)
@click.option("--extended", is_flag=True, help="The second list too: more music (2.6 GB in all).")
@click.option("--list", "listed", is_flag=True, help="Print the packages and their licences; fetch nothing.")
def fetch_command(
    directory: Path | None, kinds: tuple[str, ...], names: tuple[str, ...], extended: bool, listed: bool
) -> None:
    """Fetch freely licensed audio from Debian packages into DIR.

    DIR is NACRE_HOME/audio unless given. Each package becomes a folder of audio with its `copyright`; LICENCES.md lists
    all. Short prompts of one voice are joined into files of about 30 s. What is there is skipped, so the same command
    continues after an interruption; to fetch a package anew, remove its folder. Needs apt-get and dpkg-deb (no root).

    \b
    Example:
      nacre audio fetch pool --kind speech
      nacre data build pool --out DATA
    """
    packages = select(kinds=kinds, names=names, extended=extended)
    if not packages:
        raise click.UsageError("no package is of that name and that kind")
    if listed:
        _print_packages(packages)
        return
    directory = directory or nacre_home() / "audio"
    with _Progress() as progress:
        report = fetch(packages, directory, progress)
    _print_report(report, directory)
    _raise_failures(report)


class _Progress:
    """A bar over all bytes to download, on stderr; off a terminal, a line for each step."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._terminal = console.is_terminal
        self._console = console
        self._last = ("", 0.0)
        self._total = 0
        self._start = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not self._terminal)
        self._task = self._bar.add_task("asking apt", total=None)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, total_bytes: int) -> None:
        """Know the total."""
        self._total = total_bytes
        self._start = time.monotonic()
        self._bar.reset(self._task, total=total_bytes)

    def show(self, package: str, step: str, done_bytes: int) -> None:
        """Move the bar, or print a line when the step changed or some seconds went by."""
        description = f"{step} {package}"
        self._bar.update(self._task, completed=done_bytes, description=description)
        now = time.monotonic()
        if self._terminal or (self._last[0] == description and now - self._last[1] < PLAIN_INTERVAL_S):
            return
        self._last = (description, now)
        rate = done_bytes / max(now - self._start, 1e-3)
        left = f", {(self._total - done_bytes) / rate:.0f} s left" if rate else ""
        line = f"{description}: {done_bytes / 1e6:.0f} of {self._total / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s{left}"
        self._console.print(line, highlight=False, soft_wrap=True)


def _print_packages(packages: Sequence[SourcePackage]) -> None:
    table = Table(box=None)
    for heading in ("package", "kind", "languages", "MB", "list", "licence"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", overflow="fold")
    for each in packages:
        listed = "extended" if each.extended else "core"
        table.add_row(each.name, each.kind, " ".join(each.languages), str(each.download_mb), listed, each.licence)
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table, highlight=False)
    console.print(f"{len(packages)} packages, about {sum(each.download_mb for each in packages)} MB to download")


def _print_report(report: FetchReport, directory: Path) -> None:
    for each in report.fetched:
        click.echo(f"{each.name} {each.version}: {each.files} files, {_length(each)}, {each.licence}")
    if report.present:
        click.echo(f"there already: {' '.join(report.present)}")
    click.echo(f"licences: {directory / 'LICENCES.md'}")


def _length(fetched: FetchedPackage) -> str:
    return f"{fetched.seconds / 3600:.2f} h" if fetched.seconds >= 360 else f"{fetched.seconds / 60:.1f} min"


def _raise_failures(report: FetchReport) -> None:
    """Raise one error for all that is missing.

    Raises:
        DataError: Some package is unknown to apt or failed.
    """
    sentences = []
    if report.unknown:
        sentences.append(
            f"apt-get knows no package {', '.join(report.unknown)}: run 'apt-get update' as root first; "
            "the names are those of Debian 12, other releases may lack some"
        )
    sentences += list(report.failed.values())
    if report.failed:
        sentences.append("run the same command again: it keeps what is finished and goes on from there")
    if sentences:
        raise DataError("; ".join(sentences))
