"""Why a file can't be transcoded, in a sentence."""

from __future__ import annotations

from codec.errors import NacreError


def explain(error: Exception) -> str:
    """Say in a sentence why a file can't be transcoded."""
    if isinstance(error, NacreError):
        return str(error)
    if isinstance(error, OSError):
        return f"it can't be read: {error.strerror or error}"
    return f"{type(error).__name__} while it was transcoded: {error}"
