"""The configuration of the `nacre` family's network."""

from dataclasses import dataclass

from codec.checks import check


@dataclass(frozen=True, kw_only=True)
class NacreConfig:
    """The frame-rate spectral network of the `nacre` family (codec/nacre/)."""

    width: int = 256
    expansion: int = 4
    kernel_size: int = 7
    encoder_blocks: int = 4
    # Decoder blocks before and after its upsampling in time.
    decoder_blocks: int = 3
    decoder_blocks_upsampled: int = 3
    upsampling: int = 2
    # Samples that one encoder frame sees, and the length of one inverse transform of the decoder.
    frame_length: int = 640
    fft_length: int = 640

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

    def latency_samples(self, hop_length: int) -> int | None:
        """Return None: the convolutions look ahead, and the family doesn't stream."""
        return None
