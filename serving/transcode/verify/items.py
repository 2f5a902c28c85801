"""What goes to a process that checks: all that it needs to know, and each file in its turn; it can be pickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codec.audio import AudioLimits
from serving.transcode.entry import Entry
from serving.transcode.verify.finding import Floors


@dataclass(frozen=True, kw_only=True)
class CheckJob:
    """How to check; `package` is the model's directory."""

    package: Path
    floors: Floors
    limits: AudioLimits
    scratch: Path


@dataclass(frozen=True, kw_only=True)
class Item:
    """A source and its output, with the checksums that the manifest has of both.

    `output` is a file, or a piece of a shard that has it as `member`. With `decode` it is audio and the source a
    container.
    """

    source: Entry
    output: Entry
    member: str | None
    source_sha256: str
    output_sha256: str
    decode: bool
