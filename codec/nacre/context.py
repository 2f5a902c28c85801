"""How many neighbouring frames reach one hop: the exact receptive fields of the `nacre` family, from its configuration.

Axes: encoder, audio [B, C, L * hop] -> latents [B, D, L]; decoder, the way back; U sub-frames a frame in its head.
"""

from dataclasses import dataclass

from codec.nacre.config import NacreConfig


@dataclass(frozen=True, kw_only=True)
class Context:
    """Frames that must stand before and after those asked for, beside the audio's own ends."""

    left: int
    right: int


def encoder_context(network: NacreConfig, hop_length: int) -> Context:
    """Return the hops of audio around hop l that latents l depend on."""
    kernel = kernel_context(network)
    frame, skip = network.frame_before(hop_length), network.skip_before(hop_length)
    before = max(frame, skip)
    after = max(network.frame_length - hop_length - frame, hop_length - skip)
    return Context(
        left=network.encoder_blocks * kernel.left + _ceil(before, hop_length),
        right=network.encoder_blocks * kernel.right + _ceil(after, hop_length),
    )


def decoder_context(network: NacreConfig, hop_length: int) -> Context:
    """Return the frames around frame l that hop l of the audio depends on."""
    kernel = kernel_context(network)
    upsampling = network.upsampling
    part = hop_length // upsampling
    before = network.transform_before(hop_length)
    # A transform that begins `before` samples ahead of its part completes parts that far ahead.
    right = _ceil(before, part) + network.decoder_blocks_upsampled * kernel.right
    left = _ceil(network.fft_length - part - before, part) + network.decoder_blocks_upsampled * kernel.left
    return Context(
        left=network.decoder_blocks * kernel.left + max(_ceil(left, upsampling), 1),
        right=network.decoder_blocks * kernel.right + max(_ceil(right, upsampling), 1),
    )


def latency_frames(network: NacreConfig, hop_length: int) -> int:
    """Return the hops from a hop's first sample until that hop can be played: itself, then all that follows it."""
    return 1 + encoder_context(network, hop_length).right + decoder_context(network, hop_length).right


def kernel_context(network: NacreConfig) -> Context:
    """Return the frames that one convolution reaches."""
    half = network.kernel_size // 2
    return Context(left=2 * half, right=0) if network.causal else Context(left=half, right=half)


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
