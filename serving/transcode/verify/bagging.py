"""A finished transcode as others check it: lists of checksums, or a BagIt bag."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from codec.errors import DataError, NacreError
from codec.locking import locked
from serving.transcode.bags.checksums import OUTPUT_SUMS, SOURCE_SUMS, write_sums
from serving.transcode.bags.read import is_bag
from serving.transcode.bags.write import payload_folder, write_bag
from serving.transcode.digest import content_sha256
from serving.transcode.home import state_folder
from serving.transcode.manifest import MANIFEST, Record, read_manifest
from serving.transcode.place import LocalPlace, Place, open_file, open_place


def finished_target(target: str) -> str:
    """Return where the outputs of a finished transcode lie: in DST, or in the payload of the bag that it is.

    Raises:
        DataError: There is no transcode.
        NacreError: It is at work, or was not finished.
    """
    place = open_place(target)
    if isinstance(place, LocalPlace):
        if not place.root.is_dir():
            raise DataError(f"there is no folder '{target}'")
        with _held(place.root):
            payload = payload_folder(place.root)
        if payload != place.root:
            target, place = str(payload), LocalPlace(payload)
    _check_finished(target, place)
    return target


def bag_transcode(target: Path) -> None:
    """Make the folder of a finished transcode a bag, in place, or bring the bag that it is up to date.

    Raises:
        DataError: There is no transcode, or its manifest is damaged.
        NacreError: It is at work, was not finished or was altered since, or can't be made a bag.
    """
    if not target.is_dir():
        raise DataError(f"there is no folder '{target}'")
    with _held(target):
        payload = payload_folder(target)
        place = open_place(str(payload))
        _check_finished(str(payload), place)
        models = sorted({record.fingerprint for record in _records(place)})
        settings = sorted({record.repaired or record.settings for record in _records(place)})
        write_bag(
            target,
            sources=lambda payload: _source_sums(LocalPlace(payload)),
            outputs=lambda payload: _tree_sums(LocalPlace(payload)),
            info={"Nacre-Model-Fingerprint": ", ".join(models), "Nacre-Settings": ", ".join(settings)},
        )


def refresh(target: str) -> None:
    """Bring up to date the bag that a finished transcode is, or the lists of checksums that it has.

    Raises:
        NacreError: As `bag_transcode` and `write_checksums`.
    """
    place = open_place(target)
    if isinstance(place, LocalPlace) and is_bag(place.root):
        bag_transcode(place.root)
    elif place.size(SOURCE_SUMS) is not None or place.size(OUTPUT_SUMS) is not None:
        write_checksums(target)


def write_checksums(target: str) -> None:
    """Write DST/source-sha256.txt and DST/output-sha256.txt, lists of checksums for `sha256sum -c`.

    Those of a tree are what the manifest says; of shards, which the manifest knows only in pieces, they are taken now.

    Raises:
        DataError: There is no transcode, its manifest is damaged, or a shard can't be read.
        NacreError: It is at work or was not finished, or a list can't be written.
    """
    payload = finished_target(target)
    if payload != target:
        raise NacreError(
            f"'{target}' is a bag, which has lists of its own: 'nacre transcode bag' brings them up to date"
        )
    place = open_place(target)
    try:
        with tempfile.TemporaryDirectory(prefix="nacre-checksums-") as scratch:
            with place.writing(SOURCE_SUMS, Path(scratch)) as path:
                write_sums(path, _source_sums(place))
            with place.writing(OUTPUT_SUMS, Path(scratch)) as path:
                write_sums(path, sorted([*_tree_sums(place), *_shard_sums(place)]))
    except OSError as error:
        raise NacreError(f"can't write lists of checksums to '{target}': {error.strerror or error}") from None


def _held(root: Path) -> AbstractContextManager[None]:
    return locked(root, NacreError(f"another run is writing to '{root}': wait for its end"))


def _check_finished(target: str, place: Place) -> None:
    if state_folder(target, place).exists():
        raise NacreError(f"the transcode in '{target}' has not finished: run it again")
    if place.size(MANIFEST) is None:
        raise DataError(f"'{target}' has no {MANIFEST}: it is not what 'nacre transcode' made")


def _records(place: Place) -> Iterator[Record]:
    with open_file(place.locate(MANIFEST)) as file:
        yield from read_manifest(file, place.locate(MANIFEST))


def _source_sums(place: Place) -> Iterator[tuple[str, str]]:
    for record in _records(place):
        if record.status == "done" and record.source_sha256 is not None:
            yield record.source, record.source_sha256


def _tree_sums(place: Place) -> Iterator[tuple[str, str]]:
    for record in _records(place):
        done = record.status == "done" and record.shard is None
        if done and record.output is not None and record.output_sha256 is not None:
            yield record.output, record.output_sha256


def _shard_sums(place: Place) -> Iterator[tuple[str, str]]:
    for shard in sorted({record.shard for record in _records(place) if record.shard is not None}):
        with open_file(place.locate(shard)) as file:
            yield shard, content_sha256(file)
