"""Validation: fixed clips, coded once as the package would code them, scored at several bitrates.

Lower bitrates are prefixes of the same codes. Scores are means over the clips of all ranks.

Axes: audio, reconstruction [1, C, T]; codes [1, K, L].
"""

from __future__ import annotations

import math
import sys
from collections import Counter

import torch
from torch import Tensor

from codec.config import CodecConfig
from codec.distributed import sum_over_ranks
from codec.model import Codec
from codec.segments import SegmentedCodes, decode_segments, encode_segments
from data_pipelines.validation import ValidationClip
from training.config import DenoisingConfig, ValidationConfig
from training.examples import add_noise
from training.metrics import measure
from training.perceptual import INSTALL, installed

DENOISED = "denoised/"


class Validator:
    """Score clips, and give the scores' means.

    Scores with all stages are named by the metric alone, those at lower bitrates `1.5kbps/METRIC`, those of clips that
    were denoised while encoded `denoised/METRIC`.

    Raises:
        MissingToolError: A metric's package is installed without a part that its scores need.
    """

    def __init__(self, codec: CodecConfig, config: ValidationConfig, denoising: DenoisingConfig) -> None:
        self._codec = codec
        self._denoising = denoising
        self._stages = {
            f"{codec.bitrate_kbps(stages):g}kbps/": stages
            for stages in config.lower_stages(codec.quantizer.num_quantizers)
        } | {"": codec.quantizer.num_quantizers}
        self._metrics = [name for name in config.metrics if installed(name)]
        self.missing = [name for name in config.metrics if name not in self._metrics]
        # By configuration, not by what is installed: ranks may differ in that, but not in what they sum.
        prefixes = [*self._stages, *([DENOISED] if codec.can_denoise else [])]
        self._names = [f"{prefix}{name}" for prefix in prefixes for name in config.metrics]
        self._rows: list[list[float]] = []
        self._undefined: Counter[tuple[str, str]] = Counter()
        self._told: set[tuple[str, str]] = set()

    def tell_missing(self) -> None:
        """Say on stderr which metrics are off."""
        if self.missing:
            names = " and ".join(self.missing)
            print(f"validation goes without {names}, not installed: {INSTALL}", file=sys.stderr, flush=True)

    def score(self, codec: Codec, clip: ValidationClip) -> Tensor:
        """Score one clip, and return its reconstruction with all stages; a quantizer that isn't set is bypassed."""
        heard = self._reconstructions(codec, clip)
        row: dict[str, float] = {}
        for prefix, reconstruction in heard.items():
            measured = measure(reconstruction[0], clip.audio[0], self._codec.sample_rate, self._metrics)
            row |= {f"{prefix}{name}": value for name, value in measured.scores.items()}
            self._undefined.update(measured.undefined.items())
        self._rows.append([row.get(name, math.nan) for name in self._names])
        return heard[""]

    def finish(self, device: torch.device) -> dict[str, float]:
        """Return each score's mean over the clips of all ranks, and start again.

        Where a score is undefined for a clip, that clip is left out; where it is for all, the score is.
        """
        scores = torch.tensor(self._rows, dtype=torch.float64).reshape(-1, len(self._names))
        self._rows = []
        known = ~scores.isnan()
        joint = torch.stack([scores.nan_to_num().sum(0), known.sum(0).double()])
        sums, counts = sum_over_ranks(joint.to(device, torch.float32)).cpu()
        return {name: float(s / n) for name, s, n in zip(self._names, sums, counts, strict=True) if n}

    def tell_undefined(self) -> None:
        """Say on stderr which scores this rank left out, and why; each reason once."""
        for (name, reason), count in self._undefined.items():
            if (name, reason) not in self._told:
                line = f"validation leaves {count} scores out of the mean of {name}: {reason}"
                print(line, file=sys.stderr, flush=True)
        self._told |= set(self._undefined)
        self._undefined.clear()

    def _reconstructions(self, codec: Codec, clip: ValidationClip) -> dict[str, Tensor]:
        """Return what is heard, by prefix."""
        if not bool(codec.quantizer.initialized):
            return {"": codec(clip.audio, None).reconstruction}
        heard = self._decoded(codec, clip.audio)
        if self._codec.can_denoise:
            assert clip.noise is not None, "the datamodule gives noise with a codec that can denoise"
            noisy = add_noise(clip.audio, clip.noise, clip.audio.new_tensor([self._denoising.middle_snr_db]))
            codes = codec.encode(noisy, denoise=True)
            heard[DENOISED] = codec.decode(codes, num_samples=noisy.shape[-1])
        return heard

    def _decoded(self, codec: Codec, audio: Tensor) -> dict[str, Tensor]:
        """Encode with all stages, and decode as many of the codes as each bitrate has."""
        length = audio.shape[-1]
        if self._codec.segments is None:
            codes = codec.encode(audio)
            return {
                prefix: codec.decode(codes[:, :stages], num_samples=length) for prefix, stages in self._stages.items()
            }
        coded = encode_segments(codec, audio)
        return {
            prefix: decode_segments(codec, SegmentedCodes(coded.codes[:, :stages], coded.scales), num_samples=length)
            for prefix, stages in self._stages.items()
        }
