"""What differs between two versions, part by part; what is equal is left out, and what one lacks is None.

    codec     the configuration, as codec.json has it
    metrics   what validation measured
    lineage   data, parent, commit, configuration, seed, steps
    files     bytes and the start of the SHA-256 of each
    reports   how many, and of the newest: when it was attached, what it says of which audio, and where its card is

Keys are dotted: `data.index_sha256`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.errors import PackageError
from registry.dotted import dotted
from registry.version import ModelVersion, Report

_HASH_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A value that two versions don't share."""

    part: str
    key: str
    first: Any
    second: Any


def differences(first: dict[str, dict[str, Any]], second: dict[str, dict[str, Any]]) -> list[Difference]:
    """Compare what `parts_of` returned of two versions."""
    return [
        Difference(part=part, key=key, first=first[part].get(key), second=second[part].get(key))
        for part in first
        for key in sorted(first[part].keys() | second[part].keys())
        if first[part].get(key) != second[part].get(key)
    ]


def parts_of(version: ModelVersion, reports: Sequence[Report]) -> dict[str, dict[str, Any]]:
    """Return all that can differ of a version whose files were verified, and its reports, oldest first.

    Raises:
        PackageError: A file can't be read.
    """
    from codec.package import CONFIG, SUMS  # it loads NumPy, which listing and naming don't need

    try:
        codec = json.loads((version.directory / CONFIG).read_text())
        files = _files(version.directory, SUMS)
    except OSError as error:
        raise PackageError(f"{version} can't be read: {error}") from None
    parts = {
        "codec": codec,
        "metrics": version.metrics,
        "lineage": version.lineage,
        "files": files,
        "reports": _summary(reports),
    }
    return {part: dotted(data) for part, data in parts.items()}


def _files(directory: Path, sums: str) -> dict[str, Any]:
    lines = (line.partition("  ") for line in (directory / sums).read_text().splitlines())
    return {
        name: {"bytes": (directory / name).stat().st_size, "sha256": digest[:_HASH_DIGITS]} for digest, _, name in lines
    }


def _summary(reports: Sequence[Report]) -> dict[str, Any]:
    summary: dict[str, Any] = {"count": len(reports)}
    if reports:
        newest = reports[-1]
        uses = "; ".join(newest.uses)
        summary["newest"] = {"attached": newest.attached, "evaluated on": uses, "card": str(newest.card)}
    return summary
