"""Fresh clips: some of the new audio that is not trained on, so that the candidate is judged on what is new as well.

Which files these are follows from their content alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codec.audio import Audio, read_audio, write_audio
from codec.config import CodecConfig
from data_pipelines.screening import screen_file
from training.retraining.inbox import InboxFile
from training.retraining.settings import Fresh


def choose_fresh(files: Sequence[InboxFile], settings: Fresh) -> list[InboxFile]:
    """Return the files to set aside: a share by content, never all of them."""
    drawn = sorted((file for file in files if _draw(file) < settings.percent), key=_draw)
    return drawn[: min(settings.max_clips, len(files) - 1)]


def write_fresh(files: Sequence[InboxFile], config: CodecConfig, seconds: float, out: Path) -> list[Path]:
    """Write the first seconds of each file that is fit for use into folder `out`, as FLAC; return the clips."""
    clips = []
    for file in files:
        path = Path(file.path)
        if screen_file(path, sample_rate=config.sample_rate, channels=config.channels).reason is not None:
            continue
        audio = read_audio(path)
        cut = Audio(samples=audio.samples[:, : int(seconds * audio.sample_rate)], sample_rate=audio.sample_rate)
        # What kind of audio a clip is, is said by the folders that it is in.
        clip = out / Path(file.name).parent / f"{Path(file.name).stem}-{file.sha256[:8]}.flac"
        write_audio(clip, cut, "PCM_16")
        clips.append(clip)
    return clips


def _draw(file: InboxFile) -> float:
    """Return a number from 0 to below 100 that the file's content decides."""
    return int(file.sha256[:8], 16) / 2**32 * 100
