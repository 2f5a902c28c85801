"""An API key: its holder's name, what it may use, and a hash; the key itself is shown once and kept nowhere.

    nacre_<12 hexadecimal digits: the public id>_<64: a secret of 256 random bits>

The hash is SHA-256. Slow hashes (argon2, bcrypt) protect what people think up and others can guess; nobody guesses 256
random bits, and every request pays for the hash.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from codec.errors import NacreError

KEY_PATTERN = re.compile(r"nacre_([0-9a-f]{12})_[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as the service knows it."""

    name: str
    id: str
    sha256: str
    created: str
    requests_per_minute: int
    concurrency: int

    def fits(self, text: str) -> bool:
        """Tell whether `text` is this key; what it takes doesn't depend on where they differ."""
        return hmac.compare_digest(_hash(text), self.sha256)


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key that was just made, and the text that its holder has to present."""

    key: Key
    text: str


def make_key(name: str, *, requests_per_minute: int, concurrency: int) -> NewKey:
    """Draw a key.

    Raises:
        NacreError: The name is empty, longer than 64 characters, or of other characters than allowed.
    """
    if not _NAME.fullmatch(name):
        raise NacreError(f"a key's name is 1 to 64 letters, digits, '.', '_' or '-', not {name!r}")
    key_id = secrets.token_hex(6)
    text = f"nacre_{key_id}_{secrets.token_hex(32)}"
    key = Key(
        name=name,
        id=key_id,
        sha256=_hash(text),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        requests_per_minute=requests_per_minute,
        concurrency=concurrency,
    )
    return NewKey(key=key, text=text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
