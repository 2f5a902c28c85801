"""Manifests of a bag: what checksum each file has, of the payload and of the tag files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codec.errors import DataError
from serving.transcode.bags.names import checked_name, percent_decoded

# The strongest first: where a bag has several manifests, that one's checksums count.
ALGORITHMS = {"sha512": 128, "sha384": 96, "sha256": 64, "sha224": 56, "sha1": 40, "md5": 32}
MAX_LINE_BYTES = 1 << 14
_FILE = re.compile(r"(tag)?manifest-([a-z0-9]+)\.txt", re.IGNORECASE)
_LINE = re.compile(r"([0-9A-Fa-f]+)[ \t]+\*?(.+)")


@dataclass(frozen=True, kw_only=True)
class BagManifest:
    """A manifest: what it is called, its algorithm as `hashlib` names it, and checksums by name within the bag."""

    name: str
    algorithm: str
    checksums: dict[str, bytes]


def read_manifests(bag: Path, *, tags: bool) -> list[BagManifest]:
    """Return a bag's manifests of its payload, or of its tag files, the strongest first.

    Raises:
        DataError: One is damaged, names a file outside of the bag, or there are only unknown algorithms.
    """
    found = {}
    for path in bag.iterdir():
        matched = _FILE.fullmatch(path.name)
        if matched and bool(matched[1]) == tags:
            found[matched[2].lower()] = path
    known = [algorithm for algorithm in ALGORITHMS if algorithm in found]
    if found and not known:
        raise DataError(f"the bag '{bag}' has only checksums of unknown kinds: {', '.join(sorted(found))}")
    return [_read_manifest(found[algorithm], algorithm, bag) for algorithm in known]


def _read_manifest(path: Path, algorithm: str, bag: Path) -> BagManifest:
    checksums: dict[str, bytes] = {}
    for number, line in _lines(path):
        where = f"line {number} of '{path}'"
        matched = _LINE.fullmatch(line)
        if matched is None or len(matched[1]) != ALGORITHMS[algorithm]:
            raise DataError(f"{where} is not a {algorithm} checksum and a name: the bag is damaged")
        name = _meant(matched[2], bag, where)
        if name in checksums:
            raise DataError(f"{where} names '{name}' a second time: the bag is damaged")
        checksums[name] = bytes.fromhex(matched[1])
    return BagManifest(name=path.name, algorithm=algorithm, checksums=checksums)


def _meant(spelled: str, bag: Path, where: str) -> str:
    """Return the name of a file; whoever bags by older drafts leaves percents as they are."""
    raw = checked_name(spelled, where)
    if "%" not in spelled:
        return raw
    decoded = checked_name(percent_decoded(spelled), where)
    return raw if not os.path.lexists(bag / decoded) and os.path.lexists(bag / raw) else decoded


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a manifest's lines with their numbers, without empty ones."""
    number = 0
    try:
        with path.open("rb") as file:
            while data := file.readline(MAX_LINE_BYTES):
                number += 1
                if len(data) == MAX_LINE_BYTES:
                    raise DataError(f"line {number} of '{path}' is longer than any checksum and name")
                line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if line:
                    yield number, line
    except OSError as error:
        raise DataError(f"can't read '{path}' of the bag: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"line {number} of '{path}' is not UTF-8, the only encoding that is read") from None
