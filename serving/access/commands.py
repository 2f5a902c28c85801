"""`nacre keys`: the keys of those who may use the service from other machines."""

from __future__ import annotations

import click


@click.group()
def keys() -> None:
    """Create, list and revoke API keys.

    A service that listens on an address that other machines can reach takes requests with a key only. Running services
    of the same NACRE_HOME see a change within a second.

    \b
    Example:
      nacre keys create alice --requests-per-minute 120
      nacre serve --model speech@production --host 0.0.0.0
    """


@keys.command()
@click.argument("name")
@click.option(
    "--requests-per-minute",
    default=600,
    show_default=True,
    type=click.IntRange(min=1),
    help="Requests in any minute.",
)
@click.option("--concurrency", default=8, show_default=True, type=click.IntRange(min=1), help="Requests at once.")
def create(name: str, requests_per_minute: int, concurrency: int) -> None:
    """Make a key for NAME and print it: it is kept nowhere and can't be shown again.

    \b
    Example:
      nacre keys create alice --requests-per-minute 120 --concurrency 4

    Clients send it as 'Authorization: Bearer KEY'.
    """
    from serving.access.store import KeyStore

    store = KeyStore()
    new = store.create(name, requests_per_minute=requests_per_minute, concurrency=concurrency)
    click.echo(new.text)
    click.echo(f"This is the key of '{name}', shown this once; '{store.path}' has its hash.", err=True)


@keys.command(name="list")
def list_keys() -> None:
    """List the keys: whose they are, when they were made, and what they may use.

    \b
    Example:
      nacre keys list
    """
    from registry.table import print_table
    from serving.access.store import KeyStore

    columns = ("name", "id", "created", "requests per minute", "at once")
    rows = [
        (key.name, key.id, key.created, str(key.requests_per_minute), str(key.concurrency)) for key in KeyStore().read()
    ]
    print_table(columns, rows)


@keys.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Refuse the key of NAME from now on.

    \b
    Example:
      nacre keys revoke alice

    Jobs belong to the name: a key made later for the same name sees them.
    """
    from serving.access.store import KeyStore

    KeyStore().revoke(name)
    click.echo(f"revoked the key of '{name}'")
