"""Runs in this process, and what tests of transcoding look at. Any test module can import it (pyproject.toml)."""

import json

from serving.transcode.coordinator import transcode
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.manifest import MANIFEST
from serving.transcode.order import Order
from serving.transcode.settings import Settings

ENCODE = Settings(num_quantizers=2)


def tree(root):
    """Return the content of every file, by name."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def records(target):
    """Return the manifest's records by source."""
    return {record["source"]: record for record in map(json.loads, (target / MANIFEST).read_text().splitlines())}


def make_order(model, source, target, settings=ENCODE, **changes):
    """Return the order of a run with a loaded model."""
    return Order(
        source=str(source),
        target=str(target),
        package=model.package.directory,
        fingerprint=model.package.fingerprint,
        settings=settings,
        **changes,
    )


def transcode_inline(model, source, target, settings=ENCODE, engine=None, **changes):
    """Transcode in this process, and return the tally."""
    return transcode(make_order(model, source, target, settings, **changes), engine or InlineEngine(model))
