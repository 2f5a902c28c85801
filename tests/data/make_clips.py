"""Make the clips listed in clips.toml, and README.md with them, from Debian packages: `python make_clips.py`.

Needs apt-get, dpkg-deb and ffmpeg (Debian 12) and downloads about 0.8 GB into a temporary folder. The same versions of
the packages give the same samples.
"""

from __future__ import annotations

import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codec.audio import Audio, probe_audio, read_audio, resample, write_audio
from data_pipelines import debian
from data_pipelines.archives import Extractor
from data_pipelines.prompts import decode_g722, faded

HERE = Path(__file__).parent
SPEECH_RATE = 16_000
HEAD = """\
# Real clips

Recorded speech, music and a sound for tests and the demo. `make_clips.py` made them, and this file, from `clips.toml`.
The clips are not under Nacre's licence: each keeps its own (`THIRD_PARTY_NOTICES.md` at the top has the terms), and
each was changed as the last column says. Sources are packages of Debian 12. Speech is 16 kHz mono: other rates were
resampled with soxr (HQ), G.722 was decoded with ffmpeg. All FLAC is 16 bit. None of these voices and pieces is in an
evaluation set.

| file | seconds | rate | channels | kind | language | package | file in it | copyright | licence | changes |
|---|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A package, the folder or `.pk3` archive in it, whose the audio is and its licence."""

    package: str
    root: str
    copyright: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip: the files it is made of, and the part taken in seconds."""

    name: str
    source: str
    files: list[str]
    language: str = ""
    part_s: tuple[float, float] | None = None
    stereo: bool = False


def main() -> None:
    """Make all clips and the table."""
    table = tomllib.loads((HERE / "clips.toml").read_text())
    sources = {key: Source(**values) for key, values in table["sources"].items()}
    clips = [Clip(**values) for values in table["clips"]]
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for key, source in sources.items():
            wanted = {name for clip in clips if clip.source == key for name in clip.files}
            fetch_files(source, wanted, Path(work, key))
        for clip in clips:
            changes = make_clip(clip, Path(work, clip.source))
            rows.append(row(clip, sources[clip.source], changes))
    (HERE / "README.md").write_text(HEAD + "".join(rows))


def fetch_files(source: Source, names: set[str], folder: Path) -> None:
    """Put the named files of a package into `folder`, G.722 decoded."""
    folder.mkdir()
    candidate = debian.find_candidate(source.package)
    assert candidate is not None, f"apt-get knows no package {source.package}: run apt-get update"
    package = debian.download(candidate, folder, lambda size: None)
    extractor = Extractor(target=folder)
    archive = source.root.endswith(".pk3")
    paths = {source.root: "archive.pk3"} if archive else {f"{source.root}/{name}": name for name in names}
    with debian.open_content(package) as stream:
        extractor.extract_tar(stream, paths.get)
    if archive:
        extractor.extract_zip(folder / "archive.pk3", lambda name: name if name in names else None)
    package.unlink()
    decode_g722(folder)


def make_clip(clip: Clip, folder: Path) -> str:
    """Write one clip and return what was changed."""
    parts = []
    changes = set()
    for name in clip.files:
        path = folder / name
        audio = read_audio(path.with_suffix(".flac") if path.suffix == ".g722" else path)
        changes |= {"decoded from G.722"} if path.suffix == ".g722" else set()
        if audio.channels > 1 and not clip.stereo:
            audio = Audio(samples=audio.samples.mean(axis=0, keepdims=True), sample_rate=audio.sample_rate)
            changes.add("mixed to mono")
        if clip.language and audio.sample_rate != SPEECH_RATE:
            audio = resample(audio, SPEECH_RATE)
            changes.add("resampled")
        if clip.part_s is not None:
            start, end = (round(seconds * audio.sample_rate) for seconds in clip.part_s)
            audio = Audio(samples=audio.samples[:, start:end], sample_rate=audio.sample_rate)
            changes.add("trimmed")
        parts.append(audio)
    if len(parts) > 1:
        changes.add("joined with 10 ms fades")
    samples = np.concatenate([faded(part).samples for part in parts] if len(parts) > 1 else [parts[0].samples], axis=1)
    write_audio(HERE / f"{clip.name}.flac", Audio(samples=samples, sample_rate=parts[0].sample_rate))
    return ", ".join(sorted(changes)) or "none"


def row(clip: Clip, source: Source, changes: str) -> str:
    """Return a clip's line in the table."""
    info = probe_audio(HERE / f"{clip.name}.flac")
    files = " ".join(f"`{name}`" for name in clip.files)
    if clip.part_s is not None:
        files += f" from {clip.part_s[0]:g} s to {clip.part_s[1]:g} s"
    cells = (
        f"{clip.name}.flac",
        f"{info.seconds:.2f}",
        str(info.sample_rate),
        str(info.channels),
        clip.name.partition("_")[0],
        clip.language or "-",
        source.package,
        f"{files} in `{source.root}`",
        source.copyright,
        source.licence,
        changes,
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main()
