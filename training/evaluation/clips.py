"""The clips to evaluate on: audio files below a folder, with what kind each is and in which language.

A `manifest.csv` in the folder says so (columns file, kind and lang; others are ignored). Without one, or for files that
it leaves out, the name does: a folder or a prefix called speech, music or sound, and for speech the word after it
(`speech_en_allison.flac`, `speech/00_it_carlo.flac`).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from codec.audio import probe_audio
from codec.errors import DataError
from data_pipelines.screening import file_sha256
from data_pipelines.sources import SourceFile, scan_sources
from training.evaluation.scores import Clip

MANIFEST = "manifest.csv"
MAX_MANIFEST_BYTES = 16 * 2**20
KINDS = {"speech": "speech", "music": "music", "sound": "sound", "sounds": "sound", "sfx": "sound"}
LANGUAGE = re.compile(r"[a-z]{2}")


@dataclass(frozen=True, kw_only=True)
class ClipFile:
    """A clip, where it lies, and the checksum of its file."""

    clip: Clip
    path: Path
    sha256: str


def find_clips(folder: Path) -> list[ClipFile]:
    """Return the clips below `folder`, sorted by name.

    Raises:
        DataError: The folder is missing or has no audio, or its manifest is damaged.
        AudioError: A file can't be read.
    """
    known = _read_manifest(folder / MANIFEST)
    return [_clip_file(file, known.get(file.name)) for file in scan_sources([folder])]


def _clip_file(file: SourceFile, known: tuple[str, str] | None) -> ClipFile:
    info = probe_audio(file.path)
    kind, language = known or _by_name(file.name)
    clip = Clip(
        name=file.name,
        seconds=info.seconds,
        sample_rate=info.sample_rate,
        channels=info.channels,
        kind=kind,
        language=language,
    )
    return ClipFile(clip=clip, path=file.path, sha256=file_sha256(file.path))


def _by_name(name: str) -> tuple[str, str]:
    """Return the kind and language that a name tells."""
    words = [word for part in name.lower().split("/") for word in part.split("_")]
    for index, word in enumerate(words):
        if kind := KINDS.get(word):
            languages = [later for later in words[index + 1 :] if LANGUAGE.fullmatch(later)]
            return kind, languages[0] if kind == "speech" and languages else ""
    return "unknown", ""


def _read_manifest(path: Path) -> dict[str, tuple[str, str]]:
    """Return the kind and language of each file that a manifest lists; nothing without one."""
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise DataError(f"'{path}' is larger than {MAX_MANIFEST_BYTES} bytes: give a manifest of the clips alone")
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not {"file", "kind"} <= set(rows.fieldnames or ()):
            raise DataError(f"'{path}' lacks a column: it must have file and kind, and may have lang")
        return {row["file"]: (_kind(row["kind"]), _language(row.get("lang"))) for row in rows}


def _kind(text: str | None) -> str:
    word = (text or "").strip().lower()
    return KINDS.get(word, word or "unknown")


def _language(text: str | None) -> str:
    word = (text or "").strip().lower()
    return word if LANGUAGE.fullmatch(word) else ""
