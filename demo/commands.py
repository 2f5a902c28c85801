"""Run the product's own commands as a user would, each under a heading, with its output shown."""

import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

CONSOLE = Console(highlight=False)


class DemoError(RuntimeError):
    """A step of the demo failed; the message says which."""


def nacre(*arguments: str | Path) -> str:
    """Run `nacre ARGUMENTS`; progress goes to the terminal, standard output is shown and returned.

    Raises:
        DemoError: The command failed.
    """
    words = [str(argument) for argument in arguments]
    CONSOLE.print(f"  $ nacre {' '.join(words)}", style="dim")
    result = subprocess.run([*command(), *words], stdout=subprocess.PIPE, text=True, check=False)
    for line in result.stdout.splitlines():
        CONSOLE.print(f"    {line}", markup=False)
    if result.returncode:
        raise DemoError(f"'nacre {' '.join(words)}' ended with exit status {result.returncode}")
    return result.stdout


def command() -> list[str]:
    """Return the words that start `nacre` with this interpreter."""
    return [sys.executable, "-m", "nacre"]


class Steps:
    """Numbered headings with the time that has passed."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.start = time.monotonic()

    def begin(self, title: str) -> None:
        """Announce the next step."""
        self.done += 1
        CONSOLE.print(
            f"\n[{self.done}/{self.total}] {title}  ({self.seconds:.0f} s so far)", style="bold", markup=False
        )

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.start


def use_private_home(home: Path) -> None:
    """Keep the demo's registry, runs and store apart from the user's."""
    os.environ.update(NACRE_HOME=str(home), BENTOML_HOME=str(home / "bentoml"), PYTHONUNBUFFERED="1")
