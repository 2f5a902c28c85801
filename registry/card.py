"""A model card as an evaluation writes it: `card-*.json`, which names a package and the files that are about it.

    format        "nacre-model-card", version 1
    content_hash  of the package that was evaluated
    uses          a sentence for each kind of audio: how well the model did on it
    card          the Markdown file beside it that people read
    files         further files beside it: numbers, curves, a verdict

The registry reads no metrics: what a model is good for is said by who measured it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.errors import RegistryError

FORMAT, VERSION = "nacre-model-card", 1
PATTERN = "card-*.json"
MAX_CARD_BYTES = 1 << 20
MAX_USES = 16
MAX_FILES = 64
MAX_SENTENCE = 300
# A name of a file in the same folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card; `files` are all that belong to it, by name, itself included."""

    folder: Path
    content_hash: str
    uses: tuple[str, ...]
    card: str
    files: tuple[str, ...]


def find_card(folder: Path, content_hash: str) -> Card:
    """Return the card in `folder` of the package with that content hash.

    Raises:
        RegistryError: There is none, or one is damaged.
    """
    cards = [_read_card(path) for path in sorted(folder.glob(PATTERN))]
    for card in cards:
        if card.content_hash == content_hash:
            return card
    if not cards:
        raise RegistryError(f"'{folder}' has no model card ({PATTERN}): give the folder of 'nacre evaluate --out'")
    others = ", ".join(card.card for card in cards)
    raise RegistryError(f"the report in '{folder}' is about other packages ({others}): evaluate this version")


def is_file_name(name: str) -> bool:
    """Say whether `name` can be a file of a report."""
    return _NAME.fullmatch(name) is not None


def _read_card(path: Path) -> Card:
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise RegistryError(f"'{path}' is larger than {MAX_CARD_BYTES} bytes, so it is no model card")
        data = json.loads(path.read_bytes())
        if (data["format"], data["version"]) != (FORMAT, VERSION):
            raise ValueError("its format is another")
        names = _texts([data["card"], *data["files"]], MAX_FILES - 1)
        if bad := [name for name in names if not is_file_name(name)]:
            raise ValueError(f"{bad[0]!r} is no name of a file beside it")
        uses = _texts(data["uses"], MAX_USES)
        (content_hash,) = _texts([data["content_hash"]], 1)
    except OSError as error:
        raise RegistryError(f"'{path}' can't be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RegistryError(f"'{path}' is no model card: {error}") from None
    files = tuple(dict.fromkeys((path.name, *names)))
    return Card(folder=path.parent, content_hash=content_hash, uses=uses, card=names[0], files=files)


def _texts(values: Any, most: int) -> tuple[str, ...]:
    """Return a list of short lines of text.

    Raises:
        ValueError: It isn't one.
    """
    if not isinstance(values, list) or len(values) > most:
        raise ValueError(f"a list of at most {most} is needed")
    for value in values:
        if not isinstance(value, str) or not 0 < len(value) <= MAX_SENTENCE or not value.isprintable():
            raise ValueError(f"lines of 1 to {MAX_SENTENCE} printable characters are needed")
    return tuple(values)
