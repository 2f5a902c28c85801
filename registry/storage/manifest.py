"""What makes a folder of files whole, by SHA-256: a package's or a report's, wherever it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codec.errors import NacreError, PackageError
from registry.storage.location import Location

# Of all files of a package together. Weights of today's codecs take up to 1 GB.
MAX_PACKAGE_BYTES = 8 << 30
_MAX_SUMS_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The SHA-256 of each file by name, what all may weigh, and which error says that one is missing or altered."""

    hashes: Mapping[str, str]
    most_bytes: int
    damage: type[NacreError]

    def verify(self, location: Location, *, alone: bool = False) -> None:
        """Read every file at `location`; `alone` refuses others there.

        Raises:
            NacreError: As `damage`: a file is missing, altered or too many, or all are too large; the message names it.
            RegistryError: It can't be read.
            MissingToolError: The location needs a package that is not installed.
        """
        for name, size in self._sizes(location, alone=alone).items():
            self._compare(location / name, name, location.hash(name, size))

    def fetch(self, location: Location, folder: Path, *, alone: bool = False) -> None:
        """Copy every file from `location` to a local folder, which exists; `alone` as for `verify`.

        Raises:
            NacreError: As `verify`.
            RegistryError: It can't be read, or not be written here.
            MissingToolError: The location needs a package that is not installed.
        """
        for name, size in self._sizes(location, alone=alone).items():
            self._compare(location / name, name, location.fetch(name, folder / name, size))

    def store(self, folder: Path, location: Location) -> None:
        """Copy every file from a local folder to `location`, and read there what came of it.

        Raises:
            NacreError: As `damage`: what came of it is something else.
            RegistryError: It can't be written or read.
            MissingToolError: The location needs a package that is not installed.
        """
        for name in self.hashes:
            location.store(name, folder / name)
        self.verify(location, alone=True)

    def is_at(self, location: Location) -> bool:
        """Say whether every file is listed at `location`; none is read.

        Raises:
            RegistryError: It can't be read.
            MissingToolError: The location needs a package that is not installed.
        """
        return self.hashes.keys() <= location.sizes().keys()

    def _sizes(self, location: Location, *, alone: bool) -> dict[str, int]:
        """Return what the files weigh by name, as they are listed."""
        listed = location.sizes()
        if missing := [name for name in self.hashes if name not in listed]:
            raise self.damage(f"'{location / missing[0]}' is missing")
        if alone and (others := listed.keys() - self.hashes.keys()):
            raise self.damage(f"'{location / min(others)}' doesn't belong there")
        sizes = {name: listed[name] for name in self.hashes}
        if sum(sizes.values()) > self.most_bytes:
            raise self.damage(f"'{location}' has {sum(sizes.values()):,} bytes, at most {self.most_bytes:,} are taken")
        return sizes

    def _compare(self, where: Location, name: str, found: str) -> None:
        if found != self.hashes[name]:
            raise self.damage(f"'{where}' was altered")


def package_manifest(location: Location, content_hash: str | None = None) -> Manifest:
    """Return the manifest of the package at `location`, as its SHA256SUMS says; that one alone is read.

    Raises:
        PackageError: It isn't there, lists what no package has, or isn't the one of `content_hash`.
        RegistryError: It can't be read.
        MissingToolError: The location needs a package that is not installed.
    """
    from codec.package import OPTIONAL, SUMS, read_sums  # it loads NumPy, which listing and naming don't need

    listed = location.sizes()
    if SUMS not in listed:
        raise PackageError(f"'{location / SUMS}' is missing")
    data = location.read(SUMS, _MAX_SUMS_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if content_hash is not None and found != content_hash:
        raise PackageError(f"'{location / SUMS}' is not the one that was registered")
    sums = read_sums(data, str(location))
    if unlisted := [name for name in OPTIONAL if name in listed and name not in sums]:
        raise PackageError(f"'{location / unlisted[0]}' is not listed in {SUMS}: remove it, or take the whole package")
    # SHA256SUMS is the last that is written, so that what was cut off is no package.
    return Manifest(hashes={**sums, SUMS: found}, most_bytes=MAX_PACKAGE_BYTES, damage=PackageError)
