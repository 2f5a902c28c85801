"""What the registry hands out: versions, the history of their aliases, reports, results of verification and of gc."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from registry.reference import ModelReference


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One registered package. `created` is UTC in ISO 8601; `directory` is where the store keeps it."""

    name: str
    version: int
    fingerprint: str
    content_hash: str
    created: str
    created_by: str
    note: str
    aliases: tuple[str, ...]
    metrics: dict[str, Any]
    lineage: dict[str, Any]
    directory: Path

    @property
    def reference(self) -> ModelReference:
        """What means this version and no other."""
        return ModelReference(name=self.name, version=self.version)

    def __str__(self) -> str:
        return str(self.reference)

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` can write."""
        return {**asdict(self), "directory": str(self.directory)}


@dataclass(frozen=True, kw_only=True)
class AliasChange:
    """One line of the history of `name@alias`: it went from `previous` (None: it was new) to `version`."""

    name: str
    alias: str
    action: str
    version: int
    previous: int | None
    changed: str
    changed_by: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` can write."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report that is kept with a version: `uses` says how well it did on what, `card` is the file to read.

    `hashes` are the SHA-256 of the files in `directory`.
    """

    version: str
    attached: str
    attached_by: str
    note: str
    uses: tuple[str, ...]
    card: Path
    directory: Path
    hashes: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` can write."""
        return {**asdict(self), "card": str(self.card), "directory": str(self.directory)}


@dataclass(frozen=True)
class Registration:
    """What registering did: `version`, and whether it is new or the same package was there before."""

    version: ModelVersion
    is_new: bool


@dataclass(frozen=True)
class Attachment:
    """What attaching did: `report`, and whether it is new or the same report was there before."""

    report: Report
    is_new: bool


@dataclass(frozen=True)
class Verification:
    """What re-hashing one version found: `problem` names the file that is missing or altered, None if all is well."""

    version: ModelVersion
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Collected:
    """A version that was collected, or would be; `size_bytes` is what it took on this machine, reports included."""

    name: str
    version: int
    created: str
    note: str
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"
