"""The configuration of the `dac` family's network."""

import math
from dataclasses import dataclass

from codec.checks import check


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

    def latency_samples(self, hop_length: int) -> None:
        """Return None: DAC's convolutions look ahead, it doesn't stream."""
