"""A record's key: its source's name in a form that `webdataset` takes for one, which ends keys at the first dot."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

# Control characters, and bytes that are no UTF-8, which Python keeps as surrogates.
_UNSAFE = re.compile(r"[%\x00-\x1f\x7f\udc80-\udcff]")


def record_key(name: str) -> str:
    """Return the key of a source's name: dots of its last part, and what no tar or table takes, as in URLs (`%2E`).

    Different names have different keys.
    """
    folder, slash, last = name.rpartition("/")
    return _UNSAFE.sub(_quote, folder) + slash + re.sub(r"\.", _quote, _UNSAFE.sub(_quote, last))


def record_source(key: str) -> str:
    """Return the name of which `key` is the key."""
    return unquote_to_bytes(key).decode("utf-8", "surrogateescape")


def _quote(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape"))
