"""One entry of the journal, and the sums over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onpaper.exchange import Chunk, End, Exchange, Reply, Request
from onpaper.gateway.framing import Plan, Send


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

    __slots__ = ("dropped", "end", "end_fired", "plan", "size", "times")

    def __init__(self, request: Request, connection: int = 0, started: float = 0.0) -> None:
        self.request = request
        self.source = "gateway"
        self.provoked = False
        self.redacted = False
        self.connection = connection
        self.started = started
        self.ended = None
        self.problem = ""
        self.plan: Plan | None = None
        """What is played; `times` tells how much of it has left."""
        self.times: list[float] = []
        """When each send of the plan had left, in monotonic seconds."""
        self.end: End = "open"
        self.end_fired = False
        self.size = len(request.body)
        """Bytes that the journal counts for this entry: its request, and its reply once it is over."""
        self.dropped = False

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: getattr(self, name) for name in ("ended", "problem", *Entry.__slots__)}
        return Entry, (self.request, self.connection, self.started), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def _left(self) -> list[tuple[float, Send]]:
        """The sends that have left, each with its time in seconds since the request arrived."""
        if self.plan is None:
            return []
        return [(at - self.started, send) for at, send in zip(self.times, self.plan.sends, strict=False)]

    @property
    def reply(self) -> Reply | None:  # type: ignore[override]
        left, plan = self._left(), self.plan
        if plan is None or not any(send.head for _, send in left):
            return None
        chunks = tuple(Chunk(at, send.body) for at, send in left if send.body)
        return Reply(plan.status, plan.headers, chunks, self.end, plan.reason)

    @property
    def fired(self) -> list[str]:  # type: ignore[override]
        fired = [fault for _, send in self._left() for fault in send.faults]
        if self.end_fired and self.plan is not None:
            fired.append(self.plan.end_fault)
        return fired

    @property
    def sends(self) -> tuple[Sent, ...]:
        """Every send to the socket, head and framing included."""
        return tuple(Sent(at, len(send.wire)) for at, send in self._left() if send.wire)

    @property
    def body_size(self) -> int:
        """Bytes of the reply's body that have left."""
        plan = self.plan
        if plan is None:
            return 0
        if len(self.times) == len(plan.sends):
            return plan.body_size
        return sum(len(send.body) for _, send in self._left())

    @property
    def running(self) -> bool:
        return self.ended is None

    @property
    def unfired(self) -> list[str]:
        """The faults that were scripted for this exchange and did not reach the wire (yet)."""
        scripted = self.plan.scripted if self.plan is not None else ()
        fired = self.fired if scripted else ()
        return [fault for fault in scripted if fault not in fired]

    def __repr__(self) -> str:
        reply = self.reply
        said = "no reply" if reply is None else f"{reply.status}, {reply.end}"
        return f"<{self.request.method} {self.request.path} on connection {self.connection}: {said}>"


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

    def add(self, entry: Entry) -> None:
        """Count an exchange that is over."""
        plan = entry.plan
        key = (plan.status if plan is not None and entry.times else 0, entry.end)
        self.exchanges[key] = self.exchanges.get(key, 0) + 1
        self.body_bytes += entry.body_size
        self.seconds += (entry.ended or entry.started) - entry.started
        if plan is not None and plan.faulty:
            for fault in entry.fired:
                self.fired[fault] = self.fired.get(fault, 0) + 1
        if entry.problem:
            self.problems += 1
