"""A request's body: counted as it arrives, refused at the limit, raw or as a form with the field `file`."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from codec.errors import LimitError
from serving.errors import ServiceError
from serving.limits import ServiceLimits

FILE_FIELD = "file"
MAX_FIELDS = 8
MAX_FIELD_BYTES = 1024


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What was sent: the file's bytes, and the form's other fields if it was a form."""

    data: bytes
    fields: dict[str, str] = field(default_factory=dict)


async def read_upload(request: Request, limits: ServiceLimits) -> Upload:
    """Read the body, whatever its form.

    Raises:
        LimitError: It is larger than allowed; nothing beyond the limit was kept.
        ServiceError: It is empty, came too slowly, or is not the form it says it is.
    """
    claimed_bytes(request, limits.max_body_bytes)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            upload = await _read(request, limits)
    except TimeoutError:
        message = f"the body did not arrive within {limits.upload_seconds:g} s"
        raise ServiceError(408, "upload_timeout", message) from None
    if not upload.data:
        raise ServiceError(400, "empty_body", "the body is empty: send the file's bytes")
    return upload


async def _read(request: Request, limits: ServiceLimits) -> Upload:
    stream = capped(request, limits.max_body_bytes)
    if is_form(request):
        return await _read_form(request, stream)
    data = io.BytesIO()
    async for chunk in stream:
        data.write(chunk)
    return Upload(data=data.getvalue())


async def _read_form(request: Request, stream: AsyncGenerator[bytes, None]) -> Upload:
    parser = MultiPartParser(request.headers, stream, max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ServiceError(400, "bad_form", f"the form can't be read: {error.message}") from None
    try:
        file = form.get(FILE_FIELD)
        if not isinstance(file, UploadFile):
            raise ServiceError(400, "bad_form", f"the form has no file in a field '{FILE_FIELD}'")
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        return Upload(data=await file.read(), fields=fields)
    finally:
        await form.close()


async def capped(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives.

    Raises:
        LimitError: It has more than `most` bytes.
    """
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > most:
            raise _too_large(most)
        yield chunk


def is_form(request: Request) -> bool:
    """Tell whether the body is a form with the file in it, rather than the file itself."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind == "multipart/form-data"


def claimed_bytes(request: Request, most: int) -> int:
    """Return the size that a body claims to have, before a byte of it is read; 0 if it claims none.

    Raises:
        LimitError: It claims more than `most`.
    """
    claim = request.headers.get("Content-Length", "0")
    if not claim.isdecimal():
        return 0
    if int(claim) > most:
        raise _too_large(most)
    return int(claim)


def _too_large(most: int) -> LimitError:
    return LimitError(f"the body is larger than the {most} bytes allowed")
