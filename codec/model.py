"""The codec: tensors in, tensors out. It knows nothing of bytes, files or training.

Axes: audio, reconstruction [B, C, T]; latents, quantized [B, D, L]; codes [B, K, L]; L = ceil(T / hop_length).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.errors import CapabilityError
from codec.factorized import FactorizedResidualVectorQuantizer
from codec.families import FAMILIES
from codec.item_groups import map_items
from codec.quantizer import ResidualVectorQuantizer
from codec.rows import pad_items, steady_items
from codec.segments import loudness
from codec.streaming import Stream


@dataclass(frozen=True)
class CodecOutput:
    """One training pass: `reconstruction` [B, C, T], `codes` [B, K, L] (none when quantization was bypassed)."""

    reconstruction: Tensor
    codes: Tensor | None
    commitment_loss: Tensor
    codebook_loss: Tensor


def build_quantizer(config: CodecConfig) -> ResidualVectorQuantizer | FactorizedResidualVectorQuantizer:
    """Build the quantizer of the configured kind; both have the same methods."""
    if config.quantizer.kind == "factorized":
        return FactorizedResidualVectorQuantizer(config.quantizer, config.latent_dim)
    return ResidualVectorQuantizer(config.quantizer, config.latent_dim)


class Codec(nn.Module):
    """Encoder, residual vector quantizer and decoder, built from a `CodecConfig` alone."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        family = FAMILIES[config.family]
        self.encoder = family.encoder(config)
        self.quantizer = build_quantizer(config)
        self.decoder = family.decoder(config)

    @torch.inference_mode()
    def encode(
        self,
        audio: Tensor,
        *,
        num_quantizers: int | None = None,
        bitrate_kbps: float | None = None,
        denoise: bool = False,
    ) -> Tensor:
        """Encode audio [B, C, T], T at least 1, to codes [B, K, L], int64; `denoise` leaves its noise out of them.

        Raises:
            BitrateError: Both were given, or the codec has no such number or bitrate.
            CapabilityError: The codec was not built to denoise, or codes in segments.
        """
        self._check_whole()
        stages = self.config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
        batch, items = len(audio), steady_items(len(audio), self.config.num_frames(audio.shape[-1]))
        if FAMILIES[self.config.family].needs_rows:
            audio = pad_items(audio, items)
            latents = self.encoder(audio, *self.conditions(len(audio), denoise))
        else:
            latents = map_items(self.encoder, audio.shape[-1], audio, *self.conditions(batch, denoise))
        return self.quantizer.encode(pad_items(latents, items), stages)[:batch]

    @torch.inference_mode()
    def decode(self, codes: Tensor, *, num_samples: int | None = None) -> Tensor:
        """Decode codes [B, K, L] to audio [B, C, num_samples], by default all `L * hop_length` samples.

        Raises:
            CapabilityError: The codec codes in segments.
        """
        self._check_whole()
        quantized = self.quantizer.decode(codes)
        reconstruction = map_items(self.decoder, codes.shape[-1] * self.config.hop_length, quantized)
        return reconstruction[..., :num_samples].clamp(-1, 1)

    @contextmanager
    def streaming(
        self,
        batch_size: int = 1,
        *,
        num_quantizers: int | None = None,
        bitrate_kbps: float | None = None,
        denoise: bool = False,
    ) -> Iterator[Stream]:
        """Open a stream that encodes and decodes `batch_size` items side by side, as they come.

        `denoise` holds for all that the stream encodes.

        Raises:
            BitrateError: Both choices were given, or the codec has no such number or bitrate.
            CapabilityError: The codec is not causal, or was not built to denoise.
        """
        stages = self.config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
        stream = Stream(self, batch_size, stages, denoise=denoise)
        try:
            yield stream
        finally:
            stream.close()

    def conditions(self, items: int, denoise: bool) -> tuple[Tensor, ...]:
        """Return what the encoder takes besides audio: for `denoise`, that all `items` [B] are to be denoised.

        Raises:
            CapabilityError: The codec was not built to denoise.
        """
        if not denoise:
            return ()
        self.config.check_denoising()
        return (torch.ones(items, dtype=torch.bool, device=next(self.parameters()).device),)

    def forward(self, audio: Tensor, num_quantizers: Tensor | None, denoise: Tensor | None = None) -> CodecOutput:
        """Reconstruct audio [B, C, T], item b through `num_quantizers[b]` stages; None bypasses the quantizer.

        `denoise` [B], bool, says which items to denoise, of a codec that can; None is none of them. To a codec that
        codes in segments, each item is one, whatever its length: the network sees it at equal loudness.
        """
        scale = self._scale(audio)
        latents = self.encoder(audio / scale) if denoise is None else self.encoder(audio / scale, denoise)
        if num_quantizers is None:
            codes, commitment, codebook = None, latents.new_zeros(()), latents.new_zeros(())
        else:
            result = self.quantizer(latents, num_quantizers)
            latents, codes = result.quantized, result.codes
            commitment, codebook = result.commitment_loss, result.codebook_loss
        reconstruction = self.decoder(latents)[..., : audio.shape[-1]] * scale
        return CodecOutput(
            reconstruction=reconstruction, codes=codes, commitment_loss=commitment, codebook_loss=codebook
        )

    @torch.no_grad()
    def initialize_network(self, audio: Tensor) -> None:
        """Fit what starts from data rather than chance to real audio [B, C, T]."""
        FAMILIES[self.config.family].start(self.encoder, self.decoder, audio)

    @torch.no_grad()
    def initialize_codebooks(self, audio: Tensor, seed: int = 0) -> None:
        """Set the codebooks by k-means on the latents of real audio [B, C, T]."""
        self.quantizer.initialize(self.encoder(audio / self._scale(audio)), seed)

    def _scale(self, audio: Tensor) -> Tensor | float:
        """Return what audio [B, C, T] is divided by before it is encoded."""
        return 1.0 if self.config.segments is None else loudness(audio)

    def _check_whole(self) -> None:
        if self.config.segments is not None:
            raise CapabilityError(
                f"'{self.config.name}' codes in segments: use codec.segments, which keeps their scales"
            )
