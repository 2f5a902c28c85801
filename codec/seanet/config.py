"""The configuration of the `seanet` family's network: SoundStream's and EnCodec's are both one of these."""

import math
from dataclasses import dataclass
from typing import Literal

from codec.checks import check
from codec.context import Context, Convolution, Reach, Transposed, inputs_of
from codec.segmentation import Segmentation

# Elements of a signal at the rate of the samples, of a file that is mapped window by window: 3 MB in fp32. For EnCodec
# on one thread windows of half a second to two were the fastest, a quarter faster than ten seconds at once.
WINDOW = 3 * 2**18


@dataclass(frozen=True, kw_only=True)
class SeanetConfig:
    """The SEANet network (codec/seanet/). The defaults are EnCodec's at 24 kHz; configs/codec/ has the others."""

    # Channels after the first convolution; each stride of the encoder doubles them.
    filters: int = 32
    # Strides of the decoder, first to last; the encoder takes them in reverse.
    ratios: tuple[int, ...] = (8, 5, 4, 2)
    kernel_size: int = 7
    # Of the encoder's last convolution, the one that gives latents.
    latent_kernel_size: int = 7
    # Residual units at each rate: how many, and how each one's dilation grows over the one before.
    residual_units: int = 1
    residual_kernel_size: int = 3
    dilation_growth: int = 2
    # A residual unit computes in this fraction of its channels.
    compression: int = 2
    # The shortcut around a residual unit is a convolution of one sample, or the identity.
    conv_shortcut: bool = True
    # Zero leaves the LSTM out.
    lstm_layers: int = 2
    causal: bool = True
    # `time_group` normalises each item over all its channels and its whole time, so it needs the whole audio at once.
    norm: Literal["none", "time_group"] = "none"
    padding: Literal["reflect", "constant"] = "reflect"
    # A FiLM layer in the encoder, so that each call can ask it to denoise.
    denoising: bool = False
    # Segments in which audio is coded, each at its own loudness; null codes whole files as they are.
    segments: Segmentation | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        for name in ("filters", "dilation_growth", "compression"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("residual_units", "lstm_layers"):
            check(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        for name in ("kernel_size", "latent_kernel_size", "residual_kernel_size"):
            odd = getattr(self, name) >= 1 and getattr(self, name) % 2 == 1
            check(odd, name, getattr(self, name), "odd and at least 1")
        strides = len(self.ratios) > 0 and all(ratio >= 1 for ratio in self.ratios)
        check(strides, "ratios", self.ratios, "one or more strides of at least 1")
        check(self.filters % self.compression == 0, "filters", self.filters, f"divisible by {self.compression=}")
        check(self.norm in ("none", "time_group"), "norm", self.norm, "none or time_group")
        check(self.padding in ("reflect", "constant"), "padding", self.padding, "reflect or constant")
        check(not (self.causal and self.norm == "time_group"), "causal", True, "false with norm=time_group")
        if self.segments is not None:
            check(not self.causal, "causal", True, "false with segments")
            check(not self.denoising, "denoising", True, "false with segments")

    def check_hop(self, hop_length: int) -> None:
        """Check that the strides make up a hop, and hops a segment.

        Raises:
            ValueError: They don't.
        """
        product = math.prod(self.ratios)
        check(product == hop_length, "hop_length", hop_length, f"the product of ratios, {product}")
        if self.segments is not None:
            length = self.segments.length
            check(length % hop_length == 0, "segments.length", length, f"a multiple of {hop_length=}")

    def encoder_context(self, hop_length: int) -> Context | None:
        """Return the hops of audio around hop l that latents l depend on; None if that is the whole file.

        An LSTM remembers everything, and `time_group` normalises over everything. At the ends of a file, padding by
        reflection reaches to one side what convolutions reach to the other, so it counts on both.
        """
        if self._is_unbounded:
            return None
        layers = [self._convolution(self.kernel_size)]
        for stride in reversed(self.ratios):
            layers += [*self._units(), self._convolution(2 * stride, stride)]
        layers.append(self._convolution(self.latent_kernel_size))
        return inputs_of(layers, Reach(first=0, last=0)).around(hop_length)

    def decoder_context(self, hop_length: int) -> Context | None:
        """Return the frames around frame l that hop l of the audio depends on; None if those are all."""
        if self._is_unbounded:
            return None
        layers: list[Convolution | Transposed] = [self._convolution(self.kernel_size)]
        for stride in self.ratios:
            before = 0 if self.causal else stride - stride // 2
            layers += [Transposed(before=before, stride=stride), *self._units()]
        layers.append(self._convolution(self.kernel_size))
        return inputs_of(layers, Reach(first=0, last=hop_length - 1)).around(1)

    def latency_samples(self, hop_length: int) -> int | None:
        """Return the samples a frame waits for before it can be coded, itself included; None if that has no bound here.

        A causal network waits for its own hop alone, once padding by reflection has begun (codec/streaming.py). The
        other kind is not made for streaming.
        """
        return hop_length if self.causal else None

    def window_frames(self, hop_length: int) -> int:
        """Return how many frames a causal network maps at a time on a CPU, so that its signals stay cached."""
        return max(1, WINDOW // (self.filters * hop_length))

    def padding_after(self, context: int) -> int:
        """Return how much of a convolution's `context`, kernel minus stride, comes after the sample."""
        return 0 if self.causal else context // 2

    @property
    def _is_unbounded(self) -> bool:
        return self.lstm_layers > 0 or self.norm == "time_group"

    def _units(self) -> list[Convolution]:
        """Return the residual units of one rate, as far as they reach."""
        dilations = (self.dilation_growth**unit for unit in range(self.residual_units))
        return [self._convolution((self.residual_kernel_size - 1) * dilation + 1) for dilation in dilations]

    def _convolution(self, span: int, stride: int = 1) -> Convolution:
        after = self.padding_after(span - stride)
        before = span - stride - after
        if self.padding == "reflect":
            reach = max(before, after + stride - 1)
            return Convolution(span=2 * reach + stride, before=reach, stride=stride)
        return Convolution(span=span, before=before, stride=stride)
