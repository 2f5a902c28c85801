"""POST /v1/encode, /v1/decode and /v1/roundtrip: one file in, one file out."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from serving.body import FILE_FIELD, Upload, read_upload
from serving.caching import etag, is_known
from serving.disconnect import unless_gone
from serving.engine import Encoding, Engine
from serving.limits import ServiceLimits
from serving.models import ServedModel
from serving.negotiation import negotiate
from serving.observe.tracing import span
from serving.parameters import Parameters, join_parameters, parse_parameters
from serving.schemas import Codes, DecodeParameters, EncodeParameters, ErrorBody, RoundtripParameters

CONTAINER_TYPE = "application/vnd.nacre"
JSON_TYPE = "application/json"
AUDIO_TYPES = ("audio/wav", "audio/flac")
_HASHED_AT_ONCE_BYTES = 2**20
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody} for code in (400, 404, 406, 408, 409, 413, 415, 429, 503)
}


def convert_routes(engine: Engine, limits: ServiceLimits) -> APIRouter:
    """Return the conversions by `engine`."""
    routes = APIRouter()

    @routes.post("/v1/encode", response_class=Response, **_describe("audio/*", EncodeParameters, (CONTAINER_TYPE,)))
    async def encode(request: Request) -> Response:
        """Encode audio (wav, flac, mp3, ogg, opus) to a container, or with `Accept: application/json` to codes."""
        form = negotiate(request.headers.get("Accept", ""), (CONTAINER_TYPE, JSON_TYPE))
        with engine.admit():
            upload, chosen = await _read(request, limits, EncodeParameters)
            model = engine.models.choose(chosen.model)
            request.state.model, fingerprint = model.name, model.loaded.package.fingerprint
            tag = await _etag(engine, upload, fingerprint, chosen, form)
            if is_known(request.headers, tag):
                return Response(status_code=304, headers={"ETag": tag})
            encoding = await unless_gone(request, partial(engine.encode, model, upload.data, chosen))
            return await _encoded(engine, encoding, form, tag)

    @routes.post("/v1/decode", response_class=Response, **_describe(CONTAINER_TYPE, DecodeParameters, AUDIO_TYPES))
    async def decode(request: Request) -> Response:
        """Decode a container, or a stretch of it, to audio of its source's sample rate and exact length."""
        with engine.admit():
            upload, chosen = await _read(request, limits, DecodeParameters)
            tag = await _etag(engine, upload, chosen)
            if is_known(request.headers, tag):
                return Response(status_code=304, headers={"ETag": tag})
            decoding = await unless_gone(request, partial(engine.decode, upload.data, chosen))
        request.state.model = decoding.model.name
        headers = {**_model_headers(decoding.model), "ETag": tag}
        return Response(decoding.data, media_type=f"audio/{chosen.format}", headers=headers)

    @routes.post("/v1/roundtrip", response_class=Response, **_describe("audio/*", RoundtripParameters, AUDIO_TYPES))
    async def roundtrip(request: Request) -> Response:
        """Encode audio and decode it again: what the codec makes of it."""
        with engine.admit():
            upload, chosen = await _read(request, limits, RoundtripParameters)
            model = engine.models.choose(chosen.model)
            request.state.model = model.name
            encoding, decoding = await unless_gone(request, partial(engine.roundtrip, model, upload.data, chosen))
        headers = {**_encoding_headers(encoding), "X-Nacre-Bytes": str(len(encoding.encoded.data))}
        return Response(decoding.data, media_type=f"audio/{chosen.format}", headers=headers)

    return routes


async def _read(request: Request, limits: ServiceLimits, kind: type[Parameters]) -> tuple[Upload, Parameters]:
    """Read the body, and the parameters in the URL, which are checked first, and in the form if it is one."""
    chosen = parse_parameters(kind, request.query_params)
    with span("read"):
        upload = await read_upload(request, limits)
    if upload.fields:
        chosen = parse_parameters(kind, join_parameters(request.query_params, upload.fields))
    return upload, chosen


async def _etag(engine: Engine, upload: Upload, *facts: object) -> str:
    """Name the answer; a large body is hashed in a thread."""
    if len(upload.data) <= _HASHED_AT_ONCE_BYTES:
        return etag(upload.data, *facts)
    return await engine.run(lambda: etag(upload.data, *facts))


async def _encoded(engine: Engine, encoding: Encoding, form: str, tag: str) -> Response:
    headers = {**_encoding_headers(encoding), "ETag": tag, "Vary": "Accept"}
    if form == CONTAINER_TYPE:
        return Response(encoding.encoded.data, media_type=CONTAINER_TYPE, headers=headers)
    from serving.codes import codes_of

    text = await engine.run(lambda: codes_of(encoding.encoded.data, encoding.model).model_dump_json())
    return Response(text, media_type=JSON_TYPE, headers=headers)


def _encoding_headers(encoding: Encoding) -> dict[str, str]:
    return {
        **_model_headers(encoding.model),
        "X-Nacre-Seconds": f"{encoding.encoded.seconds:.6f}",
        "X-Nacre-Measured-Kbps": f"{encoding.encoded.measured_kbps:.3f}",
    }


def _model_headers(model: ServedModel) -> dict[str, str]:
    return {"X-Nacre-Model": quote(model.name), "X-Nacre-Fingerprint": model.loaded.package.fingerprint}


def _describe(takes: str, parameters: type[BaseModel], gives: tuple[str, ...]) -> dict[str, Any]:
    """Describe for OpenAPI a route that takes one file, raw or in a form, and gives one back.

    FastAPI would read the parameters too, at a twentieth of what a short request costs.
    """
    fields = parameters.model_json_schema()["properties"]
    form = fields | {FILE_FIELD: _BINARY["schema"]}
    query = [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in fields.items()]
    multipart = {"schema": {"type": "object", "required": [FILE_FIELD], "properties": form}}
    body = {"required": True, "content": {takes: _BINARY, "multipart/form-data": multipart}}
    content: dict[str, Any] = dict.fromkeys(gives, _BINARY)
    answer: dict[str, Any] = {"description": "The converted file", "content": content}
    if gives == (CONTAINER_TYPE,):
        answer["model"] = Codes
    return {"responses": {200: answer, **_REFUSALS}, "openapi_extra": {"parameters": query, "requestBody": body}}
