"""Versions on their way between registries: a folder, or a prefix in an object store, that says all about one.

    DEST/version.json                         written last
    DEST/codec.json, model.safetensors, ...   the package, so that DEST itself is one
    DEST/reports/1/, reports/2/, ...          its reports, oldest first

What is copied is read again and compared. Names, numbers and aliases stay behind: they are the registry's.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from codec.errors import RegistryError
from codec.files import TEMPORARY_PREFIX, sync_directory
from registry.registry import Registry
from registry.storage.folders import remove_folder
from registry.storage.location import Location
from registry.storage.manifest import package_manifest
from registry.storage.report_store import report_manifest
from registry.version import ModelVersion, Registration
from registry.version_file import NAME, ExportedReport, VersionFile, read_version_file, version_file

_REPORTS = "reports"


@dataclass(frozen=True)
class Exported:
    """What was exported: `version`, and how many reports with it."""

    version: ModelVersion
    reports: int


@dataclass(frozen=True)
class Imported:
    """What importing did: the registration, and how many reports are new to the version."""

    registration: Registration
    new_reports: int


def export_version(models: Registry, reference: str, destination: str) -> Exported:
    """Write a version and its reports to `destination`, a folder or URL at which nothing is yet.

    A folder appears whole; elsewhere version.json does last.

    Raises:
        UnknownModelError: `reference` means nothing.
        PackageError: A file of the package is missing or altered.
        RegistryError: `destination` exists, or can't be written; or a file of a report is missing or altered.
        MissingToolError: `destination` needs a package that is not installed.
    """
    version = models.resolve(reference)
    models.fetch_reports(version)
    reports = models.reports(version)
    target = Location(destination)
    if target.exists():
        raise RegistryError(f"'{target}' exists already: choose another place, or remove it")
    with _appearing(target) as place:
        for number, report in enumerate(reports, 1):
            report_manifest(report.hashes).store(report.directory, place / _REPORTS / str(number))
        manifest = package_manifest(Location(str(version.directory)), version.content_hash)
        manifest.store(version.directory, place)
        place.write(NAME, version_file(version, reports).to_bytes())
    return Exported(version, len(reports))


def import_version(models: Registry, source: str, name: str) -> Imported:
    """Register what is at `source`, a folder or URL, as the next version of `name`, and attach the reports with it.

    It is an export, or a package alone. Everything is verified before anything is registered; if the package is a
    version of `name` already, its reports are added to that. The version's note says where it came from.

    Raises:
        PackageError: A file of the package is missing or altered.
        RegistryError: Nothing is at `source`, or it can't be read; `name` can't be a name; or a file of a report is
            missing or altered.
        MissingToolError: `source` needs a package that is not installed.
    """
    place = Location(source)
    if not place.exists():
        raise RegistryError(f"there is nothing at '{place}'")
    described = read_version_file(place)
    reports = described.reports if described else ()
    with tempfile.TemporaryDirectory(prefix="nacre-import-") as temporary:
        package = Path(temporary, "package")
        package.mkdir()
        package_manifest(place, described.content_hash if described else None).fetch(place, package)
        folders = [_fetch_report(place, number, report, Path(temporary)) for number, report in enumerate(reports, 1)]
        registration = models.register_or_find(package, name, note=_origin(place, described))
        attached = [
            models.attach(registration.version.reference, folder, note=_report_note(report))
            for folder, report in zip(folders, reports, strict=True)
        ]
    return Imported(registration, sum(attachment.is_new for attachment in attached))


def _fetch_report(place: Location, number: int, report: ExportedReport, parent: Path) -> Path:
    folder = parent / f"report-{number}"
    folder.mkdir()
    report_manifest(report.hashes).fetch(place / _REPORTS / str(number), folder, alone=True)
    return folder


def _origin(place: Location, described: VersionFile | None) -> str:
    """Return the note of an imported version: where from, and what was said of it there."""
    note = f"imported from {place.path or place}"
    if described is None:
        return note
    note += f", where {described.created_by} registered it as {described.name}:{described.version}"
    note += f" ({described.created})"
    return f"{note}: {described.note}" if described.note else note


def _report_note(report: ExportedReport) -> str:
    first = f"first attached by {report.attached_by} ({report.attached})"
    return f"{report.note}; {first}" if report.note else first


@contextmanager
def _appearing(target: Location) -> Iterator[Location]:
    """Yield where to write what becomes `target` when the block ends well."""
    path = target.path
    if path is None:
        yield target
        return
    staging = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        yield Location(str(staging))
        staging.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise RegistryError(f"can't write '{target}': {error}") from error
    finally:
        remove_folder(staging)
