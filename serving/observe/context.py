"""The request that is being answered: its `scope["state"]`, for log lines that are written meanwhile.

It is there in the request's task and what that awaits, and in `asyncio.to_thread`; threads of an executor have it only
where they are given the context (`contextvars.copy_context().run`).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

current_state: ContextVar[dict[str, Any] | None] = ContextVar("current_state", default=None)
