"""Debian packages as a source of files: what apt offers, the download, the files inside; nothing is installed.

Source: apt-get(8) `download`, which checks the archive's signatures and hashes and continues a partial file, and
dpkg-deb(1) `--fsys-tarfile`, which streams a package's files as a tar. No rights beyond the user's are needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from codec.errors import DataError, MissingToolError

POLL_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The version of a package that apt would download."""

    name: str
    version: str
    filename: str
    size_bytes: int


def require_apt() -> None:
    """Check that this system can download and open Debian packages.

    Raises:
        MissingToolError: It has no apt-get or no dpkg-deb.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise MissingToolError(
            f"'nacre audio fetch' takes audio from Debian packages and needs {' and '.join(missing)}, which this "
            "system lacks: run it on Debian 12 or in a container of it (docker run -v DIR:/pool debian:12 ...), "
            "or give 'nacre data build' your own folder of audio"
        )


def find_candidate(name: str) -> Candidate | None:
    """Ask apt what it would download for `name`; None when its index has no such package."""
    with tempfile.TemporaryDirectory(prefix="nacre-apt-") as empty:  # apt prints nothing for a file that lies here
        answer = subprocess.run(
            ["apt-get", "download", "--print-uris", name],
            cwd=empty,
            env=_plain_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    for line in answer.stdout.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0].startswith("'") and words[2].isdecimal():
            version = unquote(words[1]).split("_")[1]
            return Candidate(name=name, version=version, filename=words[1], size_bytes=int(words[2]))
    return None


def download(candidate: Candidate, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Download a package into `folder`, going on from what lies there, and return its path.

    Args:
        candidate: What to download.
        folder: Kept between runs, so that a cut download continues.
        on_bytes: Called now and then with the number of bytes that lie there.

    Raises:
        DataError: apt-get failed, or left something else than it had announced.
    """
    path = folder / candidate.filename
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            ["apt-get", "download", "-q", f"{candidate.name}={candidate.version}"],
            cwd=folder,
            env=_plain_environment(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
        ) as process:
            status = _wait(process, lambda: on_bytes(_size(path)))
        if status != 0 or _size(path) != candidate.size_bytes:
            errors.seek(0)
            reason = _reason(errors.read().decode(errors="replace")) or f"apt-get ended with status {status}"
            raise DataError(f"downloading {candidate.name} failed: {reason}")
    on_bytes(candidate.size_bytes)
    return path


@contextmanager
def open_content(path: Path) -> Iterator[IO[bytes]]:
    """Yield the tar stream of the files in the package at `path`.

    Raises:
        DataError: dpkg-deb can't read the package.
    """
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(path)],
            env=_plain_environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
                while process.stdout.read(1 << 20):  # the padding after tar's end, lest dpkg-deb meets a closed pipe
                    pass
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            errors.seek(0)
            reason = errors.read().decode(errors="replace").strip().splitlines()
            raise DataError(
                f"'{path.name}' is no readable Debian package: {reason[-1] if reason else 'dpkg-deb failed'}"
            )


def _wait(process: subprocess.Popen[bytes], tick: Callable[[], None]) -> int:
    try:
        while True:
            try:
                return process.wait(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                tick()
    except BaseException:
        process.kill()
        raise


def _reason(messages: str) -> str:
    """Return apt's first line of error, without its mark."""
    return next((line[2:].strip() for line in messages.splitlines() if line.startswith("E:")), "")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _plain_environment() -> dict[str, str]:
    """Return the environment with messages in English, as they are read here."""
    return {**os.environ, "LC_ALL": "C"}
