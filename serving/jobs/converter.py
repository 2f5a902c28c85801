"""What converts one file; runners know no more of codecs than this."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from serving.schemas import DecodeParameters, EncodeParameters

# Is told often what share of the file is done, from 0 to 1; what it raises ends the conversion, and must not be caught.
Progress = Callable[[float], None]


class Converter(Protocol):
    """Converts files, one at a time, in memory that doesn't grow with them.

    An error of codec/errors.py that says something of the file becomes the file's failure; any other is logged, and
    shown without details. `target` is a temporary name, which the caller puts in place when all went well.
    """

    def check(self, parameters: EncodeParameters | DecodeParameters) -> None:
        """Check what can be checked before there is a file.

        Raises:
            NacreError: No file can be converted so: there is no such model or bitrate.
        """
        ...

    def encode(self, source: Path, target: Path, parameters: EncodeParameters, progress: Progress) -> None:
        """Encode an audio file of whatever format.

        Raises:
            NacreError: It can't be encoded.
        """
        ...

    def decode(self, source: Path, target: Path, parameters: DecodeParameters, progress: Progress) -> None:
        """Decode a container to `parameters.format`.

        Raises:
            NacreError: It can't be decoded.
        """
        ...
