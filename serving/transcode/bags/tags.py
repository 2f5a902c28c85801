"""Tag files of a bag: lines of `Label: value` in UTF-8, long values going on in lines that begin with a blank."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from codec.errors import DataError

DECLARATION = "bagit.txt"
INFO = "bag-info.txt"
FETCH = "fetch.txt"
VERSIONS = ("1.0", "0.97", "0.96", "0.95", "0.94", "0.93")
# Far beyond any real one; a manifest's longest line is a checksum and a path.
MAX_TAG_BYTES = 1 << 20
_LABEL = re.compile(r"([^\s:][^:]*?)\s*:\s*(.*)")
_BREAK = re.compile(r"\r\n|\n|\r")


def tag_lines(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return a tag file of these labels and values."""
    return "".join(f"{label}: {_BREAK.sub(' ', value)}\n" for label, value in fields).encode()


def read_tags(path: Path) -> list[tuple[str, str]]:
    """Return the labels and values of a tag file, in order.

    Raises:
        DataError: It is not there, too large, no UTF-8, or has a line without a label.
    """
    text = tag_text(path)
    fields: list[tuple[str, str]] = []
    for number, line in enumerate(_BREAK.split(text), start=1):
        if not line.strip():
            continue
        if line[0] in " \t" and fields:
            fields[-1] = (fields[-1][0], f"{fields[-1][1]} {line.strip()}")
        elif found := _LABEL.fullmatch(line):
            fields.append((found[1], found[2].rstrip()))
        else:
            raise DataError(f"line {number} of '{path}' has no label: the bag is damaged")
    return fields


def tag_text(path: Path) -> str:
    """Return a small tag file's text.

    Raises:
        DataError: It is not there, too large, or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TAG_BYTES + 1)
    except OSError as error:
        raise DataError(f"can't read '{path}' of the bag: {error.strerror}") from None
    if len(data) > MAX_TAG_BYTES:
        raise DataError(f"'{path}' is larger than the {MAX_TAG_BYTES} bytes that a tag file may have")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"'{path}' is not UTF-8, the only encoding of tag files that is read") from None


def check_declaration(path: Path) -> None:
    """Check a bag's `bagit.txt`.

    Raises:
        DataError: It declares another version or encoding than are read, or is damaged.
    """
    fields = {label.lower(): value for label, value in read_tags(path)}
    version, encoding = fields.get("bagit-version"), fields.get("tag-file-character-encoding", "")
    if version not in VERSIONS:
        raise DataError(f"'{path}' declares version '{version}' of BagIt; {VERSIONS[-1]} to {VERSIONS[0]} are read")
    if encoding.upper().replace("_", "-") not in ("UTF-8", "UTF8"):
        raise DataError(f"'{path}' declares tag files in '{encoding}'; only UTF-8 is read")
