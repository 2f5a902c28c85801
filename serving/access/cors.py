"""Which pages of other origins may use the API in a browser: those in NACRE_CORS_ORIGINS, and none without it.

Put `CORSMiddleware` with `cors_options` outside of AccessMiddleware, so that refusals can be read by those pages too.
"""

from __future__ import annotations

import os
import re
from typing import Any

from codec.errors import NacreError

VARIABLE = "NACRE_CORS_ORIGINS"
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?")
_PREFLIGHT_SECONDS = 600


def allowed_origins() -> tuple[str, ...]:
    """Return the origins that NACRE_CORS_ORIGINS lists, separated by commas.

    Raises:
        NacreError: One of them is no origin.
    """
    origins = tuple(text.strip() for text in os.environ.get(VARIABLE, "").split(",") if text.strip())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            message = f"{VARIABLE} has {origin!r}: an origin is written as https://audio.example.org, without a path"
            raise NacreError(f"{message}, and each one is named")
    return origins


def cors_options(origins: tuple[str, ...]) -> dict[str, Any]:
    """Return what Starlette's CORSMiddleware takes; cookies are never asked for."""
    return {
        "allow_origins": origins,
        "allow_methods": ("GET", "POST", "DELETE"),
        "allow_headers": ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-ID"),
        "expose_headers": (
            "ETag",
            "Location",
            "Retry-After",
            "X-Request-ID",
            "X-Nacre-Model",
            "X-Nacre-Fingerprint",
            "X-Nacre-Seconds",
            "X-Nacre-Measured-Kbps",
            "X-Nacre-Bytes",
        ),
        "max_age": _PREFLIGHT_SECONDS,
    }
