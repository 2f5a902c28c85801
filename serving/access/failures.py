"""Wrong keys, counted by the address they come from, in memory that is bounded however many addresses there are.

Guessing 256 bits is hopeless; who tries nevertheless is told to stop. A good key is never refused for the failures of
others behind the same address.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from serving.errors import ServiceError

MAX_FAILURES = 20
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 4096
# Whoever has one address of IPv6 has usually these many bits of them.
_HOST_BITS = 64


@dataclass
class _Window:
    ends: float
    failures: int = 0


class Failures:
    """Counts failures by address, in windows of a minute; the address that was quiet longest is forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def count(self, address: str) -> None:
        """Count a failure of `address`.

        Raises:
            ServiceError: It had too many in this minute.
        """
        now = self._clock()
        window = self._windows.pop(address, None)
        if window is None or window.ends <= now:
            window = _Window(now + WINDOW_SECONDS)
        self._windows[address] = window
        if len(self._windows) > MAX_ADDRESSES:
            self._windows.popitem(last=False)
        window.failures += 1
        if window.failures > MAX_FAILURES:
            seconds = max(1, math.ceil(window.ends - now))
            message = f"too many wrong keys came from this address: try again in {seconds} s"
            raise ServiceError(429, "too_many_failures", message, {"Retry-After": str(seconds)})


def client_address(scope: Scope) -> str:
    """Return the client's address, or its network for IPv6, or "" where there is none."""
    host = str(scope["client"][0]) if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(address) >> _HOST_BITS << _HOST_BITS, 128 - _HOST_BITS)))
    return str(getattr(address, "ipv4_mapped", None) or address)
