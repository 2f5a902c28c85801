"""Code audio as it comes: each hop's codes, and its audio, as soon as nothing that follows can change them.

In `nacre` that is when the hop is whole, and when the frame after it is there. In `seanet` it is when the hop is whole
and when its frame is there, but for the start: padding by reflection (EnCodec's) puts what follows before the start.
So the first codes wait for `latent_kernel_size` hops, the first audio for `kernel_size` frames, and both then catch up.

What has been heard is held in the stream, never in the model, so any number of streams and whole files share one model
at the same time. The codes are the whole file's, bit for bit (codec/rows.py); the audio is within 1e-5 of it.

Axes: audio [B, C, T]; latents, quantized [B, D, L]; codes [B, K, L].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from codec.checks import check
from codec.errors import CapabilityError
from codec.rows import pad_items, steady_items

if TYPE_CHECKING:
    from codec.model import Codec


@runtime_checkable
class StreamingEncoder(Protocol):
    """An encoder that can go on where it stopped; each family has its own, immutable kind of state."""

    @property
    def can_stream(self) -> bool:
        """Whether it was built causal."""

    def start(self, batch_size: int, /, *conditions: Tensor) -> Any:
        """Return the state before anything was heard, under the conditions that `forward` takes as well."""

    def extend(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map the whole hops [B, C, L * hop] that follow to the latents [B, D, L'] now final."""

    def flush(self, rest: Tensor, state: Any) -> Tensor:
        """Return the latents [B, D, L] of what is left when only `rest` [B, C, less than a hop] follows."""


@runtime_checkable
class StreamingDecoder(Protocol):
    """A decoder that can go on where it stopped."""

    @property
    def can_stream(self) -> bool:
        """Whether it was built causal."""

    def start(self, batch_size: int) -> Any:
        """Return the state before the first frame."""

    def extend(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map the latents [B, D, L] that follow to the audio [B, C, T] now final."""

    def flush(self, state: Any) -> Tensor:
        """Return the audio [B, C, rest] that still waited for the next frame."""


class Stream:
    """One conversation with a codec: `batch_size` items side by side. Made by `Codec.streaming`."""

    def __init__(self, codec: Codec, batch_size: int, num_quantizers: int, *, denoise: bool) -> None:
        check(batch_size >= 1, "batch_size", batch_size, "at least 1")
        self._codec = codec
        self._encoder, self._decoder = _modules(codec)
        self._batch_size = batch_size
        self._num_quantizers = num_quantizers
        self._conditions = codec.conditions(batch_size, denoise)
        self._open = True
        self._pending = self._nothing()
        self._encoder_state = self._encoder.start(batch_size, *self._conditions)
        self._decoder_state = self._decoder.start(batch_size)

    @torch.inference_mode()
    def encode(self, audio: Tensor) -> Tensor:
        """Take audio [B, C, any length], and return the codes [B, K, L] that it made final; L may be 0.

        Raises:
            ValueError: It has another shape, or the stream is closed.
        """
        shape = (self._batch_size, self._codec.config.channels)
        self._check(audio, shape, "audio")
        audio = torch.cat([self._pending, audio], dim=-1)
        whole = audio.shape[-1] - audio.shape[-1] % self._codec.config.hop_length
        self._pending = audio[..., whole:]
        if whole == 0:
            return self._quantize(audio.new_zeros(self._batch_size, self._codec.config.latent_dim, 0))
        latents, self._encoder_state = self._encoder.extend(audio[..., :whole], self._encoder_state)
        return self._quantize(latents)

    @torch.inference_mode()
    def finish_encoding(self) -> Tensor:
        """Return the codes [B, K, L] that are left, those of a last hop that is not whole included, and begin anew.

        Raises:
            ValueError: The stream is closed.
        """
        self._check_open()
        latents = self._encoder.flush(self._pending, self._encoder_state)
        self._pending = self._nothing()
        self._encoder_state = self._encoder.start(self._batch_size, *self._conditions)
        return self._quantize(latents)

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

    def _quantize(self, latents: Tensor) -> Tensor:
        """Map latents [B, D, L], L may be 0, to codes [B, K, L]."""
        batch, _, frames = latents.shape
        if frames == 0:
            return torch.zeros(batch, self._num_quantizers, 0, dtype=torch.long, device=latents.device)
        latents = pad_items(latents, steady_items(batch, frames))
        return self._codec.quantizer.encode(latents, self._num_quantizers)[:batch]

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


def _modules(codec: Codec) -> tuple[StreamingEncoder, StreamingDecoder]:
    encoder: object = codec.encoder
    decoder: object = codec.decoder
    if isinstance(encoder, StreamingEncoder) and isinstance(decoder, StreamingDecoder):  # noqa: SIM102  # narrows first
        if encoder.can_stream and decoder.can_stream:
            return encoder, decoder
    raise CapabilityError(f"'{codec.config.name}' can't stream: only causal codecs can")
