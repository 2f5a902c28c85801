"""Residual vector quantizer with EMA codebooks.

Sources: SoundStream (arXiv 2107.03312, section III.C); van den Oord et al. 2017, appendix A.1, for the moving averages;
SoundStream again for k-means initialisation and per-item quantizer dropout. Our deviations:
 - everything runs in fp32, under autocast too;
 - revival writes codebook, size and sum together (what EnCodec's reference revives is overwritten by the same step's
   average), and "dead" is relative to the mean use, not an absolute count;
 - one collective a step carries the statistics of all stages, and revived vectors are drawn from the joint batch, so
   that N ranks do what one rank does on the joint batch;
 - dropped stages are masked rather than skipped: every item feeds every codebook.

Axes: latents [B, D, L]; codes [B, K, L]; codebooks [K, V, D]; K stages, V entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import QuantizerConfig
from codec.distributed import sample_rows, sum_over_ranks, world_size
from codec.health import CodebookHealth, codebook_health, dead_entries
from codec.kmeans import kmeans, sums_by_index
from codec.laid_out import remembered
from codec.nearest import nearest, search_tables
from codec.pieces import map_pieces
from codec.steady import steady

KMEANS_ITERATIONS = 10
# A revived code gets this share of the mean use, so that it isn't dead again at once.
REVIVED_SHARE = 0.3
MIN_CLUSTER_SIZE = 1e-3


@dataclass(frozen=True)
class QuantizerOutput:
    """What one training pass through the quantizer gives.

    `quantized` [B, D, L] carries the straight-through gradient; `codes` [B, K, L]. The losses are scalars, means over
    active stages of the squared distance between a residual and its code: `commitment_loss` pulls the residual,
    `codebook_loss` the code. It is zero where codebooks learn by moving averages.
    """

    quantized: Tensor
    codes: Tensor
    commitment_loss: Tensor
    codebook_loss: Tensor


class ResidualVectorQuantizer(nn.Module):
    """K codebooks in a row, each coding what the ones before it left over."""

    # Buffers that only training needs; they restart with `reset_statistics`.
    training_only = ("cluster_sizes", "cluster_sums", "expiry_rate", "step")

    codebooks: Tensor
    cluster_sizes: Tensor
    cluster_sums: Tensor
    expiry_rate: Tensor
    initialized: Tensor
    step: Tensor

    def __init__(self, config: QuantizerConfig, dimension: int) -> None:
        super().__init__()
        self.config = config
        shape = (config.num_quantizers, config.codebook_size)
        self.register_buffer("codebooks", torch.zeros(*shape, dimension))
        self.register_buffer("cluster_sizes", torch.ones(*shape))
        self.register_buffer("cluster_sums", torch.zeros(*shape, dimension))
        self.register_buffer("expiry_rate", torch.zeros(config.num_quantizers))
        self.register_buffer("initialized", torch.zeros((), dtype=torch.bool))
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def initialize(self, latents: Tensor, seed: int = 0) -> None:
        """Set every codebook by k-means on its stage's residuals of `latents` [B, D, L].

        Give it many times `codebook_size` frames, the same on every rank.
        """
        residual = rows_of_latents(latents)
        generator = torch.Generator().manual_seed(seed)
        for stage in range(self.config.num_quantizers):
            codebook = kmeans(residual, self.config.codebook_size, iterations=KMEANS_ITERATIONS, generator=generator)
            self.codebooks[stage] = codebook
            residual = residual - codebook[nearest(residual, codebook)]
        self.reset_statistics()
        self.initialized.fill_(True)

    @torch.no_grad()
    def reset_statistics(self) -> None:
        """Restart the moving averages from the codebooks as they are, all entries equally used."""
        self.cluster_sizes.fill_(1.0)
        self.cluster_sums.copy_(self.codebooks)
        self.expiry_rate.zero_()

    def encode(self, latents: Tensor, num_quantizers: int) -> Tensor:
        """Map latents [B, D, L] to codes [B, num_quantizers, L], int64."""
        with torch.autocast(latents.device.type, enabled=False):
            batch, _, frames = latents.shape
            rows = rows_of_latents(latents)
            searches = self._searches(rows)[:num_quantizers]
            codes = map_pieces(partial(self._encode_rows, searches=searches), rows, self.config.codebook_size)
            return codes.view(batch, frames, num_quantizers).transpose(1, 2).contiguous()

    def _encode_rows(self, residual: Tensor, searches: list[Callable[[Tensor], Tensor]]) -> Tensor:
        """Map rows [N, D] to codes [N, K], a stage for each search."""
        codes = []
        for codebook, search in zip(self.codebooks, searches, strict=False):
            index = search(residual)
            residual = residual - codebook.index_select(0, index)
            codes.append(index)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes [B, K, L], K at most the configured number, to quantized [B, D, L]."""
        quantized = sum(F.embedding(codes[:, stage], self.codebooks[stage]) for stage in range(codes.shape[1]))
        assert isinstance(quantized, Tensor)
        return quantized.transpose(1, 2)

    def forward(self, latents: Tensor, num_quantizers: Tensor) -> QuantizerOutput:
        """Quantize latents [B, D, L], item b through its first `num_quantizers[b]` stages, and learn when training.

        `num_quantizers` [B] is int64. Codes hold all K stages, dropped ones included.
        """
        assert bool(self.initialized), "the codebooks are not initialised: call initialize() first"
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantize(latents.float(), num_quantizers)

    def _quantize(self, latents: Tensor, num_quantizers: Tensor) -> QuantizerOutput:
        batch, dimension, frames = latents.shape
        inputs = rows_of_latents(latents)
        residual = inputs
        quantized = torch.zeros_like(inputs)
        codes, losses, counts, sums = [], [], [], []
        searches = self._searches(inputs.detach())
        for stage, (codebook, search) in enumerate(zip(self.codebooks, searches, strict=True)):
            index = search(residual.detach())
            chosen = codebook[index]
            active = (num_quantizers > stage).to(latents.dtype)
            losses.append(active * (residual - chosen).square().view(batch, -1).mean(1))
            if self.training:
                count, total = sums_by_index(residual.detach(), index, self.config.codebook_size)
                counts.append(count)
                sums.append(total)
            quantized = quantized + chosen * active.repeat_interleave(frames)[:, None]
            residual = residual - chosen
            codes.append(index.view(batch, frames))
        if self.training:
            self._learn(torch.stack(counts), torch.stack(sums), inputs.detach())
        # The mean over the joint batch: its number of active stages, per rank.
        stages = num_quantizers.sum().to(latents.dtype)
        stages = sum_over_ranks(stages) / world_size() if self.training else stages
        straight_through = inputs + (quantized - inputs).detach()
        return QuantizerOutput(
            quantized=straight_through.view(batch, frames, dimension).transpose(1, 2),
            codes=torch.stack(codes, dim=1),
            commitment_loss=torch.stack(losses).sum() / stages,
            codebook_loss=latents.new_zeros(()),
        )

    def _searches(self, residual: Tensor) -> list[Callable[[Tensor], Tensor]]:
        """Return, by stage, what finds the nearest entries to residuals like this."""
        if steady(residual):
            return [table.nearest for table in remembered(self.codebooks, search_tables)]
        return [partial(nearest, codebook=codebook) for codebook in self.codebooks]

    @torch.no_grad()
    def _learn(self, counts: Tensor, sums: Tensor, latents: Tensor) -> None:
        """Move the averages by this step's counts [K, V] and sums [K, V, D], then revive dead entries."""
        joint = sum_over_ranks(torch.cat([counts[..., None], sums], dim=-1))
        before = self.codebooks.clone()
        self.cluster_sizes.lerp_(joint[..., 0], 1 - self.config.ema_decay)
        self.cluster_sums.lerp_(joint[..., 1:], 1 - self.config.ema_decay)
        self.codebooks.copy_(self.cluster_sums / self.cluster_sizes.clamp_min(MIN_CLUSTER_SIZE)[..., None])
        dead = dead_entries(self.cluster_sizes, self.config.dead_share)
        self.expiry_rate.lerp_(dead.float().mean(1), 1 - self.config.ema_decay)
        if bool(dead.any()):
            self._revive(dead, latents, before)
        self.step += 1

    def _revive(self, dead: Tensor, latents: Tensor, codebooks: Tensor) -> None:
        """Move each dead entry onto a residual of its stage, drawn from the joint batch.

        `codebooks` are the ones the batch was coded with.
        """
        generator = torch.Generator().manual_seed(int(self.step))
        residual = sample_rows(latents, self.config.codebook_size, generator)
        for stage, codebook in enumerate(codebooks):
            entries = dead[stage].nonzero()[:, 0]
            if len(entries):
                size = REVIVED_SHARE * self.cluster_sizes[stage].mean()
                vectors = residual[: len(entries)]
                self.codebooks[stage, entries] = vectors
                self.cluster_sizes[stage, entries] = size
                self.cluster_sums[stage, entries] = vectors * size
            residual = residual - codebook[nearest(residual, codebook)]

    @torch.no_grad()
    def health(self) -> CodebookHealth:
        """Return how well each stage's codebook is used."""
        return codebook_health(self.cluster_sizes, self.expiry_rate, self.config.dead_share)


def rows_of_latents(latents: Tensor) -> Tensor:
    """Lay latents [B, D, L] out as rows [B * L, D] in fp32.

    In memory too, where one item alone would stay columns: products of columns sum in another order.
    """
    return latents.transpose(1, 2).reshape(-1, latents.shape[1]).float().contiguous()
