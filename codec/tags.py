"""Tags of an audio file: title, artist and whatever else it says of itself, read and written.

`tinytag` reads them (MIT, pure Python, no dependencies: ID3, Vorbis comments, RIFF INFO, AIFF, MP4, ASF). `mutagen`
reads more kinds and writes too, but is GPL-2. Where `tinytag` gives up, as on caf, RF64 or a file made to exhaust it,
libsndfile's ten fields are read instead; those are also what can be written. Names are those of Vorbis comments in
small letters (`title`, `albumartist`, `tracknumber`). Pictures are left out.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import soundfile
from tinytag import TinyTag, TinyTagException

from codec.audio import Source
from codec.shielded import Shielded

Tags = dict[str, tuple[str, ...]]

MAX_NAME = 64
MAX_VALUE = 8192
# Of the text as JSON, which leaves room for the other metadata.
MAX_TAGS_BYTES = 48 << 10
# What may be read of a file in search of tags, and the runs of zeros in that: each value takes one at least, and
# tinytag compares each with all others of its name.
MAX_READ_BYTES = 1 << 17
MAX_ZERO_RUNS = 1 << 12

_ZEROS = re.compile(rb"\0+")
# The head of an ID3 frame of timed lyrics; tinytag looks for the end of each line in all the lines that follow.
_TIMED_LYRICS = re.compile(rb"SYLT\0[\0-\x0f]|SLT[\0-\3]")
_NAMES = {
    "year": "date",
    "track": "tracknumber",
    "track_total": "tracktotal",
    "disc": "discnumber",
    "disc_total": "disctotal",
    "isft": "software",
}
# libsndfile's mp3 tags are Latin-1 alone, and the formats that are missing here have none.
_WRITABLE_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "AIFF", "CAF"})
_WRITABLE = ("title", "artist", "album", "date", "tracknumber", "genre", "comment", "copyright", "license")


def read_tags(source: Source) -> Tags:
    """Return a file's tags by name, in order; none if it has none that can be read.

    A value of more than 8192 characters is left out, and so is what would make them more than 48 KiB.
    """
    with opened(source) as file:
        try:
            found = TinyTag.get(file_obj=cast(BinaryIO, _Bounded(file)), duration=False).as_dict()
        except (TinyTagException, OSError):
            found = dict(_read_strings(file))
        return _limit((name, value) for name, value in found.items() if isinstance(value, list))


def write_tags(file: soundfile.SoundFile, tags: Mapping[str, tuple[str, ...]]) -> None:
    """Give a file that is being written, and holds no audio yet, those of the tags that libsndfile can write."""
    if file.format not in _WRITABLE_FORMATS:
        return
    for name in _WRITABLE:
        text = "; ".join(tags.get(name, ())).replace("\0", " ")
        if text:
            with contextlib.suppress(soundfile.LibsndfileError):  # not every format has every field
                setattr(file, name, text)


@contextlib.contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open a file, or take one in memory from its beginning and leave it there."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
        return
    source.seek(0)
    yield source
    source.seek(0)


def open_sound(file: BinaryIO) -> soundfile.SoundFile:
    """Open a file that may be damaged with libsndfile, which leaves it open at the end."""
    return soundfile.SoundFile(Shielded(file))


class _Bounded:
    """A file of which little is read, whatever it claims; each read counts, so that no loop goes on for ever."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._bytes_left = MAX_READ_BYTES
        self._runs_left = MAX_ZERO_RUNS
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int) -> bytes:
        data = self._file.read(min(count, max(0, self._bytes_left)))
        self._bytes_left -= max(1, len(data))
        self._runs_left -= len(_ZEROS.findall(data))
        if self._bytes_left < 0 or self._runs_left < 0 or _TIMED_LYRICS.search(data):
            raise TinyTagException("this takes more time than tags are worth")
        return data


def _read_strings(file: BinaryIO) -> Iterator[tuple[str, list[str]]]:
    file.seek(0)
    with contextlib.suppress(soundfile.LibsndfileError, OSError, TypeError), open_sound(file) as sound:
        yield from ((name, [value]) for name, value in sound.copy_metadata().items())


def _limit(found: Iterable[tuple[str, list[str]]]) -> Tags:
    """Return them in order of their names, each value once, without what is too long."""
    tags: dict[str, dict[str, None]] = {}
    for field, values in found:
        name = _NAMES.get(field, field).strip().lower()
        parts = (part.strip() for value in values for part in value.split("\0"))
        kept = {part: None for part in parts if part and len(part) <= MAX_VALUE}
        if kept and name.isprintable() and 1 <= len(name) <= MAX_NAME:
            tags[name] = tags.get(name, {}) | kept
    limited, room = {}, MAX_TAGS_BYTES
    for name in sorted(tags):
        size = len(json.dumps({name: list(tags[name])}, ensure_ascii=False).encode())
        if size <= room:
            limited[name], room = tuple(tags[name]), room - size
    return limited
