"""Publishing a registered version to W&B: its package as an artifact of type "model", linked to a registry collection.

The registry is ours, and W&B has copies. W&B can't link artifacts offline, so nothing is sent unless all can be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codec.errors import MissingToolError, RegistryError
from codec.package import open_package
from registry.registry import Registry
from registry.version import ModelVersion
from training.wandb_server import wandb_settings, why_unreachable

if TYPE_CHECKING:
    from wandb import Artifact, Run

PROJECT = "nacre"
COLLECTIONS = "wandb-registry-model"


@dataclass(frozen=True)
class Published:
    """What was published: `version`, as W&B's artifact `artifact`, linked to `collection`."""

    version: ModelVersion
    artifact: str
    collection: str


def publish(models: Registry, reference: str, collection: str | None = None) -> Published:
    """Send a version's package to W&B and link it to a collection, by default the registry's one of its name.

    The project is WANDB_PROJECT's, or else `nacre`. The same package twice is one artifact.

    Raises:
        UnknownModelError: `reference` means nothing.
        PackageError: A file of the package is missing or altered.
        RegistryError: W&B is offline or has no key here; or its server can't be reached, or refuses.
        MissingToolError: W&B is not installed.
    """
    _check_online()
    version = models.resolve(reference)
    target = collection or f"{COLLECTIONS}/{version.name}"
    aliases = [f"version-{version.version}", *version.aliases]
    artifact, sent = _artifact(version), None
    try:
        with _run(version) as run:
            sent = run.log_artifact(artifact, aliases=aliases).wait()
            run.link_artifact(sent, target, aliases=aliases)
            return Published(version, sent.qualified_name, target)
    except Exception as error:  # W&B's errors have no root of their own
        if sent is None:
            raise RegistryError(f"{version} was not sent to W&B: {_one_line(error)}") from None
        raise RegistryError(f"{version} was sent to W&B, but not linked to '{target}': {_one_line(error)}") from None


@contextmanager
def _run(version: ModelVersion) -> Iterator[Run]:
    """Yield a run of W&B's, which has failed if the block does; its own block would print a traceback."""
    import wandb

    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    project = wandb_settings().project or PROJECT
    with tempfile.TemporaryDirectory(prefix="nacre-wandb-") as folder:
        run = wandb.init(project=project, job_type="publish", name=str(version), dir=folder, settings=settings)
        exit_code = 1
        try:
            yield run
            exit_code = 0
        finally:
            run.finish(exit_code=exit_code)


def _check_online() -> None:
    """Refuse to begin what would not reach the server."""
    try:
        import wandb
    except ImportError:
        raise MissingToolError("nothing was sent, as W&B is not installed: pip install 'nacre[training]'") from None
    settings = wandb_settings()
    if settings.mode not in ("online", "shared"):
        raise RegistryError(
            f"nothing was sent, as W&B is {settings.mode} here: set WANDB_MODE=online (or run 'wandb online')"
        )
    if reason := why_unreachable(settings.base_url):
        raise RegistryError(f"nothing was sent, as {settings.base_url} can't be reached: {reason}")
    try:
        has_key = wandb.login(prompt=False, verify=True)
    except Exception as error:  # as in `publish`
        raise RegistryError(f"nothing was sent, as {settings.base_url} refuses: {_one_line(error)}") from None
    if not has_key:
        raise RegistryError("nothing was sent, as W&B has no key here: set WANDB_API_KEY or run 'wandb login'")


def _artifact(version: ModelVersion) -> Artifact:
    import wandb

    artifact = wandb.Artifact(
        version.name,
        type="model",
        description=version.note or None,
        metadata={
            "registered": str(version),
            "created": version.created,
            "created_by": version.created_by,
            "fingerprint": version.fingerprint,
            "content_hash": version.content_hash,
            "metrics": version.metrics,
            "lineage": version.lineage,
        },
    )
    package = open_package(version.directory)
    for file in package.files:
        # Nobody changes what the store holds, so W&B needs no copy of its own.
        artifact.add_file(str(package.directory / file), policy="immutable", skip_cache=True)
    return artifact


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
