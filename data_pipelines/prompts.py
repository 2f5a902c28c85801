"""Short recorded prompts: G.722 decoded, and a voice's prompts joined into files long enough to train on.

G.722 (ITU-T, 64 kbit/s, 16 kHz mono) is not known to libsndfile; ffmpeg decodes it. Joining fades each prompt in and
out over 10 ms, so that no click is learned at the seams, and is a pure function of the folder's content.

Axes: samples are float32 [C, T] as in `codec.audio`; joined audio has C = 1.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec.audio import Audio, read_audio, write_audio
from codec.errors import AudioError, DataError, MissingToolError
from codec.files import write_text

FADE_S = 0.01
JOINED_S = 30.0
MIN_SAMPLE_RATE = 16_000
FFMPEG_BATCH = 64  # files per ffmpeg call: starting it costs more than decoding a prompt

Prompt = tuple[str, NDArray[np.float32]]  # relative name, faded mono samples [T]


def require_ffmpeg() -> None:
    """Check that ffmpeg is there.

    Raises:
        MissingToolError: It is not.
    """
    if shutil.which("ffmpeg") is None:
        raise MissingToolError("G.722 prompts need ffmpeg, which was not found: install it (apt-get install ffmpeg)")


def decode_g722(folder: Path) -> None:
    """Replace every `.g722` under `folder` by a 16 kHz mono `.flac` of the same name.

    Raises:
        MissingToolError: ffmpeg is not installed.
        DataError: ffmpeg can't decode one.
    """
    paths = sorted(folder.rglob("*.g722"))
    if paths:
        require_ffmpeg()
    for start in range(0, len(paths), FFMPEG_BATCH):
        batch = paths[start : start + FFMPEG_BATCH]
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
        for path in batch:
            command += ["-f", "g722", "-i", str(path)]
        for index, path in enumerate(batch):
            command += ["-map", str(index), "-bitexact", str(path.with_suffix(".flac"))]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            reason = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise DataError(f"ffmpeg can't decode the G.722 prompts of '{batch[0].parent.name}': {reason}")
        for path in batch:
            path.unlink()


def join_prompts(folder: Path, names: Iterable[str], voice_of: Callable[[str], str | None]) -> None:
    """Replace the prompts of each voice by files of about 30 s, `joined/VOICE-RATE-NNNN.flac`, and list their parts.

    Repeated recordings, and those below 16 kHz, are left out. Names without a voice stay as they are.

    Args:
        folder: Where the prompts lie and the joined files go.
        names: The prompts, relative to `folder`.
        voice_of: Tells a prompt's voice.
    """
    groups: dict[tuple[str, int], list[Prompt]] = {}
    heard: set[str] = set()
    for name in sorted(names):
        voice = voice_of(name)
        if voice is None:
            continue
        prompt = _read_prompt(folder / name, heard)
        if prompt is not None:
            groups.setdefault((voice, prompt.sample_rate), []).append((name, _mono(faded(prompt))))
        (folder / name).unlink()
    contents: dict[str, list[dict[str, object]]] = {}
    for (voice, sample_rate), prompts in sorted(groups.items()):
        for number, batch in enumerate(_batches(prompts, round(JOINED_S * sample_rate))):
            target = f"joined/{voice}-{sample_rate}-{number:04d}.flac"
            contents[target] = _write_joined(folder / target, batch, sample_rate)
    write_text(folder / "joined.json", json.dumps(contents, indent=1, ensure_ascii=False) + "\n")


def _read_prompt(path: Path, heard: set[str]) -> Audio | None:
    """Decode one prompt; None when it is undecodable, of low rate, or was heard before."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest in heard:
        return None
    heard.add(digest)
    try:
        audio = read_audio(path)
    except AudioError:
        return None
    return audio if audio.sample_rate >= MIN_SAMPLE_RATE else None


def faded(audio: Audio) -> Audio:
    """Return the audio faded in and out, against clicks at a seam."""
    samples = audio.samples.copy()
    length = min(round(FADE_S * audio.sample_rate), audio.num_samples // 2)
    ramp = (np.arange(length, dtype=np.float32) + 0.5) / max(length, 1)
    samples[:, :length] *= ramp
    samples[:, audio.num_samples - length :] *= ramp[::-1]
    return Audio(samples=samples, sample_rate=audio.sample_rate)


def _mono(audio: Audio) -> NDArray[np.float32]:
    """Return the mix of all channels, [T]."""
    mono: NDArray[np.float32] = audio.samples.mean(axis=0, dtype=np.float32)
    return mono


def _batches(prompts: list[Prompt], num_samples: int) -> Iterable[list[Prompt]]:
    """Yield runs of prompts of at most `num_samples` in all; a longer prompt goes alone."""
    batch: list[Prompt] = []
    total = 0
    for prompt in prompts:
        if batch and total + len(prompt[1]) > num_samples:
            yield batch
            batch, total = [], 0
        batch.append(prompt)
        total += len(prompt[1])
    if batch:
        yield batch


def _write_joined(path: Path, prompts: list[Prompt], sample_rate: int) -> list[dict[str, object]]:
    """Write one joined file and return its parts."""
    samples = np.concatenate([samples for _, samples in prompts])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, Audio(samples=samples[np.newaxis], sample_rate=sample_rate))
    starts = np.cumsum([0] + [len(samples) for _, samples in prompts])
    return [
        {"file": name, "offset_samples": int(start), "num_samples": len(samples)}
        for (name, samples), start in zip(prompts, starts, strict=False)
    ]
