"""The packages that ship with Nacre, in the folder models/ beside this one: what there is without any registry."""

from __future__ import annotations

from pathlib import Path

# What is meant where no model is named.
DEFAULT_MODEL = "nacre-16k-speech"
FOLDER = Path(__file__).resolve().parent.parent / "models"


def shipped_package(name: str) -> Path | None:
    """Return the directory of the package that ships as `name`; None if none does."""
    return next((directory for directory in shipped_packages() if directory.name == name), None)


def shipped_packages() -> list[Path]:
    """Return the directories of all packages that ship."""
    return sorted(path.parent for path in FOLDER.glob("*/SHA256SUMS"))
