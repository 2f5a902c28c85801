"""How lists of checksums spell file names: manifests of a bag by percents, `sha256sum` by backslashes.

Both are lines, so both have to hide line breaks in names, each in its own way.
"""

from __future__ import annotations

import re

from codec.errors import DataError

PAYLOAD = "data"
_BREAKS = {"%": "%25", "\n": "%0A", "\r": "%0D"}
_ENCODED = re.compile(r"%(0A|0D|25)", re.IGNORECASE)
_SPECIAL = re.compile(r"[%\n\r]")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_ESCAPED = re.compile(r"[\\\n\r]")


def percent_encoded(name: str) -> str:
    """Return a name as a bag's manifest has it (RFC 8493, section 2.1.3)."""
    return _SPECIAL.sub(lambda found: _BREAKS[found[0]], name)


def percent_decoded(name: str) -> str:
    """Return the name that a bag's manifest means."""
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), name)


def sum_line(checksum: str, name: str) -> str:
    """Return the line that `sha256sum` prints of a file, and `sha256sum -c` takes."""
    escaped = _ESCAPED.sub(lambda found: _ESCAPES[found[0]], name)
    return f"{'' if escaped == name else chr(92)}{checksum}  {escaped}\n"


def checked_name(name: str, where: str) -> str:
    """Return a name of a bag's file, relative to the bag, without `.` parts.

    Raises:
        DataError: It leads out of the bag, or names nothing.
    """
    parts = [part for part in name.split("/") if part != "."]
    if name.startswith(("/", "~")) or ".." in parts or "\0" in name:
        raise DataError(f"{where} names '{name}', which lies outside of the bag: don't trust the bag")
    if not parts or not all(parts):
        raise DataError(f"{where} names '{name}', which is no file's name: the bag is damaged")
    return "/".join(parts)
