"""The EMA quantizer beside vector-quantize-pytorch's, on the same codebooks."""

import pytest
import torch

from codec.config import QuantizerConfig
from codec.quantizer import ResidualVectorQuantizer

library = pytest.importorskip("vector_quantize_pytorch")


def test_indices_and_sums_are_the_library_s():
    torch.manual_seed(0)
    stages, size, dimension = 6, 128, 16
    ours = ResidualVectorQuantizer(QuantizerConfig(num_quantizers=stages, codebook_size=size), dimension).eval()
    ours.codebooks.copy_(torch.randn(stages, size, dimension) * 0.6 ** torch.arange(stages)[:, None, None])
    theirs = library.ResidualVQ(dim=dimension, codebook_size=size, num_quantizers=stages).eval()
    for layer, codebook in zip(theirs.layers, ours.codebooks, strict=True):
        layer._codebook.embed.data.copy_(codebook[None])
    latents = torch.randn(3, dimension, 40)
    quantized, indices, _ = theirs(latents.transpose(1, 2))
    codes = ours.encode(latents, stages)
    assert torch.equal(codes.transpose(1, 2), indices)
    torch.testing.assert_close(ours.decode(codes).transpose(1, 2), quantized, atol=1e-5, rtol=1e-5)
