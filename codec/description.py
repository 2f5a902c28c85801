"""What a container's metadata say of a source, read from the file itself before it is coded.

The same file gives the same metadata. Whatever can't be read is left out: it is for the coding to refuse the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import soundfile

from codec.audio import AV_SUFFIXES, Source
from codec.channel_layout import FLAC_MASK_TAG, flac_layout, layout_of_names, read_wav_layout
from codec.metadata import MAX_TIME, Metadata
from codec.tags import Tags, open_sound, opened, read_tags

# libsndfile's names of the formats whose layout stands in a chunk `fmt `.
_WAV = frozenset({"WAV", "WAVEX", "RF64"})
_MAX_NAME_BYTES = 8 << 10


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What a file's headers say."""

    sample_rate: int | None = None
    format: str | None = None
    subtype: str | None = None
    channel_layout: str | None = None


def describe_source(
    source: Source, *, source_name: str | None = None, mtime_ns: int | None = None, source_sha256: str | None = None
) -> Metadata:
    """Return everything that is to be known of an audio file or a file in memory, and what only the caller knows.

    The checksum is computed, reading the file once, unless the caller has it. A name of more than 8 KiB, or a time out
    of range, is left out.
    """
    if source_sha256 is None:
        with opened(source) as file:
            source_sha256 = hashlib.file_digest(cast(io.BufferedIOBase, file), "sha256").hexdigest()
    tags = read_tags(source)
    facts = _read_facts(source, tags)
    return Metadata(
        tags=tags,
        source_name=None if source_name is None else _bounded_name(source_name),
        source_sha256=source_sha256,
        mtime_ns=mtime_ns if mtime_ns is not None and abs(mtime_ns) < MAX_TIME else None,
        sample_rate=facts.sample_rate,
        format=facts.format,
        subtype=facts.subtype,
        channel_layout=facts.channel_layout,
    )


def embedded_metadata(source: Source) -> Metadata | None:
    """Return only what the file is tagged with, and the layout of its channels; None if it says neither."""
    tags = read_tags(source)
    layout = _read_facts(source, tags).channel_layout
    return Metadata(tags=tags, channel_layout=layout) if tags or layout else None


def _bounded_name(name: str) -> str | None:
    """Return a name as UTF-8 can have it, or None if it is too long beside all the tags."""
    text = name.encode(errors="replace").decode()
    return text if len(json.dumps(text, ensure_ascii=False).encode()) <= _MAX_NAME_BYTES else None


def _read_facts(source: Source, tags: Tags) -> _Facts:
    with opened(source) as file:
        if not (isinstance(source, Path) and source.suffix.lower() in AV_SUFFIXES):
            with contextlib.suppress(soundfile.LibsndfileError, OSError, TypeError):
                return _read_soundfile(file, tags)
        file.seek(0)
        return _read_av(file)


def _read_soundfile(file: BinaryIO, tags: Tags) -> _Facts:
    with open_sound(file) as sound:
        rate, channels, format, subtype = sound.samplerate, sound.channels, sound.format, sound.subtype
    layout = None
    file.seek(0)
    if format in _WAV:
        layout = read_wav_layout(file)
    elif format == "FLAC":
        layout = flac_layout(channels, tags.get(FLAC_MASK_TAG, (None,))[0])
    return _Facts(sample_rate=rate, format=format.lower(), subtype=subtype.lower(), channel_layout=layout)


def _read_av(file: BinaryIO) -> _Facts:
    try:
        import av
    except ImportError:
        return _Facts()
    # A stream of a codec that ffmpeg doesn't know has no rate: AttributeError.
    faults = (av.FFmpegError, EOFError, ValueError, IndexError, OSError, AttributeError)
    with contextlib.suppress(*faults), av.open(file, "r") as container:
        if container.streams.audio:
            stream = container.streams.audio[0]
            return _Facts(
                sample_rate=stream.rate,
                format=container.format.name,
                subtype=stream.codec_context.name,
                channel_layout=layout_of_names([channel.name for channel in stream.layout.channels]),
            )
    return _Facts()
