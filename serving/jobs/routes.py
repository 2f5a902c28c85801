"""POST, GET and DELETE under /v1/jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from serving.body import FILE_FIELD, claimed_bytes, is_form
from serving.jobs.converter import Converter
from serving.jobs.job import JobFacts, JobList
from serving.jobs.names import upload_name
from serving.jobs.spool import spool_body
from serving.jobs.store import MAX_PAGE, JobStore, Submission, refusal
from serving.jobs.submission import OPERATIONS, describe_parameters, idempotency_key, parse_choice
from serving.schemas import ErrorBody

OwnerOf = Callable[..., str] | Callable[..., Awaitable[str]]
DEFAULT_PAGE = 20
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def nobody() -> str:
    """Return the owner of jobs where callers have no names."""
    return ""


def job_routes(store: JobStore, converter: Converter, owner_of: OwnerOf = nobody) -> APIRouter:
    """Return the routes on `store`.

    `converter` only checks parameters here; `owner_of` is a dependency that tells whose request it is.
    """
    routes = APIRouter()
    uploads = _Uploads(store.limits.max_job_uploads)

    @routes.post("/v1/jobs", status_code=202, **_describe_submission())
    async def submit(request: Request, response: Response, owner: str = Depends(owner_of)) -> JobFacts:
        """Take an audio file, a container, or a zip or tar of many, to be converted in the background."""
        with uploads.place():
            facts, new = await _take(request, store, converter, owner)
        response.headers["Location"] = f"{request.scope.get('root_path', '')}/v1/jobs/{facts.id}"
        if not new:
            response.status_code = 200
        return facts

    @routes.get("/v1/jobs", responses=_refusals(422))
    def jobs(
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
        cursor: Annotated[str | None, Query(description="`next` of the page before", max_length=64)] = None,
        owner: str = Depends(owner_of),
    ) -> JobList:
        """List your jobs, newest first."""
        return store.page(owner, limit, cursor)

    @routes.get("/v1/jobs/{job_id}", responses=_refusals(404))
    def job(job_id: str, owner: str = Depends(owner_of)) -> JobFacts:
        """Tell how far a job is."""
        return store.get(owner, job_id)

    @routes.get("/v1/jobs/{job_id}/result", response_class=FileResponse, responses=_describe_result())
    def result(job_id: str, owner: str = Depends(owner_of)) -> FileResponse:
        """Give the converted file, or a zip of all that could be converted."""
        found = store.result(owner, job_id)
        return FileResponse(found.path, media_type=found.media_type, filename=found.name)

    @routes.delete("/v1/jobs/{job_id}", status_code=204, responses=_refusals(404))
    def remove(job_id: str, owner: str = Depends(owner_of)) -> None:
        """Cancel a job, or remove a finished one, with what it holds."""
        store.remove(owner, job_id)

    return routes


class _Uploads:
    """A bounded number of uploads at once; its own event loop's only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for one upload.

        Raises:
            ServiceError: Every place is taken.
        """
        if self._now >= self._most:
            raise refusal(503, "overloaded", "too many uploads at once: try again later")
        self._now += 1
        try:
            yield
        finally:
            self._now -= 1


async def _take(request: Request, store: JobStore, converter: Converter, owner: str) -> tuple[JobFacts, bool]:
    """Check what can be checked before the body, take the body, and make it a job."""
    key, query = idempotency_key(request.headers), dict(request.query_params)
    if not is_form(request):
        choice = parse_choice(query, {})
        await run_in_threadpool(converter.check, choice.parameters)
    await run_in_threadpool(store.check_room, owner, claimed_bytes(request, store.limits.max_job_bytes))
    job_id = await run_in_threadpool(store.draft)
    try:
        spooled = await spool_body(request, store.folder(job_id).input, store.limits)
        choice = parse_choice(query, spooled.fields)
        await run_in_threadpool(converter.check, choice.parameters)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(store.folder(job_id).remove)
        raise
    submission = Submission(
        owner=owner,
        operation=choice.operation,
        parameters=choice.stored,
        format=choice.format,
        name=upload_name(spooled.name),
        digest=choice.digest(spooled.sha256),
        idempotency_key=key,
    )
    return await run_in_threadpool(store.add, job_id, submission)


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody} for status in statuses}


def _describe_submission() -> dict[str, Any]:
    properties: dict[str, Any] = {"operation": {"enum": list(OPERATIONS)}}
    for parameters in OPERATIONS.values():
        properties |= parameters.model_json_schema()["properties"]
    form = {"type": "object", "required": [FILE_FIELD], "properties": properties | {FILE_FIELD: _BINARY["schema"]}}
    content = {"application/octet-stream": _BINARY, "multipart/form-data": {"schema": form}}
    return {
        "responses": {200: {"model": JobFacts}, **_refusals(400, 404, 408, 409, 413, 422, 429, 503)},
        "openapi_extra": {
            "parameters": describe_parameters(),
            "requestBody": {"required": True, "content": content},
        },
    }


def _describe_result() -> dict[int | str, dict[str, Any]]:
    types = ("application/vnd.nacre", "audio/wav", "audio/flac", "application/zip")
    answer = {"description": "The converted file", "content": dict.fromkeys(types, _BINARY)}
    return {200: answer, **_refusals(404, 409)}
