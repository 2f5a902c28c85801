"""How every failure looks over HTTP: one shape, and a status for each class of error.

    {"error": {"code": "bad_audio", "message": "the audio holds no samples"}, "request_id": "5f0c..."}

An error of ours is shown as it is. An error that says something of this machine rather than of the request, and any
that nobody foresaw, is logged and answered with 500 and no detail.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from codec.errors import (
    AudioError,
    BitrateError,
    BitstreamError,
    CapabilityError,
    ConflictError,
    LimitError,
    MissingToolError,
    ModelMismatchError,
    NacreError,
    UnknownModelError,
)
from serving.request import request_id

STATUS: dict[type[NacreError], int] = {
    AudioError: 400,
    LimitError: 413,
    BitrateError: 400,
    CapabilityError: 400,
    BitstreamError: 400,
    ModelMismatchError: 409,
    UnknownModelError: 404,
    ConflictError: 409,
    MissingToolError: 415,
}
HTTP_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
RETRY_SECONDS = 1


class ServiceError(Exception):
    """A refusal that only a server has: `status`, the stable word `code`, one sentence, and headers to add."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


def unavailable(code: str, message: str) -> ServiceError:
    """Return the refusal of a service that can't answer now."""
    return ServiceError(503, code, f"{message}: try again later", {"Retry-After": str(RETRY_SECONDS)})


def status_of(error: NacreError) -> int:
    """Return the status for an error of ours, by its nearest class in the table; others are 500."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)


def error_response(
    request: Request, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the one shape, and note the code for whoever counts."""
    request.state.error_code = code
    body = {"error": {"code": code, "message": message}, "request_id": request_id(request.scope)}
    return JSONResponse(body, status, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    """Give `app` the one shape for every failure it foresees; RequestMiddleware answers for the rest."""

    @app.exception_handler(NacreError)
    async def _(request: Request, error: NacreError) -> JSONResponse:
        status = status_of(error)
        if status == 500:
            raise error
        return error_response(request, status, error.code, str(error))

    @app.exception_handler(ServiceError)
    async def _(request: Request, error: ServiceError) -> JSONResponse:
        return error_response(request, error.status, error.code, str(error), error.headers)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTP_CODES.get(error.status_code, "http_error")
        message = f"{request.method} {request.url.path}: {error.detail}"
        return error_response(request, error.status_code, code, message, error.headers)

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(request, 422, "invalid_request", describe(error))


def describe(error: RequestValidationError) -> str:
    """Say in one sentence which parameter is wrong, and why; the value itself is not repeated."""
    faults = (f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg'].lower()}" for fault in error.errors())
    return "; ".join(faults)
