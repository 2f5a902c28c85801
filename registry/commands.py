"""`nacre registry`: the registry from the command line.

Results go to stdout: tables on a terminal, tab-separated lines elsewhere, JSON on request.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.dotted import as_text, dotted
from registry.progress import with_progress
from registry.table import print_table
from registry.transfer_commands import export, import_, share
from registry.upkeep_commands import diff, fsck, gc

if TYPE_CHECKING:
    from registry.registry import Registry
    from registry.version import AliasChange, ModelVersion, Report

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_why = click.option("--why", default="", metavar="TEXT", help="The reason, kept in the history.")


@click.group()
def registry() -> None:
    """Register, promote, resolve and verify packages.

    A REF is NAME:VERSION, NAME@ALIAS, or NAME alone for NAME@production. The registry lives in NACRE_HOME/registry.db
    (or the database that NACRE_REGISTRY_URL names), the files in BENTOML_HOME, and where several machines share them
    at NACRE_STORE_URL too, a folder or s3://BUCKET/PREFIX.

    \b
    Example:
      nacre registry register packages/speech --name speech
      nacre registry promote speech:1 production
    """


@registry.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The model's name, such as speech.")
@click.option("--note", default="", metavar="TEXT", help="A remark, kept with the version.")
def register(package: Path, name: str, note: str) -> None:
    """Register a package folder as a name's next version.

    The same package twice is one version.

    \b
    Example:
      nacre registry register packages/speech --name speech --note "first run on 40 h"
    """
    result = _open().register_or_find(package, name, note=note)
    version = result.version
    if result.is_new:
        click.echo(f"registered {version} (fingerprint {version.fingerprint[:16]})")
    else:
        click.echo(f"{version} is this package already, registered {version.created}: nothing changed")


@registry.command(name="list")
@_as_json
def list_versions(as_json: bool) -> None:
    """List every version, with its aliases.

    \b
    Example:
      nacre registry list --json
    """
    versions = _open().list()
    if as_json:
        click.echo(_dump([version.to_json() for version in versions]))
        return
    rows = [(str(v), ", ".join(v.aliases), v.created, v.fingerprint[:16], v.note) for v in versions]
    print_table(("model", "aliases", "created", "fingerprint", "note"), rows)


@registry.command()
@click.argument("reference", metavar="REF")
@_as_json
def show(reference: str, as_json: bool) -> None:
    """Show a version: what it is for, metrics, lineage, aliases, reports, history.

    \b
    Example:
      nacre registry show speech@production
    """
    models = _open()
    version = models.show(reference)
    _fetch_reports(models, version)
    history, reports = models.history(version.name), models.reports(version)
    if as_json:
        more = {"history": [change.to_json() for change in history], "reports": [one.to_json() for one in reports]}
        click.echo(_dump(version.to_json() | more))
        return
    print_table(("field", "value"), [*_fields(version), *_uses(version, reports)], title=str(version))
    print_table(("metric", "value"), _flat(version.metrics), title="metrics")
    print_table(("fact", "value"), _flat(version.lineage), title="lineage")
    kept = [(one.attached, one.attached_by, one.note, str(one.directory)) for one in reports]
    print_table(("when", "who", "note", "folder"), kept, title="reports")
    columns = ("when", "who", "alias", "change", "why")
    rows = [(c.changed, c.changed_by, c.alias, f"{c.action} {_arrow(c)}", c.why) for c in history]
    print_table(columns, rows, title=f"history of {version.name}")


@registry.command()
@click.argument("reference", metavar="REF")
@click.argument("report", type=click.Path(path_type=Path))
@click.option("--note", default="", metavar="TEXT", help="A remark, kept with the report.")
def attach(reference: str, report: Path, note: str) -> None:
    """Keep a report of 'nacre evaluate' with the version that it is about: card, numbers, curves.

    The package stays as it is; reports are only ever added.

    \b
    Example:
      nacre registry attach speech:2 REPORT --note "the clips of spring"
    """
    result = _open().attach(reference, report, note=note)
    kept = result.report
    if result.is_new:
        click.echo(f"kept with {kept.version}: {kept.card}")
    else:
        click.echo(f"{kept.version} has this report already, attached {kept.attached}: nothing changed")


@registry.command()
@click.argument("reference", metavar="NAME:VERSION")
@click.argument("alias")
@click.option(
    "--expect",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Change nothing unless the alias is at this version now (0: doesn't exist yet).",
)
@_why
def promote(reference: str, alias: str, expect: int | None, why: str) -> None:
    """Point an alias at a version that is whole.

    \b
    Example:
      nacre registry promote speech:2 production --expect 1 --why "si_sdr up by 0.8 dB"
    """
    change = _open().promote(reference, alias, expect=expect, why=why)
    click.echo(_moved(change) if change else f"{reference} is {alias} already: nothing changed")


@registry.command()
@click.argument("name")
@click.argument("alias")
@_why
def rollback(name: str, alias: str, why: str) -> None:
    """Take back the latest promotion of an alias.

    \b
    Example:
      nacre registry rollback speech production --why "clicks in quiet passages"
    """
    click.echo(_moved(_open().rollback(name, alias, why)))


@registry.command()
@click.argument("reference", metavar="REF")
def resolve(reference: str) -> None:
    """Verify a version and print its folder.

    \b
    Example:
      nacre registry resolve speech@production
    """
    click.echo(_open().resolve(reference).directory)


@registry.command()
@click.argument("reference", metavar="[REF]", required=False)
@click.option("--all", "everything", is_flag=True, help="Verify every version of every name.")
def verify(reference: str | None, everything: bool) -> None:
    """Hash the files of one version and its reports, or of all.

    Exits with 1 if any is damaged, naming each.

    \b
    Example:
      nacre registry verify --all
    """
    if (reference is None) != everything:
        raise click.UsageError("give a REF or --all (one of them)")
    models = _open()
    if reference is not None:
        version = models.show(reference)
        models.verify(version)
        click.echo(f"{version}\tok")
        return
    if _verify_all(models):
        raise click.exceptions.Exit(1)


registry.add_command(fsck)
registry.add_command(gc)
registry.add_command(diff)
registry.add_command(export)
registry.add_command(import_)
registry.add_command(share)


def _verify_all(models: Registry) -> int:
    """Print a line for each version, damaged ones on stderr; return how many are damaged."""
    results = list(with_progress(models.verify_all(), "verifying", len(models.list())))
    for result in results:
        if result.problem is None:
            click.echo(f"{result.version}\tok")
        else:
            click.echo(f"nacre: {result.problem}", err=True)
    return sum(result.problem is not None for result in results)


def _open() -> Registry:
    from registry.registry import Registry  # the database library takes half a second, `--help` should not

    return Registry.open()


def _fetch_reports(models: Registry, version: ModelVersion) -> None:
    """Fetch the reports that are on other machines; what can't be fetched is said, and no reason to show nothing."""
    from codec.errors import NacreError

    try:
        models.fetch_reports(version)
    except NacreError as error:
        click.echo(f"nacre: {error}", err=True)


def _fields(version: ModelVersion) -> list[tuple[str, str]]:
    return [
        ("aliases", ", ".join(version.aliases)),
        ("created", version.created),
        ("created by", version.created_by),
        ("note", version.note),
        ("fingerprint", version.fingerprint),
        ("content hash", version.content_hash),
        ("directory", str(version.directory)),
    ]


def _uses(version: ModelVersion, reports: Sequence[Report]) -> list[tuple[str, str]]:
    """Return what the newest report says that the version is for, and where its card is."""
    if not reports:
        return [("evaluated on", f"nothing yet (nacre registry attach {version} REPORT)")]
    newest = reports[-1]
    return [("evaluated on", "; ".join(newest.uses) or "no clip"), ("model card", str(newest.card))]


def _flat(data: dict[str, object]) -> list[tuple[str, str]]:
    """Return a nested object as `a.b` and value."""
    return [(key, as_text(value)) for key, value in dotted(data).items()]


def _moved(change: AliasChange) -> str:
    return f"{change.name}@{change.alias}: {_arrow(change)}"


def _arrow(change: AliasChange) -> str:
    return f"{change.previous or 'none'} -> {change.version}"


def _dump(data: object) -> str:
    return json.dumps(data, indent=2, sort_keys=True)
