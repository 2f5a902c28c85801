"""ETags: the name of an answer, made of everything that it depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def etag(data: bytes, *facts: object) -> str:
    """Return the ETag of what `data` becomes under `facts`, such as a model's fingerprint and the parameters."""
    digest = hashlib.sha256(hashlib.sha256(data).digest())
    digest.update(repr(facts).encode())
    return f'"{digest.hexdigest()[:32]}"'


def is_known(headers: Mapping[str, str], tag: str) -> bool:
    """Tell whether a request's If-None-Match names the answer."""
    known = (word.strip().removeprefix("W/") for word in headers.get("If-None-Match", "").split(","))
    return any(word in (tag, "*") for word in known)
