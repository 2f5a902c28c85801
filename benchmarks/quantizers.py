"""The residual quantizer beside vector-quantize-pytorch's: 8 x 1024 codes of 128 dimensions on 16 x 75 frames."""

import torch
from vector_quantize_pytorch import ResidualVQ

from benchmarks.timing import median_seconds
from codec.config import QuantizerConfig
from codec.quantizer import ResidualVectorQuantizer

BATCH, FRAMES, DIMENSION, STAGES, SIZE = 16, 75, 128, 8, 1024


def rvq_speedup() -> dict[str, float]:
    """Return how many times faster ours is, training (forward and backward) and evaluating."""
    latents = torch.randn(BATCH, DIMENSION, FRAMES)
    stages = torch.full((BATCH,), STAGES)
    ours = ResidualVectorQuantizer(QuantizerConfig(num_quantizers=STAGES, codebook_size=SIZE), DIMENSION)
    ours.initialize(torch.randn(4 * BATCH, DIMENSION, FRAMES))
    library = ResidualVQ(dim=DIMENSION, num_quantizers=STAGES, codebook_size=SIZE, threshold_ema_dead_code=2)
    trainable = latents.clone().requires_grad_()

    def train_ours() -> None:
        output = ours(trainable, stages)
        (output.quantized.sum() + output.commitment_loss).backward()

    def train_library() -> None:
        quantized, _, losses = library(trainable.transpose(1, 2))
        (quantized.sum() + losses.sum()).backward()

    ours.train()
    library.train()
    train = median_seconds({"ours": train_ours, "library": train_library})
    ours.eval()
    library.eval()
    with torch.inference_mode():
        evaluate = median_seconds(
            {
                "ours": lambda: ours.decode(ours.encode(latents, STAGES)),
                "library": lambda: library(latents.transpose(1, 2)),
            }
        )
    return {"train": train["library"] / train["ours"], "eval": evaluate["library"] / evaluate["ours"]}
