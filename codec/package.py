"""The package directory: a trained codec on disk, whole or refused, without pickle.

    codec.json          the CodecConfig, verbatim
    model.safetensors   weights and codebooks
    metrics.json        what validation measured
    entropy.safetensors tables of the entropy coder; a package may lack them, then its containers are packed
    lineage.json        data index hash, git commit, training config, seed, steps
    SHA256SUMS          the checksum of each file above, as `sha256sum` writes it

This module knows files; codec/weights.py puts tensors into them. The fingerprint is the SHA-256 of codec.json and
model.safetensors: what decides the codes, and nothing else. The entropy tables have a fingerprint
of their own, so that fitting them anew leaves packed containers readable.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.config import CodecConfig
from codec.container import FINGERPRINT_BYTES
from codec.errors import PackageError
from codec.files import TEMPORARY_PREFIX, sync_directory

CONFIG = "codec.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.json"
LINEAGE = "lineage.json"
ENTROPY = "entropy.safetensors"
SUMS = "SHA256SUMS"
CONTENT = (CONFIG, LINEAGE, METRICS, WEIGHTS)
OPTIONAL = (ENTROPY,)


@dataclass(frozen=True, kw_only=True)
class Package:
    """A verified package directory, weights not loaded."""

    directory: Path
    config: CodecConfig
    metrics: dict[str, Any]
    lineage: dict[str, Any]
    fingerprint: str
    has_entropy: bool

    @property
    def short_fingerprint(self) -> bytes:
        """The first 8 bytes, as containers carry them."""
        return bytes.fromhex(self.fingerprint)[:FINGERPRINT_BYTES]

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all its files."""
        return (*CONTENT, *((ENTROPY,) if self.has_entropy else ()), SUMS)

    @property
    def content_hash(self) -> str:
        """The SHA-256 of SHA256SUMS: equal for two packages only if every file is equal."""
        return _sha256(self.directory / SUMS)


def create_package(
    directory: Path,
    config: CodecConfig,
    write_weights: Callable[[Path], None],
    *,
    write_entropy: Callable[[Path], None] | None = None,
    metrics: dict[str, Any],
    lineage: dict[str, Any],
) -> Package:
    """Write a package atomically: `directory` appears whole or not at all.

    `write_weights` and `write_entropy` write the file that they are given.

    Raises:
        PackageError: `directory` exists already.
    """
    if directory.exists():
        raise PackageError(f"'{directory}' exists already: choose another folder or remove it")
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = directory.with_name(f"{TEMPORARY_PREFIX}{directory.name}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        write_weights(staging / WEIGHTS)
        (staging / CONFIG).write_text(config.to_json())
        (staging / METRICS).write_text(_json(metrics))
        (staging / LINEAGE).write_text(_json(lineage))
        if write_entropy is not None:
            write_entropy(staging / ENTROPY)
        for path in staging.iterdir():
            path.chmod(0o644)  # safetensors writes files for their owner alone
        names = sorted(path.name for path in staging.iterdir())
        (staging / SUMS).write_text("".join(f"{_sha256(staging / name)}  {name}\n" for name in names))
        sync_directory(staging)
        staging.rename(directory)
        sync_directory(directory.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return open_package(directory)


def open_package(directory: Path) -> Package:
    """Verify every checksum and read everything but the weights.

    Raises:
        PackageError: The directory is no package, or a file is missing, altered or too many.
    """
    _verify(directory)
    config = CodecConfig.from_json((directory / CONFIG).read_text())
    fingerprint = hashlib.sha256((directory / CONFIG).read_bytes() + (directory / WEIGHTS).read_bytes())
    return Package(
        directory=directory,
        config=config,
        metrics=_read_json(directory / METRICS),
        lineage=_read_json(directory / LINEAGE),
        fingerprint=fingerprint.hexdigest(),
        has_entropy=(directory / ENTROPY).exists(),
    )


def read_sums(data: bytes, where: str) -> dict[str, str]:
    """Return the SHA-256 of each file by name, as the SHA256SUMS of the package at `where` says.

    Raises:
        PackageError: It is no text, or lists other files than a package has.
    """
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise PackageError(f"'{where}' is not a package: it has no readable {SUMS}") from None
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if set(sums) - set(OPTIONAL) != set(CONTENT):
        raise PackageError(f"'{where}/{SUMS}' must list {', '.join(CONTENT)}, perhaps {ENTROPY}, and nothing else")
    return sums


def read_metrics(directory: Path) -> dict[str, Any]:
    """Return what metrics.json in a package holds, nothing else being read or verified.

    Raises:
        PackageError: It is missing, or not a JSON object.
    """
    return _read_json(directory / METRICS)


def _verify(directory: Path) -> None:
    if not directory.is_dir():
        raise PackageError(f"there is no package folder '{directory}'")
    try:
        sums = read_sums((directory / SUMS).read_bytes(), str(directory))
    except OSError:
        raise PackageError(f"'{directory}' is not a package: it has no readable {SUMS}") from None
    if unlisted := [name for name in OPTIONAL if name not in sums and (directory / name).exists()]:
        raise PackageError(f"'{directory / unlisted[0]}' is not listed in {SUMS}: remove it, or take the whole package")
    for name, digest in sums.items():
        path = directory / name
        if not path.is_file():
            raise PackageError(f"'{path}' is missing from the package")
        if _sha256(path) != digest:
            raise PackageError(f"'{path}' is not what {SUMS} says: it was altered or damaged")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        raise PackageError(f"'{path}' is not there, or is not JSON") from None
    if not isinstance(data, dict):
        raise PackageError(f"'{path}' must hold a JSON object")
    return data
