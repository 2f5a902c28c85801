"""External codecs: their programs and Debian packages, and audio through files: a WAV in, a coded file, a WAV out.

Programs run in a temporary folder, one after another. Their time is the processor time, user and system, of the whole
process, so that other work on the machine doesn't count. Audio reaches them as 16-bit PCM. Axes: samples [C, T].
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from codec.audio import Audio, fit_length, read_audio, resample
from codec.errors import CapabilityError, MissingToolError
from training.evaluation.codecs.base import Coded

# What an adapter's commands call the files.
SOURCE, DECODED = "source.wav", "decoded.wav"
RAW_SOURCE, RAW_DECODED = "source.raw", "decoded.raw"
FFMPEG = ("ffmpeg", "-nostdin", "-v", "error", "-threads", "1")
PACKAGES = {
    "opusenc": "opus-tools",
    "opusdec": "opus-tools",
    "lame": "lame",
    "oggenc": "vorbis-tools",
    "oggdec": "vorbis-tools",
    "speexenc": "speex",
    "speexdec": "speex",
    "elc3": "liblc3-tools",
    "dlc3": "liblc3-tools",
    "c2enc": "codec2",
    "c2dec": "codec2",
    "flac": "flac",
    "ffmpeg": "ffmpeg",
    "libvo_amrwbenc": "libavcodec-extra",
}
# Encoders that are no programs, but parts of ffmpeg that it may lack.
IN_FFMPEG = frozenset({"libvo_amrwbenc"})
# A processor time below the clock's resolution reads as zero, by which nothing can be divided.
LEAST_S = 1e-6
PCM_SCALE = 32_768


def missing_packages(tools: Sequence[str]) -> tuple[str, ...]:
    """Return the Debian packages of those `tools`, by their names in `PACKAGES`, that aren't installed."""
    return tuple(sorted({PACKAGES[tool] for tool in tools if not _is_installed(tool)}))


def require_tools(codec: str, tools: Sequence[str]) -> None:
    """Check that the tools of a codec are installed.

    Raises:
        MissingToolError: They aren't; the message names their Debian packages.
    """
    packages = missing_packages(tools)
    if packages:
        lacking = ", ".join(tool for tool in tools if not _is_installed(tool))
        raise MissingToolError(f"{codec} needs {lacking}: install it (Debian: apt-get install {' '.join(packages)})")


def through_files(
    audio: Audio,
    *,
    sample_rate: int,
    encode: Sequence[str],
    decode: Sequence[str],
    coded: str,
    delay: int = 0,
    frame: int = 1,
) -> Coded:
    """Code `audio` by two commands, and return it at its own rate and length, aligned.

    Args:
        audio: The source.
        sample_rate: What the codec is given, in Hz; the decoder may answer at another rate.
        encode: Makes the file `coded` of `SOURCE`, or of `RAW_SOURCE`, 16-bit PCM without a header.
        decode: Makes `DECODED` of it, or `RAW_DECODED`.
        coded: The coded file's name.
        delay: By how many samples at `sample_rate` the decoder's output is late: as many are added to the source's
            end, and cut from the output's start.
        frame: The samples of a frame, for an encoder that drops what fills none: the source is padded to whole ones.

    Raises:
        CapabilityError: A program failed; the message holds its last words.
    """
    prepared = resample(audio, sample_rate)
    length = -(-(prepared.num_samples + delay) // frame) * frame
    pcm = pcm16(fit_length(prepared.samples, length))
    with tempfile.TemporaryDirectory(prefix="nacre-codec-") as name:
        folder = Path(name)
        if RAW_SOURCE in encode:
            (folder / RAW_SOURCE).write_bytes(pcm.T.astype("<i2").tobytes())
        else:
            soundfile.write(folder / SOURCE, pcm.T, sample_rate, subtype="PCM_16")
        encode_s = _run(encode, folder)
        decode_s = _run(decode, folder)
        num_bytes = (folder / coded).stat().st_size
        if RAW_DECODED in decode:
            raw = np.fromfile(folder / RAW_DECODED, "<i2").reshape(-1, audio.channels).T
            decoded = Audio(samples=from_pcm16(raw), sample_rate=sample_rate)
        else:
            decoded = read_audio(folder / DECODED)
    cut = Audio(samples=np.ascontiguousarray(decoded.samples[:, delay:]), sample_rate=decoded.sample_rate)
    reconstruction = restore(cut, audio)
    return Coded(num_bytes=num_bytes, reconstruction=reconstruction, encode_s=encode_s, decode_s=decode_s)


def restore(decoded: Audio, source: Audio) -> Audio:
    """Bring what a codec gave back to its source's rate and length.

    Raises:
        CapabilityError: The codec gave other channels than it got.
    """
    if decoded.channels != source.channels:
        raise CapabilityError(f"the codec made {decoded.channels} channels out of {source.channels}")
    samples = resample(decoded, source.sample_rate).samples
    return Audio(samples=fit_length(samples, source.num_samples), sample_rate=source.sample_rate)


def pcm16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round to 16 bits, clipping; what was read from 16-bit PCM comes back exactly."""
    return np.clip(np.rint(samples * PCM_SCALE), -PCM_SCALE, PCM_SCALE - 1).astype(np.int16)


def from_pcm16(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return 16-bit PCM as samples in [-1, 1), exactly."""
    return np.asarray(pcm, np.float32) / np.float32(PCM_SCALE)


def _run(command: Sequence[str], folder: Path) -> float:
    """Run a program in `folder` and return its processor time in seconds."""
    with (folder / "stderr").open("w+b") as errors:
        with subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        lines = errors.read().decode(errors="replace").split("\n")
    if process.returncode != 0:
        said = [line.strip() for line in lines if line.strip()]
        raise CapabilityError(f"{command[0]} failed ({process.returncode}): {said[-1] if said else 'no reason given'}")
    return max(usage.ru_utime + usage.ru_stime, LEAST_S)


def _is_installed(tool: str) -> bool:
    if tool not in IN_FFMPEG:
        return shutil.which(tool) is not None
    ffmpeg = shutil.which("ffmpeg")
    return ffmpeg is not None and tool in _encoders(ffmpeg)


@cache
def _encoders(ffmpeg: str) -> frozenset[str]:
    """Return the names of the encoders that an ffmpeg has: the second word of each line."""
    answer = subprocess.run([ffmpeg, "-hide_banner", "-encoders"], capture_output=True, text=True, check=False)
    return frozenset(words[1] for line in answer.stdout.splitlines() if len(words := line.split()) > 1)
