"""Fetch packages of the pool into a folder, one folder a package, each whole or absent.

DIR/NAME/...            the audio, under its names in the package (or `joined/`, see `data_pipelines.prompts`)
DIR/.fetch/downloads/   packages being downloaded; a cut download continues in the next run
DIR/.fetch/staging/     a folder being made, renamed to DIR/NAME when it is complete
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from codec.audio import AUDIO_SUFFIXES, probe_audio
from codec.errors import AudioError, DataError
from codec.files import sync_directory
from codec.locking import locked
from data_pipelines import debian
from data_pipelines.archives import Extractor
from data_pipelines.licences import COPYRIGHT, RECORD, FetchedPackage, write_lists, write_record
from data_pipelines.pool import ARCHIVE_SUFFIX, SourcePackage
from data_pipelines.prompts import decode_g722, join_prompts, require_ffmpeg

DISK_FACTOR = 1.5  # audio hardly shrinks in a package; half again for joined files and the package itself


class FetchProgress(Protocol):
    """Told how a fetch goes on."""

    def begin(self, total_bytes: int) -> None:
        """So many bytes will be downloaded."""

    def show(self, package: str, step: str, done_bytes: int) -> None:
        """A step of a package: `done_bytes` are downloaded, of all packages."""


@dataclass(kw_only=True)
class FetchReport:
    """What a fetch did: names of packages, and why some failed."""

    fetched: list[FetchedPackage] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def fetch(packages: Sequence[SourcePackage], directory: Path, progress: FetchProgress) -> FetchReport:
    """Bring `packages` into `directory`; those already there are left alone.

    A package that fails doesn't stop the others: the report says why.

    Raises:
        MissingToolError: apt-get, dpkg-deb or (for G.722) ffmpeg is not installed.
        DataError: Another fetch works in the folder, its disk has too little room, or what lies under a package's name
            was not made by a fetch.
    """
    report = FetchReport(present=[each.name for each in packages if is_present(each, directory)])
    missing = [each for each in packages if each.name not in report.present]
    for each in missing:
        if (directory / each.name).exists():  # folders are renamed into place whole, so this one is somebody's own
            raise DataError(f"'{directory / each.name}' was not made by a fetch: move it away, or name another folder")
    if missing:
        debian.require_apt()
    if any(each.name.endswith("-g722") for each in missing):
        require_ffmpeg()
    directory.mkdir(parents=True, exist_ok=True)
    with _work_folder(directory) as work:
        _fetch_missing(missing, directory, work, progress, report)
        write_lists(directory)
    return report


def is_present(package: SourcePackage, directory: Path) -> bool:
    """Tell whether a package's folder is complete."""
    return (directory / package.name / RECORD).is_file()


def _fetch_missing(
    packages: Sequence[SourcePackage], directory: Path, work: Path, progress: FetchProgress, report: FetchReport
) -> None:
    candidates = {each.name: debian.find_candidate(each.name) for each in packages}
    report.unknown = [name for name, candidate in candidates.items() if candidate is None]
    total = sum(candidate.size_bytes for candidate in candidates.values() if candidate is not None)
    _check_room(directory, total)
    progress.begin(total)
    done = 0
    for package in packages:
        candidate = candidates[package.name]
        if candidate is None:
            continue
        try:
            report.fetched.append(_fetch_one(package, candidate, directory, work, progress, done))
        except DataError as error:
            report.failed[package.name] = str(error)
        done += candidate.size_bytes
        write_lists(directory)


def _fetch_one(
    package: SourcePackage,
    candidate: debian.Candidate,
    directory: Path,
    work: Path,
    progress: FetchProgress,
    done: int,
) -> FetchedPackage:
    """Download, unpack into a staging folder, and rename that into place."""
    downloads = work / "downloads"
    downloads.mkdir(exist_ok=True)
    path = debian.download(candidate, downloads, lambda size: progress.show(package.name, "downloading", done + size))
    done += candidate.size_bytes
    progress.show(package.name, "unpacking", done)
    staging = work / "staging" / package.name
    shutil.rmtree(staging, ignore_errors=True)
    names = _unpack(package, path, staging)
    progress.show(package.name, "preparing", done)
    decode_g722(staging)
    if package.voice is not None:
        audio = [str(Path(name).with_suffix(".flac")) if name.endswith(".g722") else name for name in names]
        join_prompts(staging, audio, package.voice_of)
    fetched = _describe(package, candidate.version, staging)
    write_record(staging, fetched)
    _remove_empty(staging)
    staging.rename(directory / package.name)
    sync_directory(directory)
    path.unlink()
    return fetched


def _unpack(package: SourcePackage, path: Path, staging: Path) -> list[str]:
    """Take the wanted files out of the package, and out of the archives in it; return their relative names."""
    staging.mkdir(parents=True)
    copyright_name = f"usr/share/doc/{package.name}/copyright"

    def choose(name: str) -> str | None:
        if name == copyright_name:
            return COPYRIGHT
        relative = name.removeprefix(f"{package.root}/")
        if relative == name or not (package.wants(relative) or relative.endswith(ARCHIVE_SUFFIX)):
            return None
        return relative

    extractor = Extractor(target=staging)
    with debian.open_content(path) as stream:
        extractor.extract_tar(stream, choose)
    if COPYRIGHT not in extractor.names:
        raise DataError(f"{package.name} {path.name} holds no copyright file: its licence can't be listed")
    for name in [each for each in extractor.names if each.endswith(ARCHIVE_SUFFIX)]:
        extractor.extract_zip(staging / name, lambda each: each if package.wants(each) else None)
        (staging / name).unlink()
    names = [each for each in extractor.names if each != COPYRIGHT and not each.endswith(ARCHIVE_SUFFIX)]
    if not names:
        raise DataError(f"{package.name} in '{path.name}' holds no audio where it is looked for ({package.root})")
    return names


def _describe(package: SourcePackage, version: str, folder: Path) -> FetchedPackage:
    """Count a folder's audio; a file that can't be decoded counts as a file without seconds."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES]
    seconds = 0.0
    for path in paths:
        try:
            seconds += probe_audio(path).seconds
        except AudioError:
            continue
    return FetchedPackage(
        name=package.name,
        version=version,
        kind=package.kind,
        languages=package.languages,
        licence=package.licence,
        files=len(paths),
        seconds=round(seconds, 1),
        bytes=sum(path.stat().st_size for path in paths),
    )


def _remove_empty(folder: Path) -> None:
    for path in sorted((each for each in folder.rglob("*") if each.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()


def _check_room(directory: Path, download_bytes: int) -> None:
    needed = round(DISK_FACTOR * download_bytes)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise DataError(
            f"'{directory}' has {free / 1e9:.1f} GB free and this fetch needs about {needed / 1e9:.1f} GB: "
            "free some, name another folder, or fetch less with --kind or --package"
        )


@contextmanager
def _work_folder(directory: Path) -> Iterator[Path]:
    """Yield `.fetch`, locked, with an empty staging folder; remove it afterwards unless a cut download waits in it."""
    work = directory / ".fetch"
    work.mkdir(exist_ok=True)
    with locked(work / "lock", DataError(f"another fetch works in '{directory}': wait for it, or name another folder")):
        shutil.rmtree(work / "staging", ignore_errors=True)
        try:
            yield work
        finally:
            shutil.rmtree(work / "staging", ignore_errors=True)
            downloads = work / "downloads"
            if not downloads.exists() or not any(downloads.iterdir()):
                shutil.rmtree(work)
