"""Residual vector quantizer with factorised, L2-normalised codes, learned by gradient.

Sources: DAC (arXiv 2306.06546, section 3.2); Yu et al. 2021 (arXiv 2110.04627) for look-up by direction in few
dimensions. Our deviations:
 - everything runs in fp32, under autocast too;
 - no weight norm on the projections;
 - the projection out starts as the transpose of an orthonormal projection in, and codebooks start by k-means, so that
   a stage takes away what it codes from the first step;
 - losses are means over active stages, where the reference sums over stages: its weights of 0.25 (commitment) and 1
   (codebook) for K stages are K/4 and K here;
 - averages of use are kept, for `health` alone: nothing is revived.

Axes: latents [B, D, L]; codes [B, K, L]; codebooks [V, d] a stage; K stages, V entries, d = codebook_dim.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import QuantizerConfig
from codec.distributed import sum_over_ranks, world_size
from codec.health import CodebookHealth, codebook_health, dead_entries
from codec.kmeans import kmeans
from codec.quantizer import KMEANS_ITERATIONS, QuantizerOutput, rows_of_latents


class FactorizedStage(nn.Module):
    """One codebook between a projection in and a projection out; what they exchange is rows [N, dimensions]."""

    def __init__(self, config: QuantizerConfig, dimension: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(dimension, config.codebook_dim)
        self.codebook = nn.Parameter(torch.randn(config.codebook_size, config.codebook_dim))
        self.out_proj = nn.Linear(config.codebook_dim, dimension)
        nn.init.orthogonal_(self.in_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        with torch.no_grad():
            self.out_proj.weight.copy_(self.in_proj.weight.T)
        nn.init.zeros_(self.out_proj.bias)

    def nearest(self, projected: Tensor) -> Tensor:
        """Return the index [N] of the entry whose direction is nearest to that of each row [N, d]."""
        return (projected @ F.normalize(self.codebook).T).argmax(1)

    @torch.no_grad()
    def start_from(self, projected: Tensor, generator: torch.Generator) -> None:
        """Set the codebook to the directions that k-means finds in rows [N, d], at the rows' mean length."""
        size = len(self.codebook)
        directions = kmeans(F.normalize(projected), size, iterations=KMEANS_ITERATIONS, generator=generator)
        self.codebook.copy_(F.normalize(directions) * projected.norm(dim=1).mean())


class FactorizedResidualVectorQuantizer(nn.Module):
    """K stages in a row, each coding what the ones before it left over."""

    # Buffers that only training needs; they restart with `reset_statistics`.
    training_only = ("cluster_sizes", "expiry_rate")

    cluster_sizes: Tensor
    expiry_rate: Tensor
    initialized: Tensor

    def __init__(self, config: QuantizerConfig, dimension: int) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList(FactorizedStage(config, dimension) for _ in range(config.num_quantizers))
        self.register_buffer("cluster_sizes", torch.ones(config.num_quantizers, config.codebook_size))
        self.register_buffer("expiry_rate", torch.zeros(config.num_quantizers))
        self.register_buffer("initialized", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def initialize(self, latents: Tensor, seed: int = 0) -> None:
        """Set every codebook by k-means on its stage's projected residuals of `latents` [B, D, L].

        Give it many times `codebook_size` frames, the same on every rank.
        """
        residual = rows_of_latents(latents)
        generator = torch.Generator().manual_seed(seed)
        for stage in self._stages():
            projected = stage.in_proj(residual)
            stage.start_from(projected, generator)
            residual = residual - stage.out_proj(stage.codebook[stage.nearest(projected)])
        self.reset_statistics()
        self.initialized.fill_(True)

    @torch.no_grad()
    def reset_statistics(self) -> None:
        """Restart the averages of use, all entries equally used."""
        self.cluster_sizes.fill_(1.0)
        self.expiry_rate.zero_()

    def encode(self, latents: Tensor, num_quantizers: int) -> Tensor:
        """Map latents [B, D, L] to codes [B, num_quantizers, L], int64."""
        with torch.autocast(latents.device.type, enabled=False):
            batch, _, frames = latents.shape
            residual = rows_of_latents(latents)
            codes = []
            for stage in self._stages()[:num_quantizers]:
                index = stage.nearest(stage.in_proj(residual))
                residual = residual - stage.out_proj(stage.codebook[index])
                codes.append(index.view(batch, frames))
            return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes [B, K, L], K at most the configured number, to quantized [B, D, L].

        The stages' projections out, summed, are one product with all entries side by side.
        """
        with torch.autocast(codes.device.type, enabled=False):
            stages = self._stages()[: codes.shape[1]]
            entries = [F.embedding(index, stage.codebook) for index, stage in zip(codes.unbind(1), stages, strict=True)]
            weight = torch.cat([stage.out_proj.weight for stage in stages], dim=1)
            bias = torch.stack([stage.out_proj.bias for stage in stages]).sum(0)
            return F.linear(torch.cat(entries, dim=-1), weight, bias).transpose(1, 2)

    def forward(self, latents: Tensor, num_quantizers: Tensor) -> QuantizerOutput:
        """Quantize latents [B, D, L], item b through its first `num_quantizers[b]` stages.

        `num_quantizers` [B] is int64. Codes hold all K stages, dropped ones included: no parameter goes unused.
        """
        assert bool(self.initialized), "the codebooks are not initialised: call initialize() first"
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantize(latents.float(), num_quantizers)

    def _quantize(self, latents: Tensor, num_quantizers: Tensor) -> QuantizerOutput:
        batch, dimension, frames = latents.shape
        residual = rows_of_latents(latents)
        quantized = torch.zeros_like(residual)
        codes, commitments, pulls = [], [], []
        for number, stage in enumerate(self._stages()):
            projected = stage.in_proj(residual)
            index = stage.nearest(projected.detach())
            chosen = stage.codebook[index]
            active = (num_quantizers > number).to(latents.dtype)
            commitments.append(active * _distance(projected, chosen.detach(), batch))
            pulls.append(active * _distance(projected.detach(), chosen, batch))
            # Exactly the entry's value, with the projection's gradient.
            coded = stage.out_proj(chosen.detach() + (projected - projected.detach()))
            quantized = quantized + coded * active.repeat_interleave(frames)[:, None]
            residual = residual - coded
            codes.append(index.view(batch, frames))
        stacked = torch.stack(codes, dim=1)
        # The mean over the joint batch: its number of active stages, per rank.
        stages = num_quantizers.sum().to(latents.dtype)
        if self.training:
            self._count(stacked)
            stages = sum_over_ranks(stages) / world_size()
        return QuantizerOutput(
            quantized=quantized.view(batch, frames, dimension).transpose(1, 2),
            codes=stacked,
            commitment_loss=torch.stack(commitments).sum() / stages,
            codebook_loss=torch.stack(pulls).sum() / stages,
        )

    @torch.no_grad()
    def _count(self, codes: Tensor) -> None:
        """Move the averages of use by codes [B, K, L] of this step."""
        size = self.config.codebook_size
        counts = torch.stack([torch.bincount(stage.flatten(), minlength=size) for stage in codes.unbind(1)])
        joint = sum_over_ranks(counts.to(self.cluster_sizes.dtype))
        before = dead_entries(self.cluster_sizes, self.config.dead_share)
        self.cluster_sizes.lerp_(joint, 1 - self.config.ema_decay)
        expired = dead_entries(self.cluster_sizes, self.config.dead_share) & ~before
        self.expiry_rate.lerp_(expired.float().mean(1), 1 - self.config.ema_decay)

    @torch.no_grad()
    def health(self) -> CodebookHealth:
        """Return how well each stage's codebook is used."""
        return codebook_health(self.cluster_sizes, self.expiry_rate, self.config.dead_share)

    def _stages(self) -> list[FactorizedStage]:
        """Return the stages, typed."""
        return [stage for stage in self.stages if isinstance(stage, FactorizedStage)]


def _distance(first: Tensor, second: Tensor, batch: int) -> Tensor:
    """Return the mean squared distance [B] of rows [B * L, d] for each item."""
    return (first - second).square().view(batch, -1).mean(1)
