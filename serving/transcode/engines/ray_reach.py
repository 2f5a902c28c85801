"""What every node of a cluster has to reach: the source, and the very folder that outputs go to."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from codec.errors import DataError, NacreError
from serving.transcode.entry import Entry
from serving.transcode.place import LocalPlace, open_file, open_place
from serving.transcode.sources.folder import STATE_FOLDER
from serving.transcode.work import Job


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a node must see: a file of the target, and in it what lies nowhere else. A URL is the same everywhere."""

    name: str
    mark: bytes


@contextmanager
def open_reach(job: Job) -> Iterator[Reach]:
    """Put a mark into the target for as long as nodes may have to show that they see it.

    Raises:
        NacreError: It can't be written.
    """
    place, mark = open_place(job.target), secrets.token_bytes(16)
    reach = Reach(name=f"{STATE_FOLDER}/seen-{mark.hex()}", mark=mark)
    if not isinstance(place, LocalPlace):
        yield reach
        return
    try:
        with place.writing(reach.name, job.scratch) as path:
            path.write_bytes(mark)
    except OSError as error:
        raise NacreError(f"can't write to '{job.target}': {error.strerror}") from None
    try:
        yield reach
    finally:
        place.remove(reach.name)


def check_target(job: Job, reach: Reach) -> None:
    """Check from a node that outputs go where they should.

    Raises:
        NacreError: They don't, or the target can't be read.
    """
    place = open_place(job.target)
    if not isinstance(place, LocalPlace):
        place.size(reach.name)  # whether it is there or not, the answer shows that the place can be asked
        return
    try:
        seen = place.read(reach.name)
    except OSError:
        seen = b""
    if seen != reach.mark:
        raise DataError(f"'{job.target}' is not the same folder there: name one that all nodes share, or a URL")


def check_source(entry: Entry) -> None:
    """Check from a node that it can read what an entry lies in, as others can.

    Raises:
        DataError: It can't.
    """
    problem = why_unread(entry)
    if problem is not None:
        raise DataError(f"{problem}, while others can: name a source that all nodes share at the same path, or a URL")


def why_unread(entry: Entry) -> str | None:
    """Say why the file in which an entry lies can't be read here; None if it can."""
    try:
        with open_file(entry.locator.url) as file:
            file.read(1)
    except OSError as error:
        return f"'{entry.locator.url}' can't be read: {error.strerror}"
    except NacreError as error:
        return str(error)
    return None
