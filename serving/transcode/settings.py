"""What is done to each file, and what comes out of it; as text it stands in the manifest, and another redoes all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from codec.audio import AUDIO_SUFFIXES

CONTAINER_SUFFIX = ".nac"
Sink = Literal["tree", "containers", "tokens"]
# Decoded audio keeps these; a lossy format would lose twice, so that `a.mp3.nac` becomes `a.mp3.wav`.
_LOSSLESS = frozenset({".wav", ".flac", ".aiff", ".aif", ".caf", ".w64", ".au"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """When decoding, what else there is has no meaning. `num_quantizers` None is all.

    `sink` says what outputs are: files of a tree, or records of shards with containers or tokens in them; `delay` gives
    tokens the delay pattern.
    """

    decode: bool = False
    num_quantizers: int | None = None
    denoise: bool = False
    sink: Sink = "tree"
    delay: bool = False

    def __str__(self) -> str:
        if self.decode:
            return "decode"
        text = f"encode num_quantizers={self.num_quantizers}" + (" denoise" if self.denoise else "")
        if self.sink == "tree":
            return text
        return f"{text} {self.sink}" + (" delay" if self.delay else "")

    def takes(self, name: str) -> bool:
        """Tell whether a file of that name is of the kind that is transcoded."""
        suffix = PurePosixPath(name).suffix.lower()
        return suffix == CONTAINER_SUFFIX if self.decode else suffix in AUDIO_SUFFIXES

    def output_name(self, name: str) -> str:
        """Return what the output of the file `name` is called, in a tree or as a record."""
        if not self.decode:
            return name + CONTAINER_SUFFIX
        stem = name[: -len(CONTAINER_SUFFIX)]
        return stem if PurePosixPath(stem).suffix.lower() in _LOSSLESS else f"{stem}.wav"
