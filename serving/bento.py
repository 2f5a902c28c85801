"""Build a Bento: the code that serves, one package, and pinned requirements; it serves where nothing of ours is.

Nothing is resolved or downloaded: versions are those of constraints.txt, and what needs what is read from the
environment this runs in.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from codec.errors import MissingToolError, NacreError
from codec.home import bentoml_home
from codec.package import Package, open_package
from serving.server import ROOT, SERVICE

ROOMS = ("codec", "registry", "serving")
PACKAGE = "package"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")


def build_bento(reference: str, out: Path | None = None) -> str:
    """Build a Bento of a model in BentoML's store, export it to the new folder `out` if given, and return its tag.

    Raises:
        UnknownModelError: There is no such model.
        PackageError: Its package is incomplete or altered.
        NacreError: `out` exists already.
    """
    from registry.resolve import resolve_package

    package = open_package(resolve_package(reference))
    if out is not None and out.exists():
        raise NacreError(f"'{out}' exists already: choose another folder or remove it")
    requirements = pinned_requirements()
    bentoml_home()
    import bentoml

    with tempfile.TemporaryDirectory(prefix="nacre-bento-") as context:
        _stage(Path(context), package)
        bento = bentoml.bentos.build(
            SERVICE,
            labels={"model": package.config.name, "fingerprint": package.short_fingerprint.hex()},
            build_ctx=context,
            python={"packages": requirements, "lock_packages": False},
        )
    if out is not None:
        bento.export(str(out.absolute()), output_format="folder")
    return str(bento.tag)


def pinned_requirements() -> list[str]:
    """Return `name==version` for everything that serving needs, directly or not, as constraints.txt pins it.

    Raises:
        MissingToolError: This is no checkout with pyproject.toml and constraints.txt.
    """
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        lines = (ROOT / "constraints.txt").read_text().splitlines()
    except OSError as error:
        raise MissingToolError(f"a Bento is built from a checkout of Nacre: {error.filename} is not there") from None
    pins = {canonicalize_name(match[1]): match[2] for line in lines if (match := _PIN.match(line))}
    needed = _closure([*project["dependencies"], *project["optional-dependencies"]["serving"]])
    return [f"{name}=={pins[name]}" for name in sorted(needed) if name in pins]


def _closure(requirements: list[str]) -> set[NormalizedName]:
    """Follow requirements through the environment's metadata; what isn't installed here isn't followed."""
    seen: set[tuple[NormalizedName, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, wanted_by = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted_by}):
            continue
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [(Requirement(text), extra) for text in _requires(name)]
    return {name for name, _ in seen}


def _requires(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def _stage(context: Path, package: Package) -> None:
    """Lay out what the Bento holds: the rooms, and the package where serving/assembly.py looks for it."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, context / room, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (context / PACKAGE).mkdir()
    for name in package.files:
        shutil.copyfile(package.directory / name, context / PACKAGE / name)
