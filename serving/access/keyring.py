"""The keys as a running service knows them: read anew when their file has changed, which is looked at once a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from codec.errors import NacreError
from serving.access.key import KEY_PATTERN, Key
from serving.access.store import KeyStore
from serving.errors import ServiceError, unavailable

CHALLENGE = {"WWW-Authenticate": "Bearer"}
LOOK_SECONDS = 1.0
# What a key that nobody holds is compared with, so that it takes as long as one that somebody does.
_NOBODY = Key(name="", id="", sha256="0" * 64, created="", requests_per_minute=1, concurrency=1)

logger = logging.getLogger("nacre.access")


class Keyring:
    """Finds the key that a client presents; while the file can't be read, every key is refused."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._next_look = float("-inf")
        self._signature: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}
        self._fault: str | None = None

    def find(self, text: str) -> Key:
        """Return the key that `text` is.

        Raises:
            ServiceError: It is none of ours (401), or the keys can't be read (503).
        """
        self._look()
        if self._fault is not None:
            raise unavailable("keys_damaged", "the service can't read its keys")
        match = KEY_PATTERN.fullmatch(text)
        if match is None or not self._keys.get(match[1], _NOBODY).fits(text):
            raise ServiceError(401, "bad_key", "the key is not one of this service's", CHALLENGE)
        return self._keys[match[1]]

    def _look(self) -> None:
        if (now := self._clock()) < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        signature = self._sign()
        if signature == self._signature and self._fault is None:
            return
        try:
            self._keys = {key.id: key for key in self._store.read()}
            self._fault, self._signature = None, signature
        except NacreError as error:
            if str(error) != self._fault:
                logger.error("every key is refused: %s", error)
            self._fault = str(error)

    def _sign(self) -> tuple[int, int, int] | None:
        """Return what differs when the file was replaced or written to, or None if it isn't there."""
        try:
            state = self._store.path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return (-1, -1, -1)
        return state.st_mtime_ns, state.st_ino, state.st_size
