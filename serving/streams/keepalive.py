"""Pings without a deadline.

Uvicorn pings a WebSocket's client, and closes the connection if the answer doesn't come in time. But a client that is
held back, because it sends faster than a model works, isn't read: its answer waits behind its data. Who is gone or
stalls is let go by the streams' own rule (serving/streams/session.py).
"""

from __future__ import annotations

import functools


def drop_ping_deadline() -> None:
    """Let every uvicorn server that this process makes from now on wait for answers to its pings for ever.

    BentoML makes its servers itself, and passes no such option on.
    """
    import uvicorn

    patched = functools.partialmethod(uvicorn.Config.__init__, ws_ping_timeout=None)
    uvicorn.Config.__init__ = patched  # type: ignore[method-assign, assignment]  # a method either way
