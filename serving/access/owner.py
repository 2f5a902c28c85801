"""Whose request it is, as a dependency of routes."""

from __future__ import annotations

from fastapi import Request


def owner_of(request: Request) -> str:
    """Return the name of the key that AccessMiddleware let through, or "" where none was needed."""
    return str(request.state.owner)
