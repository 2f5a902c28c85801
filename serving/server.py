"""Start the service in the foreground: everything that can be wrong is found before BentoML starts."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from codec.errors import NacreError
from codec.home import bentoml_home
from codec.package import open_package
from serving.access.cors import allowed_origins
from serving.access.policy import check_access
from serving.access.store import KeyStore
from serving.limits import ServiceLimits
from serving.memory import WORKER_ENVIRONMENT
from serving.observe.directory import create_directory
from serving.workers import WORKERS_VARIABLE

SERVICE = "serving.service:NacreService"
ROOT = Path(__file__).resolve().parents[1]
# After SIGTERM: how long requests in flight may take to finish.
SHUTDOWN_SECONDS = 10


def serve_forever(references: Sequence[str], *, host: str, port: int, workers: int) -> NoReturn:
    """Become the service: this process turns into BentoML's supervisor, so that signals reach it directly.

    An alias is followed while it serves; a version or a folder stays what it is.

    Raises:
        UnknownModelError: There is no such model.
        PackageError: Its package is incomplete or altered.
        NacreError: The address can't be listened on, needs a key that isn't there, or a setting in the environment is
            wrong.
    """
    ServiceLimits.from_environment()
    allowed_origins()
    check_access(host, KeyStore())
    os.environ["NACRE_MODEL"] = ",".join(checked_references(references))
    os.environ[WORKERS_VARIABLE] = str(workers)
    check_address(host, port)
    bentoml_home()
    create_directory()
    for name, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    arguments = ["--host", host, "--port", str(port), "--working-dir", str(ROOT)]
    arguments += ["--timeout-graceful-shutdown", str(SHUTDOWN_SECONDS)]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", SERVICE, *arguments])  # noqa: S606  # no shell


def checked_references(references: Sequence[str]) -> list[str]:
    """Return the references, folders as absolute paths, once each was found to be a whole package.

    Raises:
        UnknownModelError: One means nothing.
        PackageError: A package is incomplete or altered.
        NacreError: A comma is in one, which separates them on their way to the workers.
    """
    from registry.resolve import find_package

    checked = []
    for reference in references:
        found = find_package(reference)
        open_package(found.directory)
        checked.append(str(found.directory.absolute()) if found.version is None else reference)
        if "," in checked[-1]:
            raise NacreError(f"'{checked[-1]}' can't be served, for the comma in its name: rename the folder")
    return checked


def check_address(host: str, port: int) -> None:
    """Check that the address is an IP address that can be listened on.

    Raises:
        NacreError: It can't be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise NacreError(f"can't listen on {host} port {port}: {error.strerror or error}") from None
