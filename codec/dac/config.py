"""The configuration of the `dac` family's network."""

import math
from dataclasses import dataclass

from codec.checks import check
from codec.context import Context, Convolution, Reach, Transposed, inputs_of

# Of every convolution that is neither strided nor of a single sample, but for the one that gives latents.
KERNEL_SIZE = 7
LATENT_KERNEL_SIZE = 3


@dataclass(frozen=True, kw_only=True)
class DacConfig:
    """The convolutional network of the `dac` family (codec/dac/)."""

    # Channels of the encoder's first layer, doubled at each of its strides.
    encoder_width: int = 64
    encoder_rates: tuple[int, ...] = (2, 4, 5, 8)
    # Channels of the decoder's first layer, halved at each of its strides.
    decoder_width: int = 1536
    decoder_rates: tuple[int, ...] = (8, 5, 4, 2)
    # Of the residual units before (encoder) or after (decoder) each stride.
    dilations: tuple[int, ...] = (1, 3, 9)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        for name in ("encoder_rates", "decoder_rates"):
            rates = getattr(self, name)
            check(len(rates) > 0 and min(rates) >= 2, name, rates, "one or more strides of at least 2")
        check(all(dilation >= 1 for dilation in self.dilations), "dilations", self.dilations, "at least 1 each")
        check(self.encoder_width >= 1, "encoder_width", self.encoder_width, "at least 1")
        halvings = 2 ** len(self.decoder_rates)
        rule = f"a positive multiple of {halvings}, halved at each of decoder_rates"
        check(self.decoder_width >= 1 and self.decoder_width % halvings == 0, "decoder_width", self.decoder_width, rule)

    def check_hop(self, hop_length: int) -> None:
        """Check that both networks' strides make a hop.

        Raises:
            ValueError: They don't.
        """
        for name in ("encoder_rates", "decoder_rates"):
            product = math.prod(getattr(self, name))
            check(product == hop_length, "hop_length", hop_length, f"the product of {name}, {product}")

    def encoder_context(self, hop_length: int) -> Context:
        """Return the hops of audio around hop l that latents l depend on."""
        layers = [_centred(KERNEL_SIZE)]
        for rate in self.encoder_rates:
            strided = Convolution(span=2 * rate, before=stride_padding(rate), stride=rate)
            layers += [*self._units(), strided]
        layers.append(_centred(LATENT_KERNEL_SIZE))
        return inputs_of(layers, Reach(first=0, last=0)).around(hop_length)

    def decoder_context(self, hop_length: int) -> Context:
        """Return the frames around frame l that hop l of the audio depends on."""
        layers: list[Convolution | Transposed] = [_centred(KERNEL_SIZE)]
        for rate in self.decoder_rates:
            layers += [Transposed(before=stride_padding(rate), stride=rate), *self._units()]
        layers.append(_centred(KERNEL_SIZE))
        return inputs_of(layers, Reach(first=0, last=hop_length - 1)).around(1)

    def _units(self) -> list[Convolution]:
        """Return the residual units of one rate, as far as they reach."""
        return [_centred((KERNEL_SIZE - 1) * dilation + 1) for dilation in self.dilations]

    def latency_samples(self, hop_length: int) -> None:
        """Return None: DAC's convolutions look ahead, it doesn't stream."""


def stride_padding(stride: int) -> int:
    """Return the padding of a convolution of kernel 2 * stride: N * stride samples give N frames.

    Transposed, N frames give N * stride samples, one fewer when the stride is odd.
    """
    return (stride + 1) // 2


def _centred(span: int) -> Convolution:
    return Convolution(span=span, before=span // 2)
