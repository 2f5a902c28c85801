"""Code audio as it comes: codes of a hop as soon as the hop is whole, its audio as soon as the next frame is there.

What has been heard is held in the stream, never in the model, so any number of streams and whole files share one model
at the same time. The codes are the whole file's, bit for bit (codec/rows.py); the audio is within 1e-5 of it.

Axes: audio [B, C, T]; latents, quantized [B, D, L]; codes [B, K, L].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from codec.checks import check
from codec.errors import CapabilityError
from codec.rows import pad_items, steady_items

if TYPE_CHECKING:
    from codec.model import Codec


@runtime_checkable
class StreamingModule(Protocol):
    """An encoder or decoder that can go on where it stopped; each has its own, immutable kind of state."""

    @property
    def can_stream(self) -> bool:
        """Whether it was built causal."""

    def start(self, batch_size: int) -> Any:
        """Return the state before anything was heard."""

    def extend(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map what follows: whole hops [B, C, L * hop] to latents, or latents to the audio now final."""


@runtime_checkable
class StreamingDecoder(StreamingModule, Protocol):
    """A decoder, whose last transforms still hold audio when nothing follows."""

    def flush(self, state: Any) -> Tensor:
        """Return the audio [B, C, rest] that still waited for the next frame."""


class Stream:
    """One conversation with a codec: `batch_size` items side by side. Made by `Codec.streaming`."""

    def __init__(self, codec: Codec, batch_size: int, num_quantizers: int) -> None:
        check(batch_size >= 1, "batch_size", batch_size, "at least 1")
        self._codec = codec
        self._encoder, self._decoder = _modules(codec)
        self._batch_size = batch_size
        self._num_quantizers = num_quantizers
        self._open = True
        self._pending = self._nothing()
        self._encoder_state = self._encoder.start(batch_size)
        self._decoder_state = self._decoder.start(batch_size)

    @torch.inference_mode()
    def encode(self, audio: Tensor) -> Tensor:
        """Take audio [B, C, any length], and return the codes [B, K, L] of the hops that it made whole; L may be 0.

        Raises:
            ValueError: It has another shape, or the stream is closed.
        """
        shape = (self._batch_size, self._codec.config.channels)
        self._check(audio, shape, "audio")
        audio = torch.cat([self._pending, audio], dim=-1)
        whole = audio.shape[-1] - audio.shape[-1] % self._codec.config.hop_length
        self._pending = audio[..., whole:]
        return self._encode_hops(audio[..., :whole])

    @torch.inference_mode()
    def finish_encoding(self) -> Tensor:
        """Return the codes [B, K, 0 or 1] of the last hop, filled up with zeros, and begin anew.

        Raises:
            ValueError: The stream is closed.
        """
        self._check_open()
        missing = -self._pending.shape[-1] % self._codec.config.hop_length
        codes = self._encode_hops(F.pad(self._pending, (0, missing)))
        self._pending = self._nothing()
        self._encoder_state = self._encoder.start(self._batch_size)
        return codes

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Take codes [B, K, any L], and return the audio [B, C, T] that they make final; T may be 0.

        Raises:
            ValueError: They have another batch size, or the stream is closed.
        """
        self._check(codes, (self._batch_size, codes.shape[1]), "codes")
        if codes.shape[-1] == 0:
            return self._nothing()
        quantized = self._codec.quantizer.decode(codes)
        audio, self._decoder_state = self._decoder.extend(quantized, self._decoder_state)
        return audio.clamp(-1, 1)

    @torch.inference_mode()
    def finish_decoding(self) -> Tensor:
        """Return the audio [B, C, T] that still waited for a next frame, and begin anew.

        All audio together is `L * hop_length` samples; who knows the true length cuts the last hop.

        Raises:
            ValueError: The stream is closed.
        """
        self._check_open()
        audio = self._decoder.flush(self._decoder_state).clamp(-1, 1)
        self._decoder_state = self._decoder.start(self._batch_size)
        return audio

    def close(self) -> None:
        """Let go of what was heard; the stream takes nothing more."""
        self._open = False
        self._pending, self._encoder_state, self._decoder_state = self._nothing(), None, None

    def _encode_hops(self, audio: Tensor) -> Tensor:
        """Encode whole hops [B, C, L * hop]."""
        frames = audio.shape[-1] // self._codec.config.hop_length
        if frames == 0:
            return torch.zeros(self._batch_size, self._num_quantizers, 0, dtype=torch.long, device=audio.device)
        latents, self._encoder_state = self._encoder.extend(audio, self._encoder_state)
        latents = pad_items(latents, steady_items(self._batch_size, frames))
        return self._codec.quantizer.encode(latents, self._num_quantizers)[: self._batch_size]

    def _nothing(self) -> Tensor:
        """Return audio [B, C, 0]."""
        device = next(self._codec.parameters()).device
        return torch.zeros(self._batch_size, self._codec.config.channels, 0, device=device)

    def _check(self, tensor: Tensor, shape: tuple[int, int], name: str) -> None:
        self._check_open()
        check(tensor.dim() == 3 and tensor.shape[:2] == shape, f"{name}.shape", tuple(tensor.shape), f"{shape} and any")

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError("the stream is closed: use it within its 'with' block")


def _modules(codec: Codec) -> tuple[StreamingModule, StreamingDecoder]:
    encoder: object = codec.encoder
    decoder: object = codec.decoder
    if isinstance(encoder, StreamingModule) and isinstance(decoder, StreamingDecoder):  # noqa: SIM102  # narrows first
        if encoder.can_stream and decoder.can_stream:
            return encoder, decoder
    raise CapabilityError(f"'{codec.config.name}' can't stream: only causal codecs can")
