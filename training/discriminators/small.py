"""Multi-resolution STFT discriminator that judges frames, small enough for a CPU.

Source: EnCodec's multi-scale STFT discriminator (arXiv 2210.13438, section 3.4). Our deviations: the first convolution
strides by four over frequency, so that maps are small while channels stay few; input is the log magnitude beside the
complex spectrum companded to magnitude ** 0.3, so that quiet partials are seen; no weight norm. Of the variants
measured on a CPU, one of this size costs about as much as the generator, the published ones two to ten times as much.
Channels of stereo are heard together.

Axes: audio [B, C, T]; features [B, W, L, F]; W channels, L frames, F frequency bins.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.discriminators.config import SmallConfig

MAGNITUDE_FLOOR = 1e-5
COMPANDING_EXPONENT = 0.3
LOG_SCALE = 0.3
LEAKY_SLOPE = 0.1


class SmallResolution(nn.Module):
    """Judge audio by its complex spectrum at one window length."""

    window: Tensor

    def __init__(self, window_length: int, channels: int, width: int) -> None:
        super().__init__()
        self.window_length = window_length
        self.register_buffer("window", torch.hann_window(window_length), persistent=False)
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(3 * channels, width, (3, 8), stride=(1, 4), padding=(1, 2)),
                nn.Conv2d(width, width, (3, 5), stride=(1, 2), padding=(1, 2)),
                nn.Conv2d(width, width, (3, 5), stride=(2, 2), padding=(1, 2)),
                nn.Conv2d(width, width, (3, 3), stride=(1, 2), padding=1),
            ]
        )
        self.judge = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Return the features of audio [B, C, T], layer by layer, and the logits [B, 1, L', F'] last."""
        hidden = self._spectrum(audio)
        judgement = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), LEAKY_SLOPE)
            judgement.append(hidden)
        judgement.append(self.judge(hidden))
        return judgement

    def _spectrum(self, audio: Tensor) -> Tensor:
        """Return log magnitude, real and imaginary parts [B, 3 * C, L, F], companded, in fp32."""
        with torch.autocast(audio.device.type, enabled=False):
            length = self.window_length
            flat = audio.float().reshape(-1, audio.shape[-1])
            spectrum = torch.stft(flat, length, length // 4, window=self.window, return_complex=True)[:, :-1]
            power = spectrum.real.square() + spectrum.imag.square() + MAGNITUDE_FLOOR**2
            gain = power.pow((COMPANDING_EXPONENT - 1) / 2)
            parts = [LOG_SCALE * 0.5 * power.log(), spectrum.real * gain, spectrum.imag * gain]
            planes = torch.stack(parts, dim=1).transpose(2, 3)
            planes = planes.reshape(len(audio), -1, *planes.shape[2:])
            return planes.contiguous(memory_format=torch.channels_last)


class SmallDiscriminator(nn.Module):
    """One `SmallResolution` per window length."""

    def __init__(self, config: SmallConfig, channels: int) -> None:
        super().__init__()
        self.minimum_samples = max(config.windows) // 2 + 1
        self.resolutions = nn.ModuleList(SmallResolution(window, channels, config.width) for window in config.windows)

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """Return one judgement of audio [B, C, T] per resolution."""
        return [resolution(audio) for resolution in self.resolutions]
