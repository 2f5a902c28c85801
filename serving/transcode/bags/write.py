"""Making a folder a bag, in place: what it holds moves into `data/`, by renaming, and nothing is copied.

    bagit.txt                declares a bag
    bag-info.txt             what is in it, and what made it
    manifest-sha256.txt      checksums of data/
    source-sha256.txt        checksums of what was transcoded
    tagmanifest-sha256.txt   checksums of the files above
    data/                    what the folder held

All this comes about in a folder `.nacre-bag` within, whose `bagit.txt` is written last and leaves it last. So a bag
that was left half made tells how far it was: with a `bagit.txt` there it is finished, without one it is undone.
The same folder gives the same bag, byte for byte, as only SOURCE_DATE_EPOCH dates it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from codec.errors import NacreError
from codec.files import TEMPORARY_PREFIX, sync_directory, write_bytes
from serving.transcode.bags.checksums import SOURCE_SUMS, file_checksum, write_lines, write_sums
from serving.transcode.bags.names import PAYLOAD, percent_encoded
from serving.transcode.bags.read import is_bag
from serving.transcode.bags.tags import DECLARATION, INFO, tag_lines

STAGE = ".nacre-bag"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"

# Names and checksums, which are asked for when the payload is where it stays: in the folder given.
Sums = Callable[[Path], Iterable[tuple[str, str]]]


def _no_sums(payload: Path) -> Iterable[tuple[str, str]]:
    return ()


def payload_folder(folder: Path) -> Path:
    """Return where the payload of a folder lies: in a bag's `data`, else in itself. Call it before working there.

    A bag that was left half made is finished or undone first; so nobody else may be at work in the folder.
    """
    if (folder / STAGE).is_dir():
        _settle(folder)
    return folder / PAYLOAD if is_bag(folder) else folder


def write_bag(
    folder: Path,
    *,
    sources: Sums = _no_sums,
    outputs: Sums = _no_sums,
    info: Mapping[str, str] | None = None,
) -> None:
    """Make `folder` a bag, or bring the bag that it is up to date with its payload; killed anywhere, call it again.

    Args:
        folder: The folder; nobody else may be at work in it.
        sources: Gives names and sha256 of what was transcoded, sorted.
        outputs: Gives names within the payload, and the sha256 that these of its files must have.
        info: Further labels and values for `bag-info.txt`.

    Raises:
        NacreError: A file is not what `outputs` says, is no regular file, has a name that is no text, or can't be read.
    """
    try:
        if payload_folder(folder) != folder:
            _write_tags(folder, folder / PAYLOAD, sources, outputs, info or {})
            return
        stage = folder / STAGE
        (stage / PAYLOAD).mkdir(parents=True)
        _move_all(folder, stage / PAYLOAD, but=STAGE)
        try:
            _write_tags(stage, stage / PAYLOAD, sources, outputs, info or {})
        except BaseException:
            with contextlib.suppress(OSError):
                _settle(folder)
            raise
        _settle(folder)
    except OSError as error:
        raise NacreError(f"can't make '{folder}' a bag: {error.strerror}; run again to go on") from None


def _settle(folder: Path) -> None:
    """Finish the bag that was begun, or undo it."""
    stage = folder / STAGE
    if (stage / DECLARATION).exists():
        _move_all(stage, folder, last=DECLARATION)
    else:
        for path in stage.iterdir():
            if path.name != PAYLOAD:
                path.unlink()
        if (stage / PAYLOAD).exists():
            _move_all(stage / PAYLOAD, folder)
            (stage / PAYLOAD).rmdir()
    stage.rmdir()
    sync_directory(folder)


def _move_all(source: Path, target: Path, *, but: str = "", last: str = "") -> None:
    """Move a folder's entries into another; what has the name `last` goes last."""
    for path in sorted(source.iterdir(), key=lambda path: (path.name == last, path.name)):
        if path.name == last:
            sync_directory(target)
        if path.name != but:
            path.rename(target / path.name)
    sync_directory(target)
    sync_directory(source)


def _write_tags(
    folder: Path,
    payload: Path,
    sources: Sums,
    outputs: Sums,
    info: Mapping[str, str],
) -> None:
    for left in folder.glob(f"{TEMPORARY_PREFIX}*"):
        left.unlink()
    fingerprint = write_sums(folder / SOURCE_SUMS, sources(payload))
    measured = _Measured(payload, dict(outputs(payload)))
    write_lines(folder / MANIFEST, measured.lines())
    fields = {
        "Bag-Software-Agent": f"nacre {importlib.metadata.version('nacre')}",
        **_date(),
        "Payload-Oxum": f"{measured.num_bytes}.{measured.num_files}",
        "Nacre-Source-SHA256": fingerprint,
        **info,
    }
    write_bytes(folder / INFO, tag_lines(fields.items()))
    declaration = tag_lines([("BagIt-Version", "1.0"), ("Tag-File-Character-Encoding", "UTF-8")])
    sums = {name: file_checksum(folder / name) for name in (INFO, MANIFEST, SOURCE_SUMS)}
    sums[DECLARATION] = hashlib.sha256(declaration).hexdigest()
    write_lines(folder / TAG_MANIFEST, (f"{sums[name]}  {name}\n" for name in sorted(sums)))
    write_bytes(folder / DECLARATION, declaration)


def _date() -> dict[str, str]:
    """Return when the bag was made, if anybody says."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return {}
    try:
        return {"Bagging-Date": datetime.fromtimestamp(int(epoch), UTC).date().isoformat()}
    except (ValueError, OverflowError, OSError):
        raise NacreError(f"SOURCE_DATE_EPOCH is '{epoch}': give seconds since 1970, or unset it") from None


class _Measured:
    """The lines of a payload's manifest; while they are taken, its files and bytes are counted."""

    def __init__(self, payload: Path, expected: dict[str, str]) -> None:
        self.num_files = self.num_bytes = 0
        self._payload, self._expected = payload, expected

    def lines(self) -> Iterator[str]:
        names = sorted(_file_names(self._payload))
        if missing := self._expected.keys() - set(names):
            raise NacreError(f"'{min(missing)}' is not there any more: transcode again, then make the bag")
        for name in names:
            checksum = file_checksum(self._payload / name)
            if self._expected.get(name, checksum) != checksum:
                raise NacreError(f"'{name}' was altered since it was made: remove it, and transcode again")
            self.num_files += 1
            self.num_bytes += (self._payload / name).stat().st_size
            yield f"{checksum}  {percent_encoded(f'{PAYLOAD}/{name}')}\n"


def _file_names(payload: Path) -> Iterator[str]:
    """Yield the names of all files of a payload, relative to it."""

    def stop(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(payload, onerror=stop):
        for name in (*files, *(name for name in folders if Path(place, name).is_symlink())):
            path = Path(place, name)
            relative = path.relative_to(payload).as_posix()
            if not stat.S_ISREG(path.lstat().st_mode):
                raise NacreError(f"'{relative}' is a link or device, which a bag can't hold: move it away")
            if not _is_text(relative):
                shown = relative.encode("utf-8", "replace").decode()
                raise NacreError(f"the name '{shown}' is no UTF-8, which a bag's manifest needs: rename its source")
            yield relative


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
