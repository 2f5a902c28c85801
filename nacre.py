"""The `nacre` command: one name, one line of help each, and the room it lives in, imported only when called."""

from __future__ import annotations

import importlib
import sys

import click

# name: (where the click command lives, its line in `nacre --help`)
COMMANDS = {
    "audio": ("data_pipelines.fetch_commands:audio", "Get real training audio."),
    "data": ("data_pipelines.commands:data", "Build and inspect training data: audio files to shards."),
    "train": ("training.commands:train", "Train a codec and export it as a package."),
    "evaluate": (
        "training.evaluation.commands:evaluate",
        "Compare models with other codecs; gate a candidate; listen.",
    ),
    "retrain": (
        "training.retraining.commands:retrain",
        "Retrain from production on new audio; promote or reject.",
    ),
    "registry": ("registry.commands:registry", "Register, promote, resolve and verify packages."),
    "import": ("serving.import_commands:import_group", "Turn published models into packages."),
    "serve": ("serving.commands:serve", "Start the HTTP service that encodes and decodes."),
    "keys": ("serving.access.commands:keys", "Create, list and revoke API keys of the service."),
    "bento": ("serving.commands:bento", "Package a registered model as a Bento."),
    "encode": ("serving.local_commands:encode", "Encode an audio file to a container, without a server."),
    "decode": ("serving.local_commands:decode", "Decode a container to an audio file, without a server."),
    "codec": ("serving.codec_commands:codec", "Look at a codec's size, cost and rates; export it to ONNX."),
    "inspect": ("serving.container_commands:inspect", "Show what a container holds."),
    "verify": ("serving.container_commands:verify", "Check every block of containers."),
    "transcode": (
        "serving.transcode.commands:transcode",
        "Encode an archive of audio of any size, exactly once.",
    ),
}

# Commands in another room's group, for what that room doesn't know: group: {name: where the click command lives}
GUESTS = {"registry": {"push": "training.publish_commands:push"}}


class LazyGroup(click.Group):
    """A group that imports a command's module only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        command = _load(COMMANDS[cmd_name][0])
        if isinstance(command, click.Group):
            for name, place in GUESTS.get(cmd_name, {}).items():
                command.add_command(_load_guest(f"{cmd_name} {name}", place))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _load(place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


def _load_guest(words: str, place: str) -> click.Command:
    """Load the guest that `nacre WORDS` calls, or in its place one that says that its room is not installed."""
    room = place.partition(".")[0]
    try:
        return _load(place)
    except ModuleNotFoundError as error:
        if error.name != room:
            raise

    @click.command(words.split()[-1], context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def absent(arguments: tuple[str, ...]) -> None:
        """Not installed here."""
        from codec.errors import MissingToolError

        raise MissingToolError(f"'nacre {words}' is part of {room}, which is not installed here")

    return absent


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nacre", prog_name="nacre")
def cli() -> None:
    """Nacre: train, register, serve and retrain neural audio codecs.

    \b
    Start here:
      nacre encode speech.wav speech.nac         with the model that ships
      nacre serve                                the same over HTTP, with a page to listen at
      nacre data build CLIPS --out DATA          audio files to shards
      nacre train fit --config configs/train/debug.yaml --data.directory DATA

    State lives under NACRE_HOME (default ~/.nacre).
    """


def main() -> None:
    """Run the command line; an error that Nacre raised on purpose is one line on stderr and exit status 1."""
    try:
        cli()
    except Exception as error:
        if not _ours(error):
            raise
        click.echo(f"nacre: {error}", err=True)
        sys.exit(1)


def _ours(error: Exception) -> bool:
    """Tell whether Nacre raised `error`, without importing its errors before one could have been raised."""
    errors = sys.modules.get("codec.errors")
    return errors is not None and isinstance(error, errors.NacreError)


if __name__ == "__main__":
    main()
