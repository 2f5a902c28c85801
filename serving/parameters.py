"""A request's parameters, from the URL and from a form, as the models of serving/schemas.py and others take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from serving.errors import ServiceError

Parameters = TypeVar("Parameters", bound=BaseModel)


def join_parameters(query: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Join the parameters of the URL with those of the form.

    Raises:
        ServiceError: One is given twice.
    """
    if twice := sorted(query.keys() & fields.keys()):
        raise ServiceError(422, "invalid_request", f"{', '.join(twice)}: given both in the URL and in the form")
    return {**query, **fields}


def parse_parameters(model: type[Parameters], given: Mapping[str, Any]) -> Parameters:
    """Return what was given as `model`.

    Raises:
        RequestValidationError: It is not what the model takes.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
