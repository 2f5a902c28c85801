"""The configuration of the `nacre` family's network."""

from dataclasses import dataclass

from codec.checks import check
from codec.context import Context


@dataclass(frozen=True, kw_only=True)
class NacreConfig:
    """The frame-rate spectral network of the `nacre` family (codec/nacre/)."""

    width: int = 256
    expansion: int = 3
    kernel_size: int = 7
    encoder_blocks: int = 4
    decoder_blocks: int = 5
    # Bands whose levels are coded beside the shape; each takes one of the latents' dimensions.
    level_bands: int = 24
    # Nothing after hop l reaches its codes, and nothing after frame l + 1 reaches its audio: needed for streaming.
    causal: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        for name in ("width", "expansion", "level_bands"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        check(self.kernel_size % 2 == 1, "kernel_size", self.kernel_size, "odd")

    def check_hop(self, hop_length: int) -> None:
        """Check that the bands fit a hop's frequencies.

        Raises:
            ValueError: They don't.
        """
        check(self.level_bands <= hop_length, "level_bands", self.level_bands, "at most hop_length")

    def frame_before(self, hop_length: int) -> int:
        """Return how many samples a frame of two hops begins before its hop.

        When causal it is all of the other hop: frame l completes the audio up to the end of hop l - 1.
        """
        return hop_length if self.causal else hop_length // 2

    def encoder_context(self, hop_length: int) -> Context:
        """Return the hops of audio around hop l that latents l depend on."""
        kernel = self._kernel_context()
        before = self.frame_before(hop_length)
        return Context(
            left=self.encoder_blocks * kernel.left + _ceil(before, hop_length),
            right=self.encoder_blocks * kernel.right + _ceil(hop_length - before, hop_length),
        )

    def decoder_context(self, hop_length: int) -> Context:
        """Return the frames around frame l that hop l of the audio depends on, the neighbours it overlaps included."""
        kernel = self._kernel_context()
        return Context(
            left=self.decoder_blocks * kernel.left + (0 if self.causal else 1),
            right=self.decoder_blocks * kernel.right + 1,
        )

    def latency_samples(self, hop_length: int) -> int:
        """Return the samples from a hop's first until that hop can be played: itself, then all that it depends on.

        Two hops when causal: the hop itself, and the next one's transforms that complete it.
        """
        right = self.encoder_context(hop_length).right + self.decoder_context(hop_length).right
        return (1 + right) * hop_length

    def _kernel_context(self) -> Context:
        """Return the frames that one convolution reaches."""
        half = self.kernel_size // 2
        return Context(left=2 * half, right=0) if self.causal else Context(left=half, right=half)


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
