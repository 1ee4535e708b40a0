"""How much of what was sent the client has read, where the system can tell: on Linux, for a client on
this machine.

A promise to split a reply would be empty if two sends could still arrive in one read. Linux says about
any TCP socket in its network namespace how many bytes it received and how many of those wait to be read
(sock_diag(7), without privileges, in about ten microseconds). Elsewhere the answer is None and the caller
can only pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from typing import Any

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_REQUEST = 1
INET_DIAG_INFO = 2
INET_DIAG_MSG_SIZE = 72
RQUEUE_OFFSET = 56
"""Of `idiag_rqueue` in `struct inet_diag_msg` (linux/inet_diag.h)."""
BYTES_RECEIVED_OFFSET = 128
"""Of `tcpi_bytes_received` in `struct tcp_info` (linux/tcp.h)."""


SPIN_SECONDS = 0.002
PATIENCE_SECONDS = 0.25
PAUSE_SECONDS = 0.001


class Lockstep:
    """Says when the client has read all that was sent, so that the next send arrives in a read of its own.

    A client that has not read for a quarter of a second does not keep up: it is no longer waited for until it
    has caught up again. Where the system cannot tell, a millisecond passes between sends instead.
    """

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._peer = Peer(transport.get_extra_info("peername"), transport.get_extra_info("sockname"))
        progress = self._peer.progress()
        self._expected = progress[0] if progress else None
        self._patience = PATIENCE_SECONDS
        self._since = 0.0

    def sent(self, size: int) -> None:
        """So many bytes have left just now."""
        self._since = time.monotonic()
        if self._expected is not None:
            self._expected += size

    def delay(self) -> float:
        """Seconds after which to ask again; negative when the next send may leave."""
        waited = time.monotonic() - self._since
        if self._expected is None:
            return PAUSE_SECONDS - waited if waited < PAUSE_SECONDS else -1.0
        progress = self._peer.progress()
        if progress is None or (progress[0] >= self._expected and not progress[1]):
            self._patience = PATIENCE_SECONDS
            return -1.0
        if waited >= self._patience:
            self._patience = 0.0
            return -1.0
        return 0.0 if waited < SPIN_SECONDS else PAUSE_SECONDS

    def close(self) -> None:
        self._peer.close()


class Peer:
    """The client's end of one connection, as the kernel sees it."""

    def __init__(self, client: tuple[Any, ...], server: tuple[Any, ...]) -> None:
        self._request = _request(client, server)
        self._netlink = _netlink() if self._request else None

    def progress(self) -> tuple[int, int] | None:
        """Bytes that the client's socket has received, and how many of them wait to be read; None if
        unknown.
        """
        if self._netlink is None or self._request is None:
            return None
        try:
            self._netlink.send(self._request)
            return _parse(self._netlink.recv(8192))
        except (OSError, struct.error):
            return None

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None


def _netlink() -> socket.socket | None:
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError):
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
        opened.settimeout(0.05)
        return opened
    return None


def _request(client: tuple[Any, ...], server: tuple[Any, ...]) -> bytes | None:
    """A request for the one socket with these two addresses (struct inet_diag_req_v2)."""
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    try:
        ends = [
            socket.inet_pton(family, host.partition("%")[0]).ljust(16, b"\0")
            for host in (client[0], server[0])
        ]
    except OSError:
        return None
    ports = struct.pack("!HH", client[1], server[1])
    any_interface, no_cookie = bytes(4), b"\xff" * 8
    identity = ports + ends[0] + ends[1] + any_interface + no_cookie
    every_state = 0xFFFFFFFF
    body = (
        struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), every_state) + identity
    )
    return struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY, NLMSG_REQUEST, 1, 0) + body


def _parse(answer: bytes) -> tuple[int, int] | None:
    _, kind, *_ = struct.unpack_from("=IHHII", answer)
    if kind != SOCK_DIAG_BY_FAMILY:  # an error: there is no such socket here
        return None
    (waiting,) = struct.unpack_from("=I", answer, 16 + RQUEUE_OFFSET)
    at = 16 + INET_DIAG_MSG_SIZE
    while at + 4 <= len(answer):
        size, attribute = struct.unpack_from("=HH", answer, at)
        if attribute == INET_DIAG_INFO:
            if size < 4 + BYTES_RECEIVED_OFFSET + 8:  # before Linux 4.1
                return None
            (received,) = struct.unpack_from("=Q", answer, at + 4 + BYTES_RECEIVED_OFFSET)
            return received, waiting
        at += max(4, (size + 3) & ~3)
    return None
