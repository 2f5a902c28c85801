"""`nacre encode` and `nacre decode`: one file, without a server, byte for byte what the service gives."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codec.audio import AUDIO_SUFFIXES, SOUNDFILE_SUFFIXES, AudioLimits
from codec.errors import AudioError, BitstreamError, ModelMismatchError, NacreError
from registry.shipped import DEFAULT_MODEL
from serving.commands import MODEL_HELP
from serving.pipes import PIPE, open_input, write_output

if TYPE_CHECKING:
    from typing import BinaryIO

    from codec.audio import Audio
    from codec.audio_blocks import Blocks
    from codec.metadata import Metadata
    from codec.weights import LoadedPackage

# Memory doesn't grow with the audio here, only the codes do.
MAX_SECONDS = 100 * 3600.0
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="[OUT]", type=_PATH, required=False)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help=MODEL_HELP)
@click.option("--bitrate-kbps", type=float, help="One of the model's bitrates.")
@click.option("--num-quantizers", type=int, help="Quantizer stages, instead of a bitrate.")
@click.option("--denoise", is_flag=True, help="Leave noise out; for a model that was trained to.")
@click.option("--no-metadata", is_flag=True, help="Leave out the tags and the layout of the channels.")
def encode(
    source: Path,
    target: Path | None,
    model: str,
    bitrate_kbps: float | None,
    num_quantizers: int | None,
    denoise: bool,
    no_metadata: bool,
) -> None:
    """Encode the audio file IN to the container OUT, by default beside it as IN with the suffix .nac.

    \b
    Example:
      nacre encode speech.wav
      nacre encode speech.wav speech.nac --model speech@production --bitrate-kbps 6

    Without a bitrate the model's highest is used. OUT is replaced only if it is named, and by a whole file. IN and OUT
    can be - for standard input and output. Tags of IN, and the layout of more than two channels, go into the container.
    """
    if source != PIPE and not source.is_file():
        raise AudioError(f"there is no file '{source}'")
    target = target or _beside(source)
    if target.suffix.lower() in AUDIO_SUFFIXES:
        raise AudioError(f"'{target.name}' is an audio file's name: give the container another, such as .nac")
    _check_target(source, target)
    from codec.description import embedded_metadata
    from codec.weights import load_package
    from registry.resolve import resolve_package
    from serving.conversion import encode_source
    from serving.progress import audio_progress

    loaded = load_package(resolve_package(model))
    audio = open_input(source) if source == PIPE else source
    limits = AudioLimits(max_seconds=MAX_SECONDS)
    with audio_progress("encoding") as progress:
        encoded = encode_source(
            loaded,
            audio,
            limits,
            bitrate_kbps=bitrate_kbps,
            num_quantizers=num_quantizers,
            denoise=denoise,
            metadata=None if no_metadata else embedded_metadata(audio),
            progress=progress,
        )
    write_output(target, encoded.data)
    size = f"{encoded.seconds:.2f} s, {len(encoded.data)} bytes, {encoded.measured_kbps:.2f} kbps"
    click.echo(f"{target}: {size}", err=target == PIPE)


@click.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", type=_PATH)
@click.option("--model", help=f"{MODEL_HELP} The one that made the container if not given.")
@click.option("--start", type=click.FloatRange(0), help="Decode from this second on, reading only what that needs.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), help="Decode so many seconds, from --start on.")
@click.option("--conceal", is_flag=True, help="Decode what a damaged container still holds; what is lost is silent.")
def decode(
    source: Path, target: Path, model: str | None, start: float | None, duration: float | None, conceal: bool
) -> None:
    """Decode the container IN to the audio file OUT, in the format of its suffix.

    \b
    Example:
      nacre decode speech.nac speech.wav
      nacre decode speech.nac minute.wav --start 3600 --duration 60

    OUT has the source's sample rate, channels and exact length, and of its tags what the format takes. It is replaced
    only by a whole file. IN and OUT can be - for standard input and output, which then is wav.
    """
    excerpt = start is not None or duration is not None
    if conceal and excerpt:
        raise click.UsageError("--conceal takes the whole container: leave out --start and --duration")
    if source != PIPE and not source.is_file():
        raise BitstreamError(f"there is no file '{source}'")
    if target != PIPE and target.suffix.lower() not in SOUNDFILE_SUFFIXES:
        raise AudioError(f"can't write '{target.name}': use one of .wav, .flac, .ogg, .opus or .mp3")
    _check_target(source, target)
    with open_input(source) as file:
        loaded = _load(model, file)
        if conceal:
            facts = _decode_damaged(loaded, file, source, target)
        elif excerpt:
            facts = _decode_excerpt(loaded, file, source, target, start or 0.0, duration)
        else:
            facts = _decode_whole(loaded, file, target)
    click.echo(f"{target}: {facts}", err=target == PIPE)


def _load(model: str | None, container: BinaryIO) -> LoadedPackage:
    """Load the model that is named, or else the one that made the container."""
    from codec.container.header import MAX_HEADER_BYTES, parse_header
    from codec.weights import load_package
    from registry.resolve import find_maker, resolve_package

    if model is not None:
        return load_package(resolve_package(model))
    header = parse_header(container.read(MAX_HEADER_BYTES)).header
    container.seek(0)
    maker = find_maker(header.fingerprint)
    if maker is None:
        made_by = f"'{header.codec_name}' with fingerprint {header.fingerprint.hex()}"
        raise ModelMismatchError(f"the container was made by {made_by}, which is not in the registry: give --model")
    return load_package(maker.directory)


def _decode_whole(model: LoadedPackage, container: BinaryIO, target: Path) -> str:
    """Decode in constant memory, unless the target is a pipe, whose wav header comes first; return what was written."""
    from codec.compress_blocks import decompress_blocks
    from serving.progress import audio_progress

    with audio_progress("decoding") as progress:
        audio = decompress_blocks(model, container.read(), AudioLimits(max_seconds=MAX_SECONDS), progress=progress)
        header = audio.header
        rate, length, channels = header.source_sample_rate, header.source_num_samples, header.channels
        return _write(target, audio.blocks, audio.metadata, rate, channels, length)


def _decode_excerpt(
    model: LoadedPackage, container: BinaryIO, source: Path, target: Path, start: float, duration: float | None
) -> str:
    from codec.container import ContainerReader
    from codec.excerpt import decompress_excerpt

    audio = decompress_excerpt(model, container, start_s=start, duration_s=duration)
    try:
        metadata = ContainerReader(container).read_metadata()
    except BitstreamError as error:
        click.echo(f"{source}: {error}", err=True)
        metadata = None
    return _write_audio(target, audio, metadata)


def _decode_damaged(model: LoadedPackage, container: BinaryIO, source: Path, target: Path) -> str:
    from codec.excerpt import decompress_damaged

    concealed = decompress_damaged(model, container.read())
    for problem in concealed.report.problems:
        click.echo(f"{source}: {problem}", err=True)
    return _write_audio(target, concealed.audio, concealed.report.metadata)


def _write_audio(target: Path, audio: Audio, metadata: Metadata | None) -> str:
    rate, channels = audio.sample_rate, audio.channels
    return _write(target, [audio.samples], metadata, rate, channels, audio.num_samples)


def _write(
    target: Path, blocks: Blocks, metadata: Metadata | None, sample_rate: int, channels: int, num_samples: int
) -> str:
    """Write to a file or standard output; return what was written."""
    from codec.audio_blocks import write_blocks, write_blocks_as

    buffer = io.BytesIO()
    write = partial(write_blocks_as, "wav", buffer) if target == PIPE else partial(write_blocks, target)
    write(blocks, sample_rate=sample_rate, channels=channels, num_samples=num_samples, metadata=metadata)
    if target == PIPE:
        write_output(target, buffer.getvalue())
    return f"{num_samples / sample_rate:.2f} s, {sample_rate} Hz, {channels} channel(s)"


def _beside(source: Path) -> Path:
    """Return the container's name where none is given."""
    if source == PIPE:
        raise click.UsageError("say where to write what comes from standard input: OUT, or - for standard output")
    target = source.with_suffix(".nac")
    if target.exists():
        raise NacreError(f"'{target}' exists already: name it as OUT to replace it")
    return target


def _check_target(source: Path, target: Path) -> None:
    if target.is_dir():
        raise NacreError(f"'{target}' is a folder: name the file to write")
    if PIPE not in (source, target) and target.exists() and target.samefile(source):
        raise NacreError(f"'{target}' is the input itself: choose another name for the output")
