"""Nested objects as one level of dotted keys: {"a": {"b": 1}} is {"a.b": 1}; lists are values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def dotted(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `data` with the path to each value as its key, sorted at each level."""
    flat: dict[str, Any] = {}
    for key, value in sorted(data.items()):
        if isinstance(value, Mapping):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def as_text(value: object) -> str:
    """Return a value as people read it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
