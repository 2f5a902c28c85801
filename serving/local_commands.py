"""`nacre encode` and `nacre decode`: one file, without a server, byte for byte what the service gives."""

from __future__ import annotations

from pathlib import Path

import click

from codec.audio import AUDIO_SUFFIXES, SOUNDFILE_SUFFIXES, AudioLimits
from codec.errors import AudioError, BitstreamError, NacreError
from serving.commands import MODEL_HELP

# Memory doesn't grow with the audio here, only the codes do.
MAX_SECONDS = 100 * 3600.0
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", type=_PATH)
@click.option("--model", required=True, help=MODEL_HELP)
@click.option("--bitrate-kbps", type=float, help="One of the model's bitrates.")
@click.option("--num-quantizers", type=int, help="Quantizer stages, instead of a bitrate.")
def encode(source: Path, target: Path, model: str, bitrate_kbps: float | None, num_quantizers: int | None) -> None:
    """Encode the audio file IN to the container OUT.

    \b
    Example:
      nacre encode speech.wav speech.nac --model speech@production --bitrate-kbps 6

    Without a bitrate the model's highest is used. OUT is replaced only by a whole file.
    """
    if not source.is_file():
        raise AudioError(f"there is no file '{source}'")
    if target.suffix.lower() in AUDIO_SUFFIXES:
        raise AudioError(f"'{target.name}' is an audio file's name: give the container another, such as .nac")
    _check_target(source, target)
    from codec.files import write_bytes
    from codec.weights import load_package
    from registry.resolve import resolve_package
    from serving.conversion import encode_source
    from serving.progress import share_progress

    loaded = load_package(resolve_package(model))
    limits = AudioLimits(max_seconds=MAX_SECONDS)
    with share_progress("encoding") as progress:
        encoded = encode_source(
            loaded, source, limits, bitrate_kbps=bitrate_kbps, num_quantizers=num_quantizers, progress=progress
        )
    write_bytes(target, encoded.data)
    size = f"{encoded.seconds:.2f} s, {len(encoded.data)} bytes, {encoded.measured_kbps:.2f} kbps"
    click.echo(f"{target}: {size}")


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", type=_PATH)
@click.option("--model", required=True, help=MODEL_HELP)
def decode(source: Path, target: Path, model: str) -> None:
    """Decode the container IN to the audio file OUT, in the format of its suffix.

    \b
    Example:
      nacre decode speech.nac speech.wav --model speech@production

    OUT has the source's sample rate, channels and exact length, and is replaced only by a whole file.
    """
    if not source.is_file():
        raise BitstreamError(f"there is no file '{source}'")
    if target.suffix.lower() not in SOUNDFILE_SUFFIXES:
        raise AudioError(f"can't write '{target.name}': use one of .wav, .flac, .ogg, .opus or .mp3")
    _check_target(source, target)
    from codec.audio_blocks import write_blocks
    from codec.compress_blocks import decompress_blocks
    from codec.weights import load_package
    from registry.resolve import resolve_package
    from serving.progress import share_progress

    loaded = load_package(resolve_package(model))
    limits = AudioLimits(max_seconds=MAX_SECONDS)
    with share_progress("decoding") as progress:
        audio = decompress_blocks(loaded, source.read_bytes(), limits, progress=progress)
        header = audio.header
        rate, length, channels = header.source_sample_rate, header.source_num_samples, header.channels
        write_blocks(target, audio.blocks, sample_rate=rate, channels=channels, num_samples=length)
    click.echo(f"{target}: {length / rate:.2f} s, {rate} Hz, {channels} channel(s)")


def _check_target(source: Path, target: Path) -> None:
    if target.is_dir():
        raise NacreError(f"'{target}' is a folder: name the file to write")
    if target.exists() and target.samefile(source):
        raise NacreError(f"'{target}' is the input itself: choose another name for the output")
