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
    # Decoder blocks before and after its upsampling in time.
    decoder_blocks: int = 5
    decoder_blocks_upsampled: int = 0
    upsampling: int = 2
    # Samples that one encoder frame sees, and the length of one inverse transform of the decoder.
    frame_length: int = 640
    fft_length: int = 640
    # Nothing after hop l reaches its codes, and nothing after frame l + 1 reaches its audio: needed for streaming.
    causal: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        for name in ("width", "expansion", "upsampling", "frame_length"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        check(self.kernel_size % 2 == 1, "kernel_size", self.kernel_size, "odd")
        check(self.fft_length % 2 == 0, "fft_length", self.fft_length, "even")

    def check_hop(self, hop_length: int) -> None:
        """Check that frames and transforms of this network fit a hop.

        Raises:
            ValueError: They don't.
        """
        divisible = hop_length % self.upsampling == 0
        check(divisible, "hop_length", hop_length, f"divisible by upsampling={self.upsampling}")
        check(self.frame_length >= hop_length, "frame_length", self.frame_length, "at least hop_length")
        overlap = self.fft_length >= hop_length // self.upsampling
        check(overlap, "fft_length", self.fft_length, "at least hop_length / upsampling")
        final = not self.causal or self.fft_length >= hop_length + hop_length // self.upsampling
        rule = "at least hop_length + hop_length / upsampling when causal"
        check(final, "fft_length", self.fft_length, rule)

    def frame_before(self, hop_length: int) -> int:
        """Return how many samples an encoder's frame begins before its hop."""
        context = self.frame_length - hop_length
        return context if self.causal else context // 2

    def skip_before(self, hop_length: int) -> int:
        """Return how many samples the linear skip's frame of two hops begins before its hop."""
        return hop_length if self.causal else hop_length // 2

    def transform_before(self, hop_length: int) -> int:
        """Return how many samples an inverse transform begins before its part of a hop.

        When causal it is one hop, as the linear skip needs anyway: frame l completes the audio up to the end of hop
        l - 1, and all of that look-ahead is used.
        """
        return hop_length if self.causal else (self.fft_length - hop_length // self.upsampling) // 2

    def encoder_context(self, hop_length: int) -> Context:
        """Return the hops of audio around hop l that latents l depend on."""
        kernel = self._kernel_context()
        frame, skip = self.frame_before(hop_length), self.skip_before(hop_length)
        after = max(self.frame_length - hop_length - frame, hop_length - skip)
        return Context(
            left=self.encoder_blocks * kernel.left + _ceil(max(frame, skip), hop_length),
            right=self.encoder_blocks * kernel.right + _ceil(after, hop_length),
        )

    def decoder_context(self, hop_length: int) -> Context:
        """Return the frames around frame l that hop l of the audio depends on, the skip's neighbour included."""
        kernel = self._kernel_context()
        part = hop_length // self.upsampling
        before = self.transform_before(hop_length)
        after = self.fft_length - part - before
        # In parts: transforms that begin `before` samples ahead reach back that far, and so bring what follows.
        left = _ceil(after, part) + self.decoder_blocks_upsampled * kernel.left
        right = _ceil(before, part) + self.decoder_blocks_upsampled * kernel.right
        return Context(
            left=self.decoder_blocks * kernel.left + max(_ceil(left, self.upsampling), 1),
            right=self.decoder_blocks * kernel.right + max(_ceil(right, self.upsampling), 1),
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
