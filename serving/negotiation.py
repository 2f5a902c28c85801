"""Which of the forms that an answer can have a request's Accept header asks for."""

from __future__ import annotations

from collections.abc import Sequence

from serving.errors import ServiceError


def negotiate(accept: str, offered: Sequence[str]) -> str:
    """Return the best of the media types `offered`, the first of them if the client doesn't mind.

    Raises:
        ServiceError: `accept` takes none of them (406).
    """
    wanted = sorted((_weighted(word) for word in accept.split(",") if word.strip()), key=lambda pair: -pair[1])
    for pattern, weight in wanted or [("*/*", 1.0)]:
        for media_type in offered:
            if weight > 0 and pattern in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
                return media_type
    raise ServiceError(406, "not_acceptable", f"'{accept}' takes none of what there is: {', '.join(offered)}")


def _weighted(word: str) -> tuple[str, float]:
    pattern, *parameters = (part.strip().lower() for part in word.split(";"))
    weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return pattern, float(weight)
    except ValueError:
        return pattern, 0.0
