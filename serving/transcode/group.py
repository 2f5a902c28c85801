"""The command group: `nacre transcode SRC DST` works itself, unless its first word is one of its commands."""

from __future__ import annotations

import importlib
from typing import Any

import click

# name: (where the click command lives, its line in the help)
COMMANDS = {
    "plan": ("serving.transcode.plan_command:plan", "Say what a run would do, take and cost."),
    "verify": ("serving.transcode.verify.command:verify", "Check a finished DST against its source."),
    "checksums": ("serving.transcode.verify.command:checksums", "List the checksums of a finished DST, for sha256sum."),
    "bag": ("serving.transcode.verify.command:bag", "Make a finished DST a BagIt bag."),
}


class TranscodeGroup(click.Group):
    """A command that has commands, each imported only when it is called; a folder called as one is `./plan`."""

    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand over to a command if the first word is one."""
        if args and args[0] in COMMANDS:
            return load(args[0]).make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the usage of the command itself."""
        return click.Command.collect_usage_pieces(self, ctx)


def load(name: str) -> click.Command:
    """Import the command called `name`."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command
