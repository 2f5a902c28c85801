"""What a network's configuration says of its reach, so that audio can be coded in chunks."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class Context:
    """Frames that reach a frame from before it and from after it."""

    left: int
    right: int


@runtime_checkable
class Finite(Protocol):
    """A network configuration with finite receptive fields: exact in chunks."""

    def encoder_context(self, hop_length: int) -> Context:
        """Return the hops of audio around hop l that latents l depend on."""

    def decoder_context(self, hop_length: int) -> Context:
        """Return the frames around frame l that hop l of the audio depends on."""
