"""Tiny codecs, quick to build, and real enough to code audio: one, and one that codes stereo in segments.

Any test module can import them: pytest puts this folder on the path (pyproject.toml).
"""

import torch

from codec.config import CodecConfig, QuantizerConfig
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.seanet.config import SeanetConfig
from codec.segmentation import Segmentation
from codec.weights import write_package

NETWORK = {
    "width": 16,
    "encoder_blocks": 1,
    "decoder_blocks": 2,
    "level_bands": 3,
    "kernel_size": 3,
}
# The network of a training configuration, at hops of 160 samples.
TRAINED_NETWORK = {
    "width": 16,
    "expansion": 2,
    "encoder_blocks": 1,
    "decoder_blocks": 2,
    "level_bands": 4,
}


def tiny_config(**changes):
    network = NacreConfig(**NETWORK)
    quantizer = QuantizerConfig(num_quantizers=4, codebook_size=16)
    defaults = {"name": "tiny", "sample_rate": 8_000, "hop_length": 32, "latent_dim": 8}
    return CodecConfig(**{**defaults, "quantizer": quantizer, "network": network, **changes})


def tiny_codec(seed=0, **changes):
    torch.manual_seed(seed)
    config = tiny_config(**changes)
    codec = Codec(config)
    audio = 0.1 * torch.randn(4, config.channels, 4000)
    codec.initialize_network(audio)
    codec.initialize_codebooks(audio)
    return codec.eval()


def untrained_package(directory, codec):
    """Write the package of a codec that learned nothing, from the `model.codec` of a training configuration."""
    torch.manual_seed(0)
    network, quantizer = NacreConfig(**codec["network"]), QuantizerConfig(**codec["quantizer"])
    untrained = Codec(CodecConfig(**codec | {"network": network, "quantizer": quantizer}))
    noise = 0.1 * torch.randn(4, 1, 3200)
    untrained.initialize_network(noise)
    untrained.initialize_codebooks(noise)
    write_package(directory, untrained, metrics={}, lineage={})


def segmented_codec(seed=0, **changes):
    """Segments of 16 frames, which overlap by a part of a hop more than one."""
    torch.manual_seed(seed)
    network = SeanetConfig(
        filters=4,
        ratios=(5, 3, 2),
        lstm_layers=1,
        causal=False,
        norm="time_group",
        segments=Segmentation(length=480, overlap=48),
    )
    quantizer = QuantizerConfig(num_quantizers=4, codebook_size=16)
    defaults = {"name": "segmented", "family": "seanet", "sample_rate": 8_000, "channels": 2, "hop_length": 30}
    config = CodecConfig(**{**defaults, "latent_dim": 8, "quantizer": quantizer, "network": network, **changes})
    codec = Codec(config)
    codec.initialize_codebooks(0.1 * torch.randn(8, config.channels, 480))
    return codec.eval()
