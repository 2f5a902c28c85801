"""`nacre registry export`, `import` and `share`: versions on their way between machines and registries."""

from __future__ import annotations

import click


@click.command(name="export")
@click.argument("reference", metavar="REF")
@click.argument("destination", metavar="DEST")
def export(reference: str, destination: str) -> None:
    """Write a version and its reports to a folder, or to a URL such as s3://BUCKET/PREFIX.

    DEST must not exist. It is a package, so --model takes it too if it is a folder.

    \b
    Example:
      nacre registry export speech@production EXPORTED
    """
    from registry.registry import Registry
    from registry.transfer import export_version

    exported = export_version(Registry.open(), reference, destination)
    click.echo(f"exported {exported.version} with {_reports(exported.reports)}")


@click.command(name="import")
@click.argument("source", metavar="SRC")
@click.option("--name", required=True, help="The model's name here, such as speech.")
def import_(source: str, name: str) -> None:
    """Register an export, or a package, from a folder or URL as a name's next version.

    Everything is verified first. The same package twice is one version, which gets the reports that it lacks.

    \b
    Example:
      nacre registry import EXPORTED --name speech
    """
    from registry.registry import Registry
    from registry.transfer import import_version

    imported = import_version(Registry.open(), source, name)
    version = imported.registration.version
    reports = _reports(imported.new_reports)
    if imported.registration.is_new:
        click.echo(f"registered {version} (fingerprint {version.fingerprint[:16]}) with {reports}")
    else:
        added = f"{reports} added" if imported.new_reports else "nothing changed"
        click.echo(f"{version} is this package already, registered {version.created}: {added}")


@click.command(name="share")
def share() -> None:
    """Upload every version and report that this machine has and the shared store lacks.

    New ones go there by themselves. This is for what was registered before NACRE_STORE_URL was set, and for a store
    that was lost.

    \b
    Example:
      nacre registry share
    """
    from registry.registry import Registry

    models = Registry.open()
    shared = [version for version in models.list() if models.share(version)]
    for version in shared:
        click.echo(f"shared {version}")
    if not shared:
        click.echo("nothing to share: the store has all that is here")


def _reports(count: int) -> str:
    return f"{count} report{'s' * (count != 1)}"
