"""The result of an archive: a zip of the outputs, stored as they are, the same bytes whenever it is written."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from codec.files import atomic_path
from serving.jobs.archive import CHUNK_BYTES, Check

_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644 << 16


def pack_outputs(target: Path, outputs: Iterable[tuple[str, Path]], check: Check) -> None:
    """Write the files of `outputs`, each under its name, to a zip at `target`, which appears whole or not at all."""
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, path in outputs:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _FILE_MODE
            info.file_size = path.stat().st_size  # for entries beyond 4 GiB, zipfile has to know before
            with path.open("rb") as file, archive.open(info, "w") as entry:
                while chunk := file.read(CHUNK_BYTES):
                    entry.write(chunk)
                    check()
