"""Whether the shards of a run are what its codec is trained on."""

from codec.config import CodecConfig
from codec.errors import RunError


def check_data(codec: CodecConfig, sample_rate: int, channels: int) -> None:
    """Check that shards fit a codec.

    Raises:
        RunError: Their sample rate or channels differ.
    """
    if (sample_rate, channels) != (codec.sample_rate, codec.channels):
        raise RunError(
            f"the data is {sample_rate} Hz with {channels} channel(s) but model.codec wants {codec.sample_rate} Hz with"
            f" {codec.channels}: rebuild it with `nacre data build --sample-rate {codec.sample_rate}"
            f" --channels {codec.channels}`, or change model.codec"
        )


def check_noise(codec: CodecConfig, *, has_noise: bool) -> None:
    """Check that there is noise just where a codec learns to denoise.

    Raises:
        RunError: One is there without the other.
    """
    if codec.can_denoise and not has_noise:
        raise RunError(
            "model.codec.network.denoising is true, so data.noise_directory must name shards of noise:"
            " build them with `nacre data build`"
        )
    if has_noise and not codec.can_denoise:
        raise RunError("data.noise_directory is given, but model.codec can't denoise: leave it out")
