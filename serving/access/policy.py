"""When access is open: to programs of this machine, of a service that listens on loopback addresses alone.

There is no switch. A request counts as this machine's own when its client is a loopback address, it came through no
proxy, and neither its `Host` nor its `Origin` is a foreign name: a foreign site's page, in a browser on this machine,
can send to 127.0.0.1, and by DNS rebinding also read.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
from collections.abc import Collection, Iterable

import psutil
from starlette.datastructures import Headers
from starlette.types import Scope

from codec.errors import NacreError
from serving.access.store import KeyStore

_OWN_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_OWN_ORIGIN = re.compile(rf"https?://{_OWN_HOST.pattern}", re.IGNORECASE)
_PROXY_HEADERS = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})


def check_access(host: str, keys: KeyStore) -> None:
    """Check before the service listens on `host` that nobody can use it who shouldn't.

    Raises:
        NacreError: Other machines could reach it and there is no key, or the keys can't be read.
    """
    if not is_loopback(host) and not keys.read():
        message = f"listening on {host} needs a key, and there is none: create one with `nacre keys create NAME`"
        raise NacreError(message)


@functools.lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Tell whether `host` is a loopback address; a name is none, whatever it resolves to."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def listens_on_loopback() -> bool:
    """Tell whether this process has sockets that listen, and all of them on loopback addresses.

    A worker can't know by its settings: `bentoml serve --host` never tells it.
    """
    connections = psutil.Process(os.getpid()).net_connections("tcp")
    return _all_loopback(one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN)


def is_own(scope: Scope, origins: Collection[str]) -> bool:
    """Tell whether a request is one of this machine's own programs, or of a page from one of `origins` in them."""
    client = scope.get("client")
    if not client or not is_loopback(client[0]):
        return False
    if not _PROXY_HEADERS.isdisjoint(name for name, _ in scope["headers"]):
        return False
    headers = Headers(scope=scope)
    origin = headers.get("Origin")
    fine = origin is None or origin in origins or _OWN_ORIGIN.fullmatch(origin) is not None
    return fine and _OWN_HOST.fullmatch(headers.get("Host", "")) is not None


def _all_loopback(hosts: Iterable[str]) -> bool:
    found = set(hosts)
    return bool(found) and all(is_loopback(host) for host in found)
