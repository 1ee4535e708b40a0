"""While a backend is driven it may not leave the loopback, and finds no key or proxy that is not ours.

A subject that ignores `base_url` must not bill anyone. Python's own sockets announce each connection and each name
look-up to audit hooks (PEP 578), and a hook may refuse; that covers every client written on them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

FOREIGN = re.compile(r".*_API_KEY\Z|.*_API_BASE\Z|.*_BASE_URL\Z|(https?|all|no|ftp)_proxy\Z|NETRC\Z", re.IGNORECASE)
_LOCAL_NAMES = {"localhost", "", "ip6-localhost"}

_active = threading.Event()
_installed = False
_attempts: list[str] = []


class LeftTheLoopback(ConnectionRefusedError):
    """Raised into a subject that tries to reach another machine."""


def is_local(host: Any) -> bool:
    """Whether a host, as given to a socket call, is this machine."""
    if host is None:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    text = text.rstrip(".").partition("%")[0].lower()
    if text in _LOCAL_NAMES or text.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _active.is_set():
        return
    if event == "socket.connect" or event == "socket.sendto":
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None  # a Unix socket is local
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = args[0][0] if isinstance(args[0], tuple) else args[0]
    else:
        return
    if not is_local(host):
        _attempts.append(str(host))
        raise LeftTheLoopback(f"onpaper refuses connections that leave the loopback: {host}")


def _skip_certificates(*_: Any, **__: Any) -> None:
    """Nothing is verified on the loopback, and reading the bundle costs 19 ms for each client that is made."""


@contextlib.contextmanager
def guarded(env: Mapping[str, str | None]) -> Iterator[list[str]]:
    """Guard what runs inside; yields the hosts that were asked for and refused.

    `env` are variables to set (None: to unset). Foreign keys, base URLs and proxies are unset.
    """
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    saved = dict(os.environ)
    load = ssl.SSLContext.load_verify_locations
    for name in [name for name in os.environ if FOREIGN.match(name)]:
        del os.environ[name]
    for name, value in env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    start = len(_attempts)
    tried: list[str] = []
    ssl.SSLContext.load_verify_locations = _skip_certificates  # type: ignore[method-assign]
    _active.set()
    try:
        yield tried
    finally:
        _active.clear()
        ssl.SSLContext.load_verify_locations = load  # type: ignore[method-assign]
        tried.extend(_attempts[start:])
        for name in set(os.environ) - set(saved):
            del os.environ[name]
        for name, value in saved.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
