"""A request's parameters: the operation, those of that operation, and the key that makes a request safe to repeat."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from serving.errors import ServiceError
from serving.jobs.job import Operation
from serving.parameters import join_parameters, parse_parameters
from serving.schemas import DecodeParameters, EncodeParameters

OPERATIONS: dict[Operation, type[EncodeParameters] | type[DecodeParameters]] = {
    "encode": EncodeParameters,
    "decode": DecodeParameters,
}
KEY_HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Choice:
    """What a request asks for."""

    operation: Operation
    parameters: EncodeParameters | DecodeParameters

    @property
    def stored(self) -> dict[str, Any]:
        """The parameters that aren't at their default."""
        return self.parameters.model_dump(mode="json", exclude_defaults=True)

    @property
    def format(self) -> str:
        """The format of decoded audio."""
        return self.parameters.format if isinstance(self.parameters, DecodeParameters) else ""

    def digest(self, sha256: str) -> str:
        """Return what tells this request, with a file of that SHA-256, from others."""
        return hashlib.sha256(json.dumps([self.operation, self.stored, sha256], sort_keys=True).encode()).hexdigest()


def parse_choice(query: Mapping[str, str], fields: Mapping[str, str]) -> Choice:
    """Join the parameters of the URL with those of the form, and check them.

    Raises:
        RequestValidationError: They are not what the operation takes.
        ServiceError: There is no operation, or something is given twice.
    """
    given = join_parameters(query, fields)
    operation = given.pop("operation", None)
    for known, parameters in OPERATIONS.items():
        if operation == known:
            return Choice(known, parse_parameters(parameters, given))
    raise ServiceError(422, "invalid_request", f"operation: must be one of {', '.join(get_args(Operation))}")


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Return the key that a request came with.

    Raises:
        ServiceError: It is none that can be kept.
    """
    key = headers.get(KEY_HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise ServiceError(422, "invalid_request", f"{KEY_HEADER}: must be 1 to 255 printable ASCII characters")
    return key


def describe_parameters() -> list[dict[str, Any]]:
    """Describe for OpenAPI what `parse_choice` takes from the URL."""
    schemas = {name: schema for model in OPERATIONS.values() for name, schema in _properties(model).items()}
    described: list[dict[str, Any]] = [
        {"name": "operation", "in": "query", "required": True, "schema": {"enum": list(OPERATIONS)}}
    ]
    described += [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]
    key = {"name": KEY_HEADER, "in": "header", "schema": {"type": "string", "maxLength": 255}}
    return [*described, key]


def _properties(model: type[BaseModel]) -> dict[str, Any]:
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    return properties
