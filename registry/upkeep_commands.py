"""`nacre registry fsck`, `gc` and `diff`: upkeep, and a look at what changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from registry.dotted import as_text
from registry.progress import with_progress
from registry.table import print_table

if TYPE_CHECKING:
    from registry.difference import Difference
    from registry.leftovers import Leftover
    from registry.version import Collected

_COLUMNS = ("what", "where", "why")


@click.command()
@click.option("--repair", is_flag=True, help="Remove what killed processes and gc left in the store.")
def fsck(repair: bool) -> None:
    """Compare the database with the store, hashing every file.

    \b
    damaged    a version or report has a file that is missing or altered: restore it from a backup
    lost       an alias points to no version, which only a damaged database has
    leftover   a folder is nobody's: a killed process left it, or its version was collected
    unknown    a folder is in no row, but another database may name it

    --repair removes leftovers alone: never a version, an unknown folder, or what another process is just storing.
    Exits with 1 if anything is wrong that was not removed.

    \b
    Example:
      nacre registry fsck --repair
    """
    from registry.registry import Registry
    from registry.upkeep import Upkeep

    models, upkeep = Registry.open(), Upkeep.open()
    results = list(with_progress(models.verify_all(), "verifying", len(models.list())))
    removed = upkeep.remove_leftovers() if repair else []
    if removed:
        print_table(_COLUMNS, _leftover_rows(removed), title=f"removed: {_count(removed, 'leftover')}")
    wrong = [("damaged", str(result.version), result.problem) for result in results if result.problem is not None]
    wrong += [("lost", alias, "there is no such version") for alias in upkeep.lost_aliases()]
    wrong += _leftover_rows(upkeep.leftovers())
    if wrong:
        print_table(_COLUMNS, wrong, title=f"wrong: {len(wrong)}; versions verified: {len(results)}")
        raise click.exceptions.Exit(1)
    click.echo(f"nothing is wrong; versions verified: {len(results)}")


@click.command()
@click.option("--keep", type=click.IntRange(min=1), required=True, metavar="N", help="The newest N of a name stay.")
@click.option("--name", help="Collect of this name alone.")
@click.option("--dry-run", is_flag=True, help="Only print what would go.")
@click.option("--why", default="", metavar="TEXT", help="The reason, kept in the note.")
def gc(keep: int, name: str | None, dry_run: bool, why: str) -> None:
    """Remove old versions that nothing points to.

    Of each name stay its newest N, what an alias points to, and what one rollback of an alias would lead to. What goes
    goes with its reports, from a shared store too; bytes are those on this machine. History stays, and so does a note
    of what went, when and why. No number is given twice.

    \b
    Example:
      nacre registry gc --keep 5 --dry-run
      nacre registry gc --keep 5 --name speech --why "the disk is full"
    """
    from registry.upkeep import Upkeep

    upkeep = Upkeep.open()
    gone = upkeep.collectable(keep, name) if dry_run else upkeep.collect(keep, name, why=why)
    rows = [(str(one), one.created, one.note, str(one.size_bytes)) for one in gone]
    done = "would be removed" if dry_run else "removed"
    print_table(("version", "created", "note", "bytes"), rows, title=f"{done}: {_count(gone, 'version')}")


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the two values of each key, part by part.")
def diff(first: str, second: str, as_json: bool) -> None:
    """Show what differs between two versions.

    Configuration of the codec, metrics, lineage, files and reports; what is equal is left out. Both are verified first.

    \b
    Example:
      nacre registry diff speech@production speech@candidate
    """
    from registry.difference import differences, parts_of
    from registry.registry import Registry

    models = Registry.open()
    versions = [models.resolve(reference) for reference in (first, second)]
    found = differences(*(parts_of(version, models.reports(version)) for version in versions))
    names = [str(version) for version in versions]
    if as_json:
        click.echo(json.dumps({"a": names[0], "b": names[1]} | _by_part(found), indent=2, sort_keys=True))
    elif found:
        _print_differences(found, names)
    else:
        click.echo(f"{names[0]} and {names[1]} differ in nothing")


def _count(items: Sequence[Collected] | Sequence[Leftover], what: str) -> str:
    """Return how many there are, and their bytes in the store."""
    total = sum(item.size_bytes for item in items)
    return f"{len(items)} {what}{'s' * (len(items) != 1)}, {total:,} bytes"


def _leftover_rows(leftovers: Iterable[Leftover]) -> list[tuple[str, str, str]]:
    return [
        ("leftover" if one.can_go else "unknown", str(one), f"{one.origin} ({one.size_bytes:,} bytes)")
        for one in leftovers
    ]


def _by_part(found: Iterable[Difference]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {}
    for one in found:
        parts.setdefault(one.part, {})[one.key] = [one.first, one.second]
    return parts


def _print_differences(found: Iterable[Difference], names: Sequence[str]) -> None:
    for part, values in _by_part(found).items():
        rows = [(key, *("-" if value is None else as_text(value) for value in pair)) for key, pair in values.items()]
        print_table(("key", *names), rows, title=part)
