"""Tables: drawn on a terminal, tab-separated with a line of column names elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print `rows` under `columns`; off a terminal the title, if any, is a line that starts with `# `."""
    if sys.stdout.isatty():
        _draw(title, columns, rows)
        return
    if title:
        click.echo(f"# {title}")
    for row in (columns, *rows):
        click.echo("\t".join(" ".join(cell.split()) for cell in row))


def _draw(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)
