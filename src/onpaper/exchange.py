"""One request and all that came back, piece by piece with times.

A cassette, a journal entry of the gateway and a live call are three ways to obtain an `Exchange`; the clauses
about requests and replies are pure functions of one. This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from onpaper import jsontext

Headers = tuple[tuple[str, str], ...]

End = Literal["clean", "cut", "reset", "hang", "half-close", "timeout", "open"]
"""How a connection ended: `clean` (the message was complete), `cut` (closed before it was), `reset` (TCP RST),
`hang` (the server kept silent), `half-close` (the server closed its sending side only), `timeout` (the client
gave up), `open` (the client went away, or the exchange is still running)."""

SILENT: tuple[End, ...] = ("hang", "timeout", "open")
"""The endings in which the server said no more, whoever ended it: played again, each is a `hang`."""


def header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a header, by its case-insensitive name (RFC 9110 §5.1), or None."""
    return next(iter(header_values(headers, name)), None)


def header_values(headers: Iterable[tuple[str, str]], name: str) -> list[str]:
    """Every value of a header, in the order sent."""
    wanted = name.lower()
    return [value for key, value in headers if key.lower() == wanted]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was on the wire: `target` is path and query, `body` the exact bytes (not transfer-coded)."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        return header(self.headers, name)

    def json(self) -> Any:
        """The body as JSON (see `jsontext`). Raises ValueError when it is not JSON in UTF-8."""
        return jsontext.parse(self.body)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of a body that arrived, or left, together; `at` is in seconds since the request was sent."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers and body of an answer. The body is what the transfer coding carried, not content-decoded."""

    status: int
    headers: Headers = ()
    chunks: tuple[Chunk, ...] = ()
    end: End = "clean"
    reason: str = ""

    @property
    def body(self) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks)

    def header(self, name: str) -> str | None:
        return header(self.headers, name)


@dataclass(slots=True)
class Exchange:
    """One request, and the reply if there was one.

    `provoked` says that the request was meant to be refused, so its body is not judged. `redacted` says that
    its headers were masked by a recorder, so its credentials are not judged. `connection` numbers the TCP
    connections of one server from 1. `fired` names the scripted faults that really reached the wire.
    `started` and `ended` are in seconds on the monotonic clock.
    """

    request: Request
    reply: Reply | None = None
    source: str = ""
    provoked: bool = False
    redacted: bool = False
    connection: int = 0
    started: float = 0.0
    ended: float | None = None
    fired: list[str] = field(default_factory=list)
    problem: str = ""
    """Why the server could not play what was asked of it (an unexpected request, say), in one sentence."""
