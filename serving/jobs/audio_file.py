"""Audio in blocks to a file, in the format and bit depth that a request names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from codec.errors import AudioError
from serving.schemas import OutputParameters

if TYPE_CHECKING:
    from codec.audio_blocks import Blocks

_SAMPLE_BYTES = {"16": 2, "24": 3, "float": 4}


def write_audio_file(
    path: Path, blocks: Blocks, sample_rate: int, channels: int, num_samples: int, parameters: OutputParameters
) -> None:
    """Write blocks [channels, n], `num_samples` in all, to `path`, whatever its suffix; a huge wav becomes RF64.

    Raises:
        AudioError: The format lacks that sample rate or number of channels.
    """
    import soundfile

    from codec.audio_blocks import MAX_WAV_BYTES

    container = parameters.format.upper()
    if container == "WAV" and num_samples * channels * _SAMPLE_BYTES[parameters.bit_depth] > MAX_WAV_BYTES:
        container = "RF64"
    try:
        with soundfile.SoundFile(path, "w", sample_rate, channels, parameters.subtype, format=container) as file:
            for block in blocks:
                file.write(block.T)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise AudioError(f"can't write {parameters.format} at {sample_rate} Hz: {reason}") from None
