"""Reading a bag: its structure and its tag files are checked at once, each payload file's checksum when it is used.

A bag is somebody else's: no name in it leads outside of it, links are refused, and nothing is fetched.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codec.errors import DataError
from serving.transcode.bags.checksums import file_checksum
from serving.transcode.bags.manifests import BagManifest, read_manifests
from serving.transcode.bags.names import PAYLOAD
from serving.transcode.bags.tags import DECLARATION, FETCH, INFO, check_declaration, read_tags, tag_text

_PREFIX = f"{PAYLOAD}/"


@dataclass(frozen=True, kw_only=True)
class PayloadFile:
    """A file of a bag's payload: its name below `data/`, and the checksum that the bag promises."""

    name: str
    path: Path
    size: int
    algorithm: str
    checksum: str

    def check(self) -> None:
        """Check the file's content.

        Raises:
            DataError: It is not what the bag's manifest says, or can't be read.
        """
        try:
            found = file_checksum(self.path, self.algorithm)
        except OSError as error:
            raise DataError(f"'{self.name}' of the bag can't be read: {error.strerror}") from None
        if not hmac.compare_digest(found, self.checksum):
            raise DataError(f"'{self.name}' of the bag is altered: it fails its {self.algorithm} checksum")


@dataclass(frozen=True, kw_only=True)
class Bag:
    """A complete bag; `payload` has checksums by name within the bag, `info` the fields of `bag-info.txt`."""

    folder: Path
    info: list[tuple[str, str]]
    payload: BagManifest

    def files(self) -> Iterator[PayloadFile]:
        """Yield the files of the payload, sorted by name."""
        for name in sorted(self.payload.checksums):
            path = self.folder / name
            yield PayloadFile(
                name=name.removeprefix(_PREFIX),
                path=path,
                size=path.stat().st_size,
                algorithm=self.payload.algorithm,
                checksum=self.payload.checksums[name].hex(),
            )


def is_bag(folder: Path) -> bool:
    """Say whether a folder is meant to be a bag."""
    return (folder / DECLARATION).is_file()


def read_bag(folder: Path) -> Bag:
    """Return the bag in `folder`; its payload is all there, but what it holds is not checked yet.

    Raises:
        DataError: It is no bag or damaged, lacks files or has more than it lists, names files outside of it, or would
            have files fetched.
    """
    if not is_bag(folder):
        raise DataError(f"'{folder}' is no bag: it has no {DECLARATION}")
    check_declaration(folder / DECLARATION)
    if (folder / FETCH).exists() and tag_text(folder / FETCH).strip():
        raise DataError(f"the bag '{folder}' has a {FETCH}: fetch the files that it lists, as none are fetched here")
    manifests = read_manifests(folder, tags=False)
    if not manifests:
        raise DataError(f"the bag '{folder}' has no manifest of its payload")
    for manifest in read_manifests(folder, tags=True)[:1]:
        _check_tags(folder, manifest)
    _check_complete(folder, manifests)
    info = read_tags(folder / INFO) if (folder / INFO).exists() else []
    _check_sum(folder, info, manifests[0])
    return Bag(folder=folder, info=info, payload=manifests[0])


def check_bag(folder: Path) -> Bag:
    """Read a bag as `read_bag` does, and check what all of its payload holds.

    Raises:
        DataError: As `read_bag`, or a file is altered.
    """
    bag = read_bag(folder)
    for file in bag.files():
        file.check()
    return bag


def _check_tags(folder: Path, manifest: BagManifest) -> None:
    for name, checksum in manifest.checksums.items():
        path = folder / name
        _regular_size(path, name)
        if file_checksum(path, manifest.algorithm) != checksum.hex():
            raise DataError(f"'{name}' of the bag '{folder}' is altered: it fails its checksum in {manifest.name}")


def _check_complete(folder: Path, manifests: list[BagManifest]) -> None:
    """Check that each manifest lists the payload, no more and no less."""
    there = set(_payload_names(folder))
    for manifest in manifests:
        listed = manifest.checksums.keys()
        if missing := listed - there:
            raise DataError(f"the bag '{folder}' lacks '{min(missing)}', which its {manifest.name} lists")
        if extra := there - listed:
            raise DataError(f"the bag '{folder}' has '{min(extra)}', which its {manifest.name} doesn't list")


def _payload_names(folder: Path) -> Iterator[str]:
    """Yield the names, within the bag, of the files under `data`."""

    def stop(error: OSError) -> None:
        raise DataError(f"can't list '{error.filename}' of the bag: {error.strerror}")

    root = os.fspath(folder)
    for place, folders, files in os.walk(folder / PAYLOAD, onerror=stop):
        below = os.path.relpath(place, root)
        for name in folders:
            if Path(place, name).is_symlink():
                raise DataError(f"'{below}/{name}' of the bag is a link: put the files themselves into the bag")
        for name in files:
            _regular_size(Path(place, name), f"{below}/{name}")
            yield f"{below}/{name}"


def _regular_size(path: Path, name: str) -> int:
    try:
        state = path.lstat()
    except OSError as error:
        raise DataError(f"can't read '{name}' of the bag: {error.strerror}") from None
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"'{name}' of the bag is a link, folder or device: put the file itself into the bag")
    return state.st_size


def _check_sum(folder: Path, info: list[tuple[str, str]], manifest: BagManifest) -> None:
    """Check the payload's size and number of files, if the bag states them."""
    for label, value in info:
        if label.lower() == "payload-oxum":
            octets = sum((folder / name).stat().st_size for name in manifest.checksums)
            if value != f"{octets}.{len(manifest.checksums)}":
                found = f"{octets}.{len(manifest.checksums)}"
                raise DataError(f"the bag '{folder}' states a Payload-Oxum of '{value}', but has {found}")
