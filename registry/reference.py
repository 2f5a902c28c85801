"""How a registered model is named: `NAME:VERSION`, `NAME@ALIAS`, or `NAME` alone for `NAME@production`.

Names and aliases follow BentoML's rule for tags, because the store keeps each package under its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from codec.errors import RegistryError

PRODUCTION = "production"
_WORD = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, kw_only=True)
class ModelReference:
    """What the caller asked for: `name`, and a `version` or an `alias`, never both."""

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Read `NAME`, `NAME:VERSION` or `NAME@ALIAS`.

        Raises:
            RegistryError: `text` is none of them.
        """
        name, colon, version = text.partition(":")
        if colon:
            if not _VERSION.fullmatch(version):
                raise RegistryError(f"'{version}' in '{text}' is not a version: versions are numbers from 1")
            return cls(name=check_word(name, "name"), version=int(version))
        name, at, alias = text.partition("@")
        return cls(name=check_word(name, "name"), alias=check_word(alias, "alias") if at else PRODUCTION)

    def __str__(self) -> str:
        return f"{self.name}:{self.version}" if self.version is not None else f"{self.name}@{self.alias}"


def check_word(text: str, what: str) -> str:
    """Return `text` if it can be a name or an alias; `what` is the word for it in the message.

    Raises:
        RegistryError: It can't.
    """
    if not _WORD.fullmatch(text):
        raise RegistryError(
            f"'{text}' can't be a model's {what}: use 1 to 63 lower-case letters, digits, '-', '_' and '.', "
            "a letter or digit first and last"
        )
    return text
