"""A body on its way to disk: counted and hashed as it arrives, refused at the limit, never held in memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from serving.body import capped, is_form
from serving.errors import ServiceError
from serving.jobs.form import FormReader
from serving.jobs.limits import JobLimits
from serving.jobs.store import check_storage

WRITE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """What was sent, and is on disk: its SHA-256, and a form's other fields and name of the file."""

    sha256: str
    fields: dict[str, str]
    name: str | None


async def spool_body(request: Request, path: Path, limits: JobLimits) -> Spooled:
    """Write the file that the body is, or holds as a form, to `path`, flushed to disk.

    Raises:
        LimitError: It is larger than allowed; nothing beyond the limit was kept.
        ServiceError: It is empty, came too slowly, is not the form it says it is, or fills the disk.
    """
    form = FormReader(request.headers["Content-Type"]) if is_form(request) else None
    file = await run_in_threadpool(path.open, "wb")
    try:
        async with asyncio.timeout(limits.job_upload_seconds):
            sha256 = await _write_all(request, form, _Writer(file, path.parent, limits))
    except TimeoutError:
        message = f"the body did not arrive within {limits.job_upload_seconds:g} s"
        raise ServiceError(408, "upload_timeout", message) from None
    finally:
        await run_in_threadpool(file.close)
    return Spooled(sha256=sha256, fields=form.fields if form else {}, name=form.file_name if form else None)


async def _write_all(request: Request, form: FormReader | None, writer: _Writer) -> str:
    async for chunk in capped(request, writer.limits.max_job_bytes):
        for piece in [chunk] if form is None else form.feed(chunk):
            await writer.add(piece)
    if form is not None:
        form.finish()
    return await writer.finish()


class _Writer:
    """Writes in large pieces, in threads."""

    def __init__(self, file: BinaryIO, folder: Path, limits: JobLimits) -> None:
        self.limits = limits
        self._file = file
        self._folder = folder
        self._hash = hashlib.sha256()
        self._waiting = bytearray()

    async def add(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) >= WRITE_BYTES:
            await run_in_threadpool(self._write)

    async def finish(self) -> str:
        await run_in_threadpool(self._write)
        if not await run_in_threadpool(self._sync):
            raise ServiceError(400, "empty_body", "the body is empty: send the file's bytes")
        return self._hash.hexdigest()

    def _write(self) -> None:
        check_storage(self._folder, self.limits)
        self._file.write(self._waiting)
        self._hash.update(self._waiting)
        self._waiting = bytearray()

    def _sync(self) -> int:
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()
