"""The HTTP API, version 1: audio in, container out, and back.

    POST /v1/encode    audio in the body, or in the form field `file`   -> application/vnd.nacre
    POST /v1/decode    container, likewise                              -> audio/wav or audio/flac
    GET  /v1/models    what is served
    GET  /livez, /readyz, /openapi.json

Nothing here fetches a URL, and no body is held before a place was admitted and its size was bounded.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from serving.body import FILE_FIELD, read_upload
from serving.engine import Engine
from serving.errors import ServiceError, add_error_handlers
from serving.limits import ServiceLimits
from serving.request import RequestMiddleware
from serving.schemas import DecodeParameters, EncodeParameters, ErrorBody, Health, ModelList

CONTAINER_TYPE = "application/vnd.nacre"
Parameters = TypeVar("Parameters", EncodeParameters, DecodeParameters)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ENCODE_HEADERS = ("X-Nacre-Model", "X-Nacre-Fingerprint", "X-Nacre-Seconds", "X-Nacre-Measured-Kbps")


def create_app(engine: Engine, limits: ServiceLimits) -> FastAPI:
    """Return the API on `engine`, which may be loaded later; until then it answers 503."""
    app = FastAPI(
        title="Nacre",
        version="1",
        summary="Encode and decode audio with a neural codec.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={code: {"model": ErrorBody} for code in (422, 500)},
    )
    app.add_middleware(RequestMiddleware)
    add_error_handlers(app)
    _add_conversions(app, engine, limits)
    _add_facts(app, engine)
    return app


def _add_conversions(app: FastAPI, engine: Engine, limits: ServiceLimits) -> None:
    refusals: dict[int | str, dict[str, Any]] = {code: {"model": ErrorBody} for code in (400, 408, 409, 413, 415, 503)}

    @app.post(
        "/v1/encode", response_class=Response, **_binary("audio/*", (CONTAINER_TYPE,), refusals, EncodeParameters)
    )
    async def encode(request: Request, query: Annotated[EncodeParameters, Query()]) -> Response:
        """Encode audio (wav, flac, mp3, ogg, opus) to a container."""
        with engine.admit():
            upload = await read_upload(request, limits)
            encoded = await engine.encode(upload.data, _merge(query, upload.fields))
        values = (f"{encoded.seconds:.6f}", f"{encoded.measured_kbps:.3f}")
        headers = dict(zip(_ENCODE_HEADERS, (*_model_values(engine), *values), strict=True))
        return Response(encoded.data, media_type=CONTAINER_TYPE, headers=headers)

    @app.post(
        "/v1/decode",
        response_class=Response,
        **_binary(CONTAINER_TYPE, ("audio/wav", "audio/flac"), refusals, DecodeParameters),
    )
    async def decode(request: Request, query: Annotated[DecodeParameters, Query()]) -> Response:
        """Decode a container to audio of its source's sample rate and exact length."""
        with engine.admit():
            upload = await read_upload(request, limits)
            chosen = _merge(query, upload.fields)
            data = await engine.decode(upload.data, chosen)
        headers = dict(zip(_ENCODE_HEADERS, _model_values(engine), strict=False))
        return Response(data, media_type=f"audio/{chosen.format}", headers=headers)


def _add_facts(app: FastAPI, engine: Engine) -> None:
    unready: dict[int | str, dict[str, Any]] = {503: {"model": ErrorBody}}

    @app.get("/v1/models", responses=unready)
    async def models() -> ModelList:
        """List the models that are served."""
        return ModelList(models=[engine.facts()])

    @app.get("/livez")
    async def livez() -> Health:
        """Answer as long as the process does."""
        return Health()

    @app.get("/readyz", responses=unready)
    async def readyz() -> Health:
        """Answer 200 once the model is loaded."""
        engine.facts()
        return Health()


def _merge(query: Parameters, fields: dict[str, str]) -> Parameters:
    """Join the parameters of the URL with those of the form."""
    given = query.model_dump(exclude_unset=True)
    if twice := sorted(given.keys() & fields.keys()):
        raise ServiceError(422, "invalid_request", f"{', '.join(twice)}: given both in the URL and in the form")
    try:
        return type(query).model_validate({**given, **fields})
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def _model_values(engine: Engine) -> tuple[str, str]:
    facts = engine.facts()
    return quote(facts.name), facts.fingerprint


def _binary(
    takes: str, gives: tuple[str, ...], refusals: dict[int | str, dict[str, Any]], parameters: type[BaseModel]
) -> dict[str, Any]:
    """Describe for OpenAPI a route that takes one file, raw or in a form, and gives one back."""
    form = parameters.model_json_schema()["properties"] | {FILE_FIELD: _BINARY["schema"]}
    multipart = {"schema": {"type": "object", "required": [FILE_FIELD], "properties": form}}
    body = {"required": True, "content": {takes: _BINARY, "multipart/form-data": multipart}}
    answer = {"description": "The converted file", "content": dict.fromkeys(gives, _BINARY)}
    return {"responses": {200: answer, **refusals}, "openapi_extra": {"requestBody": body}}
