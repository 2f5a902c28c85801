"""The keys' file, NACRE_HOME/keys.json: replaced as a whole, by one writer at a time, readable by its owner alone.

{"version": 1, "keys": [{"name", "id", "sha256", "created", "requests_per_minute", "concurrency"}]}
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from codec.errors import NacreError
from codec.files import atomic_path
from codec.home import nacre_home
from codec.locking import locked
from serving.access.key import Key, NewKey, make_key

FORMAT_VERSION = 1
_HASH = re.compile(r"[0-9a-f]{64}")
_TYPES: dict[str, type] = {
    "name": str,
    "id": str,
    "sha256": str,
    "created": str,
    "requests_per_minute": int,
    "concurrency": int,
}


class KeyStore:
    """The keys in one file, by default NACRE_HOME's; a file that isn't there holds none."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or nacre_home() / "keys.json"

    def read(self) -> tuple[Key, ...]:
        """Return every key, the oldest first.

        Raises:
            NacreError: The file can't be read or is damaged.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise NacreError(f"can't read the keys in '{self.path}': {error}") from None
        try:
            return _parse(text)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            message = f"'{self.path}' is damaged: restore it, or remove it and create every key anew"
            raise NacreError(message) from None

    def create(self, name: str, *, requests_per_minute: int, concurrency: int) -> NewKey:
        """Make a key and keep its hash.

        Raises:
            NacreError: There is a key of that name, the name can't be one, or the file is damaged.
        """
        new = make_key(name, requests_per_minute=requests_per_minute, concurrency=concurrency)
        with self._one_writer():
            keys = self.read()
            if any(key.name == name for key in keys):
                raise NacreError(f"there is a key '{name}' already: choose another name, or revoke that key first")
            self._write([*keys, new.key])
        return new

    def revoke(self, name: str) -> None:
        """Remove a key; what its holder asks from now on is refused.

        Raises:
            NacreError: There is no key of that name, or the file is damaged.
        """
        with self._one_writer():
            keys = self.read()
            kept = [key for key in keys if key.name != name]
            if len(kept) == len(keys):
                raise NacreError(f"there is no key '{name}': see `nacre keys list`")
            self._write(kept)

    def _one_writer(self) -> AbstractContextManager[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return locked(self.path.with_suffix(".lock"))

    def _write(self, keys: Sequence[Key]) -> None:
        document = {"version": FORMAT_VERSION, "keys": [dataclasses.asdict(key) for key in keys]}
        with atomic_path(self.path) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=1)


def _parse(text: str) -> tuple[Key, ...]:
    document = json.loads(text)
    if document["version"] != FORMAT_VERSION:
        raise ValueError("another version")
    keys = tuple(_key(entry) for entry in document["keys"])
    if len({key.name for key in keys}) < len(keys) or len({key.id for key in keys}) < len(keys):
        raise ValueError("a name or an id twice")
    return keys


def _key(entry: dict[str, Any]) -> Key:
    if {name: type(value) for name, value in entry.items()} != _TYPES:
        raise ValueError("other fields")
    key = Key(**entry)
    if not _HASH.fullmatch(key.sha256) or min(key.requests_per_minute, key.concurrency) < 1:
        raise ValueError("no hash, or a limit below 1")
    return key
