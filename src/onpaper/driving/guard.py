"""While a backend is driven it may not leave the loopback, and finds no key or proxy that is not ours.

A subject that ignores `base_url` must not bill anyone. Python's own sockets announce each connection and each
name look-up to audit hooks (PEP 578), and a hook may refuse; that covers every client written on them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import ssl
import sys
from collections.abc import Iterator, Mapping
from typing import Any

FOREIGN = re.compile(
    r".*_API_KEY\Z|.*_API_BASE\Z|.*_BASE_URL\Z|(https?|all|no|ftp|ws|wss)_proxy\Z|NETRC\Z", re.IGNORECASE
)
_LOCAL_NAMES = {"localhost", "", "ip6-localhost"}
_CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_STARTS = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.system")
_CHANGES = ("os.putenv", "os.unsetenv")
_LOOKS_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


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
        return ipaddress.ip_address(text.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


class _Guard:
    """What changed while one `guarded` was on, and who was there before it."""

    def __init__(self, outer: _Guard | None) -> None:
        self.outer = outer
        self.tried: list[str] = []
        self.programs = 0
        self.variables: dict[str, str | None] = {}
        """The variables that were set or unset, with what they were before; Python announces each change as well."""
        self.load = ssl.SSLContext.load_verify_locations

    def restore(self) -> None:
        ssl.SSLContext.load_verify_locations = self.load  # type: ignore[method-assign]
        for name, value in tuple(self.variables.items()):
            _set(name, value)


def _set(name: str, value: str | None) -> None:
    if value is not None:
        os.environ[name] = value
    elif name in os.environ:
        del os.environ[name]


_now: _Guard | None = None
_installed = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    guard = _now
    if guard is None:
        return
    if event in _CONNECTS:
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None  # a Unix socket is local
    elif event in _STARTS:
        guard.programs += 1
        return
    elif event in _CHANGES:
        name = os.fsdecode(args[0])
        guard.variables.setdefault(name, os.environ.get(name))
        return
    elif event in _LOOKS_UP:
        host = args[0][0] if isinstance(args[0], tuple) else args[0]
    else:
        return
    if not is_local(host):
        shown = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        guard.tried.append(shown)
        raise LeftTheLoopback(f"onpaper refuses connections that leave the loopback: {shown}")


def _skip_certificates(*_: Any, **__: Any) -> None:
    """Nothing is verified on the loopback, and reading the bundle costs 19 ms for each client that is made."""


@contextlib.contextmanager
def guarded(env: Mapping[str, str | None]) -> Iterator[list[str]]:
    """Guard what runs inside; yields the hosts that were asked for and refused so far.

    `env` are variables to set (None: to unset). Foreign keys, base URLs and proxies are unset. Guards may be
    nested. One that was left open by a subject that blocks its thread, and ends after another has begun,
    restores nothing any more: see `leave_behind`.
    """
    global _now, _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    guard = _now = _Guard(_now)
    for name, value in {**dict.fromkeys(filter(FOREIGN.match, os.environ)), **env}.items():
        _set(name, value)
    ssl.SSLContext.load_verify_locations = _skip_certificates  # type: ignore[method-assign]
    try:
        yield guard.tried
    finally:
        if _now is guard:
            guard.restore()
            _now = guard.outer


def programs_started() -> int:
    """How many programs were started under the guard that is on now: what they do cannot be seen from here."""
    return 0 if _now is None else _now.programs


def leave_behind(depth: int) -> None:
    """End the guards above that depth in place of a thread that will not come back to do it."""
    global _now
    while depth_of_guards() > depth:
        assert _now is not None
        _now.restore()
        _now = _now.outer


def depth_of_guards() -> int:
    """How many guards are open."""
    depth, guard = 0, _now
    while guard is not None:
        depth, guard = depth + 1, guard.outer
    return depth
