"""Batch transcoding of a folder: mirrored, resumable, originals untouched.

`a.wav` becomes `a.wav.nac`, since `a.wav` and `a.flac` would collide otherwise; decoding takes the `.nac` off. Whatever
the manifest shows as done, with the same source, model and settings, is not done again. Killed anywhere, a run leaves
outputs whole or absent, and the next run does the rest.

`transcode_file` is one file's work and knows nothing of the folder's: another engine may call it in other processes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from codec.audio import AUDIO_SUFFIXES, AudioLimits, audio_bytes
from codec.compress import decompress
from codec.errors import NacreError
from codec.files import TEMPORARY_PREFIX, write_bytes
from codec.locking import locked
from codec.weights import LoadedPackage
from serving.conversion import encode_source
from serving.manifest import Manifest, Record

MANIFEST = "manifest.jsonl"
CONTAINER_SUFFIX = ".nac"
# Decoded audio keeps these; a lossy format would lose twice, so that `a.mp3.nac` becomes `a.mp3.wav`.
_LOSSLESS = frozenset({".wav", ".flac", ".aiff", ".aif", ".caf", ".w64", ".au"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to do with each file; when decoding, what follows `decode` has no meaning. `num_quantizers` None is all."""

    decode: bool = False
    num_quantizers: int | None = None
    denoise: bool = False

    def __str__(self) -> str:
        if self.decode:
            return "decode"
        return f"encode num_quantizers={self.num_quantizers}" + (" denoise" if self.denoise else "")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One file's work."""

    source: Path
    target: Path
    record: Record


@dataclass
class Summary:
    """What a run did. `ignored` counts files that are not of the kind that is transcoded."""

    done: int = 0
    unchanged: int = 0
    ignored: int = 0
    failed: list[Record] = field(default_factory=list)


def transcode_file(model: LoadedPackage, task: Task, settings: Settings) -> Record:
    """Transcode one file and return its record; a source that can't be used is recorded with the reason.

    Raises:
        NacreError: The output can't be written.
    """
    try:
        data, seconds, digest = _convert(model, task, settings)
    except (NacreError, OSError) as error:
        reason = f"it can't be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        return replace(task.record, status="failed", reason=reason)
    try:
        write_bytes(task.target, data)
    except OSError as error:
        raise NacreError(f"can't write '{task.target}': {error.strerror}; run again to go on") from None
    return replace(
        task.record,
        status="done",
        source_sha256=digest,
        seconds=seconds,
        output_bytes=len(data),
        output_sha256=hashlib.sha256(data).hexdigest(),
    )


def transcode_tree(
    model: LoadedPackage,
    source: Path,
    target: Path,
    settings: Settings,
    on_file: Callable[[int, int, Record], None] = lambda *_: None,
) -> Summary:
    """Transcode every file under `source` into `target`; `on_file` hears of each: number, total, record.

    Raises:
        DataError: The manifest is damaged.
        NacreError: The folders can't be used so, another run works on `target`, or an output can't be written.
    """
    _check_folders(source, target)
    with locked(target, NacreError(f"another run is writing to '{target}': wait for its end")):
        for temporary in target.rglob(f"{TEMPORARY_PREFIX}*"):
            temporary.unlink()
        manifest = Manifest(target / MANIFEST)
        tasks, summary = _plan(model, source, target, settings)
        taken: set[str] = set()
        for number, task in enumerate(tasks, start=1):
            record, worked = _settle(model, task, settings, manifest, taken)
            _count(summary, record, worked)
            on_file(number, len(tasks), record)
        manifest.compact()
    return summary


def output_name(source: str, settings: Settings) -> str:
    """Return the name under which a source's output is kept."""
    if not settings.decode:
        return source + CONTAINER_SUFFIX
    stem = source[: -len(CONTAINER_SUFFIX)]
    return stem if Path(stem).suffix.lower() in _LOSSLESS else f"{stem}.wav"


def _convert(model: LoadedPackage, task: Task, settings: Settings) -> tuple[bytes, float, str]:
    """Return the output's bytes, the duration, and the source's checksum."""
    if settings.decode:
        container = task.source.read_bytes()
        audio = decompress(model, container, AudioLimits())
        format = task.target.suffix[1:].lower()
        return audio_bytes(audio, format), audio.seconds, hashlib.sha256(container).hexdigest()
    digest = _sha256(task.source)
    encoded = encode_source(
        model, task.source, AudioLimits(), num_quantizers=settings.num_quantizers, denoise=settings.denoise
    )
    return encoded.data, encoded.seconds, digest


def _settle(
    model: LoadedPackage, task: Task, settings: Settings, manifest: Manifest, taken: set[str]
) -> tuple[Record, bool]:
    """Bring one file up to date; return its record and whether there was work to do."""
    last = manifest.get(task.record.source)
    output = str(task.record.output)
    if last is not None and (current := _still_good(last, task)) is not None:
        taken.add(output)
        if current != last:
            manifest.append(current)
        return current, False
    if reason := _obstacle(task, last, taken):
        record = replace(task.record, output=None, status="failed", reason=reason)
    else:
        taken.add(output)
        manifest.append(task.record)
        record = transcode_file(model, task, settings)
    manifest.append(record)
    return record, True


def _still_good(last: Record, task: Task) -> Record | None:
    """Return the record of a file that needs no work, its time brought up to date, or None."""
    new = task.record
    same = (last.settings, last.fingerprint, last.output) == (new.settings, new.fingerprint, new.output)
    if last.status != "done" or not same or last.source_bytes != new.source_bytes:
        return None
    if not task.target.is_file() or task.target.stat().st_size != last.output_bytes:
        return None
    if last.source_mtime_ns != new.source_mtime_ns and _sha256(task.source) != last.source_sha256:
        return None
    return replace(last, source_mtime_ns=new.source_mtime_ns)


def _obstacle(task: Task, last: Record | None, taken: set[str]) -> str | None:
    """Say why the output's name can't be used, if it can't."""
    if task.record.output in taken:
        return f"its output '{task.record.output}' is another file's too: rename one of them"
    ours = last is not None and last.output == task.record.output
    if task.target.exists() and not ours:
        return f"its output '{task.record.output}' exists and is not from a run before: move it away"
    return None


def _plan(model: LoadedPackage, source: Path, target: Path, settings: Settings) -> tuple[list[Task], Summary]:
    """List the work in order of path."""
    suffixes = {CONTAINER_SUFFIX} if settings.decode else AUDIO_SUFFIXES
    names = sorted(path.relative_to(source).as_posix() for path in _files(source))
    wanted = [name for name in names if Path(name).suffix.lower() in suffixes]
    if not wanted:
        raise NacreError(f"there is no {'container' if settings.decode else 'audio'} in '{source}'")
    tasks = []
    for name in wanted:
        state = (source / name).stat()
        output = output_name(name, settings)
        record = Record(
            source=name,
            output=output,
            status="started",
            settings=str(settings),
            fingerprint=model.package.fingerprint,
            source_bytes=state.st_size,
            source_mtime_ns=state.st_mtime_ns,
        )
        tasks.append(Task(source=source / name, target=target / output, record=record))
    return tasks, Summary(ignored=len(names) - len(wanted))


def _files(source: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise NacreError(f"can't list '{error.filename}': {error.strerror}")

    for folder, _, names in os.walk(source, onerror=stop):
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def _count(summary: Summary, record: Record, worked: bool) -> None:
    if record.status == "failed":
        summary.failed.append(record)
    elif worked:
        summary.done += 1
    else:
        summary.unchanged += 1


def _check_folders(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise NacreError(f"there is no folder '{source}'")
    inner, outer = source.resolve(), target.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise NacreError(f"'{source}' and '{target}' lie in each other: choose folders apart")
    if target.exists() and not target.is_dir():
        raise NacreError(f"'{target}' is a file: name a folder")
    target.mkdir(parents=True, exist_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
