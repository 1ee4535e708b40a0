"""One entry of the journal, and the sums over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onpaper.exchange import Chunk, End, Exchange, Headers, Reply, Request
from onpaper.script import Script


@dataclass(frozen=True, slots=True)
class Sent:
    """One send to the socket: `at` in seconds since the request arrived, `size` in bytes with all framing."""

    at: float
    size: int


class Entry(Exchange):
    """An exchange that is still growing: `reply` is what has left so far, `sends` every send with its size.

    `reply.end` is `open` until the ending was carried out, and stays so when the client went away before.
    `ended` is None until then; an exchange left hanging or half-closed ends when the client goes away.
    """

    __slots__ = ("_chunks", "_end", "_head", "_sends", "_size", "dropped", "script")

    def __init__(self, request: Request, connection: int = 0, started: float = 0.0) -> None:
        self.request = request
        self.source = "gateway"
        self.provoked = False
        self.redacted = False
        self.connection = connection
        self.started = started
        self.ended = None
        self.fired = []
        self.problem = ""
        self.dropped = False
        self.script: Script | None = None
        self._head: tuple[int, Headers, str] | None = None
        self._chunks: list[tuple[float, bytes]] = []
        self._sends: list[tuple[float, int]] = []
        self._end: End = "open"
        self._size = len(request.body)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: getattr(self, name) for name in ("ended", "fired", "problem", *Entry.__slots__)}
        return Entry, (self.request, self.connection, self.started), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    @property
    def reply(self) -> Reply | None:  # type: ignore[override]
        if self._head is None:
            return None
        status, headers, reason = self._head
        start = self.started
        chunks = tuple(Chunk(at - start, data) for at, data in tuple(self._chunks))
        return Reply(status, headers, chunks, self._end, reason)

    @property
    def sends(self) -> tuple[Sent, ...]:
        """Every send to the socket, head and framing included."""
        start = self.started
        return tuple(Sent(at - start, size) for at, size in tuple(self._sends))

    @property
    def running(self) -> bool:
        return self.ended is None

    @property
    def unfired(self) -> list[str]:
        """The faults that were scripted for this exchange and did not reach the wire (yet)."""
        scripted = self.script.faults if self.script is not None else ()
        return [fault for fault in scripted if fault not in self.fired]

    def __repr__(self) -> str:
        reply = "no reply" if self._head is None else f"{self._head[0]}, {self._end}"
        return f"<{self.request.method} {self.request.path} on connection {self.connection}: {reply}>"


class Counts:
    """Sums over every exchange that a journal ever finished; they only grow."""

    __slots__ = ("body_bytes", "exchanges", "fired", "problems", "refused", "seconds")

    def __init__(self) -> None:
        self.exchanges: dict[tuple[int, End], int] = {}
        """By status (0 without a reply) and ending."""
        self.fired: dict[str, int] = {}
        self.problems = 0
        self.refused = 0
        """Requests that never became an exchange."""
        self.body_bytes = 0
        self.seconds = 0.0

    def merge(self, other: Counts) -> None:
        """Add the sums of another."""
        for key, count in other.exchanges.items():
            self.exchanges[key] = self.exchanges.get(key, 0) + count
        for fault, count in other.fired.items():
            self.fired[fault] = self.fired.get(fault, 0) + count
        self.problems += other.problems
        self.refused += other.refused
        self.body_bytes += other.body_bytes
        self.seconds += other.seconds

    def add(self, entry: Entry, body_bytes: int) -> None:
        key = (entry._head[0] if entry._head is not None else 0, entry._end)
        self.exchanges[key] = self.exchanges.get(key, 0) + 1
        self.body_bytes += body_bytes
        self.seconds += (entry.ended or entry.started) - entry.started
        for fault in entry.fired:
            self.fired[fault] = self.fired.get(fault, 0) + 1
        if entry.problem:
            self.problems += 1
