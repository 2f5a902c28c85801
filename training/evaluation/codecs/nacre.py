"""Our own codec, by the path that everybody takes: audio to a container and back, resampling and packing included.

Time is this process's processor time, of all its threads: whoever compares it sets torch to one. A package is loaded
once in each process, and its loading is not timed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from codec.audio import Audio
from codec.compress import compress, decompress
from codec.errors import CapabilityError
from codec.weights import LoadedPackage, load_package
from training.evaluation.codecs.base import Coded

# Models that stay in memory: a candidate, and what it is compared with.
LOADED = 2


@dataclass(frozen=True, kw_only=True)
class NacrePoint:
    """A package at a nominal bitrate, that of one of its streams: stereo by a mono codec takes two.

    `name` is what reports call it, as 'speech:3'; `content_hash` is `Package.content_hash`, and tells one package from
    another wherever they lie.
    """

    name: str
    directory: Path = field(repr=False)
    content_hash: str
    bitrate_kbps: float

    @property
    def codec(self) -> str:
        """Return the model's name."""
        return self.name

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`.

        Raises:
            BitrateError: The model has no such bitrate.
            PackageError: The package is damaged.
        """
        model = _model(self.directory, self.content_hash)
        channels = model.package.config.channels
        if audio.channels % channels:
            raise CapabilityError(f"{self.name} codes {channels} channels at a time, and the clip has {audio.channels}")
        started = time.process_time()
        container = compress(model, audio, bitrate_kbps=self.bitrate_kbps)
        encoded = time.process_time()
        reconstruction = decompress(model, container)
        finished = time.process_time()
        return Coded(
            num_bytes=len(container),
            reconstruction=reconstruction,
            encode_s=encoded - started,
            decode_s=finished - encoded,
        )


@lru_cache(maxsize=LOADED)
def _model(directory: Path, content_hash: str) -> LoadedPackage:
    """Return the package of a directory; the hash makes one that was replaced load again."""
    return load_package(directory)
