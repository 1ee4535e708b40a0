"""What reached the gateway and what left it: a bounded list of exchanges that a test can ask, and wait on."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from onpaper.exchange import Request
from onpaper.gateway.entry import Counts, Entry
from onpaper.gateway.masking import rows

T = TypeVar("T")

COMPLETION_PATHS = ("/completions", "/responses", "/messages", "/embeddings", "/api/chat", "/api/generate")


def costs_money(request: Request) -> bool:
    """Whether a provider would bill this request: a POST to a path that generates or embeds."""
    return request.method == "POST" and request.path.endswith(COMPLETION_PATHS)


@dataclass(frozen=True, slots=True)
class Closure:
    """A connection that was closed: its number, when (monotonic seconds), and by whom."""

    connection: int
    at: float
    by_client: bool


class Journal:
    """The exchanges of one gateway, oldest first, as a read-only sequence.

    At most `exchanges` entries and, roughly, `kept_bytes` bytes of requests and replies are kept; the oldest
    are dropped and counted in `dropped`. `total` counts every request since the journal was made or cleared,
    `connections` every connection ever accepted.
    """

    def __init__(
        self,
        *,
        exchanges: int = 10_000,
        kept_bytes: int = 64 * 1024 * 1024,
        billable: Callable[[Request], bool] = costs_money,
    ) -> None:
        if exchanges < 1 or kept_bytes < 1:
            raise ValueError("a journal keeps at least one exchange and one byte")
        self.max_exchanges = exchanges
        self.max_bytes = kept_bytes
        self.total = 0
        self._cleared = 0  # what `total` was at each `clear`, so that a mark stays what it is
        self.dropped = 0
        self.connections = 0
        self.refusals: deque[str] = deque(maxlen=1000)
        """Why malformed or oversized requests were refused before they became an exchange; the newest
        thousand.
        """
        self.closures: deque[Closure] = deque(maxlen=10_000)
        self.settle: Callable[[], None] = lambda: None
        """Called before a read: a gateway in another thread lets its loop finish the step it is in."""
        self.sink: Callable[[Entry], None] | None = None
        """Called with every exchange that is over, before it can be dropped: a file, say."""
        self.counts = Counts()
        self._costs = billable
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._wakers: list[Callable[[], None]] = []

    # What the gateway tells it. One thread (or loop) calls these; readers may be in any other.

    def begin(self, entry: Entry) -> None:
        """A request has arrived."""
        self.total += 1
        self._entries.append(entry)
        self._bytes += entry.size
        if len(self._entries) > self.max_exchanges or self._bytes > self.max_bytes:
            self._trim()
        if self._wakers:
            self._wake()

    def finish(self, entry: Entry) -> None:
        """An exchange is over: nothing of it changes any more."""
        self.counts.add(entry)
        if self.sink is not None:
            self.sink(entry)
        if entry.plan is not None and not entry.dropped:
            entry.size += entry.plan.weight
            self._bytes += entry.plan.weight
            if self._bytes > self.max_bytes:
                self._trim()
        if self._wakers:
            self._wake()

    def opened(self) -> int:
        """A connection was accepted. Returns its number, from 1."""
        self.connections += 1
        return self.connections

    def closed(self, connection: int, by_client: bool) -> None:
        self.closures.append(Closure(connection, time.monotonic(), by_client))
        if self._wakers:
            self._wake()

    def refused(self, sentence: str) -> None:
        self.refusals.append(sentence)
        self.counts.refused += 1
        if self._wakers:
            self._wake()

    def _trim(self) -> None:
        """Drop the oldest; the newest stays, however large it is."""
        entries = self._entries
        while len(entries) > 1 and (len(entries) > self.max_exchanges or self._bytes > self.max_bytes):
            oldest = entries.popleft()
            oldest.dropped = True
            self._bytes -= oldest.size
            self.dropped += 1

    def _wake(self) -> None:
        for waker in tuple(self._wakers):
            waker()

    # What a test asks it.

    def __len__(self) -> int:
        self.settle()
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._snapshot())

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return self._snapshot()[index]
        self.settle()
        try:
            return self._entries[index]
        except IndexError:
            raise IndexError(
                f"the journal holds {len(self._entries)} exchanges, so there is no number {index}"
                + (f" ({self.dropped} older ones were dropped)" if self.dropped else "")
            ) from None

    def __repr__(self) -> str:
        held = f"{len(self._entries)} exchanges, {self.dropped} dropped, {self.connections} connections"
        return f"<Journal of {held}>"

    def _snapshot(self) -> list[Entry]:
        self.settle()
        while True:
            try:
                return list(self._entries)
            except RuntimeError:  # the other thread appended while we copied
                continue

    @property
    def requests(self) -> list[Request]:
        return [entry.request for entry in self._snapshot()]

    @property
    def billable(self) -> list[Entry]:
        """The exchanges that a provider would bill."""
        return [entry for entry in self._snapshot() if self._costs(entry.request)]

    @property
    def fired(self) -> list[str]:
        """Every scripted fault that reached the wire, in the order of the exchanges."""
        return [fault for entry in self._snapshot() for fault in entry.fired]

    @property
    def problems(self) -> list[str]:
        """What the gateway could not play, one sentence each."""
        return [entry.problem for entry in self._snapshot() if entry.problem]

    @property
    def unfired(self) -> list[str]:
        """Every scripted fault that did not reach the wire, in the order of the exchanges."""
        return [fault for entry in self._snapshot() for fault in entry.unfired]

    def mark(self) -> int:
        """A place in the journal, for `since`."""
        self.settle()
        return self._cleared + self.total

    def since(self, mark: int) -> list[Entry]:
        """The exchanges that began after a mark (without those already dropped or cleared away)."""
        while True:
            begun = self._cleared + self.total
            entries = self._snapshot()
            if begun == self._cleared + self.total:  # else the other thread began one in between
                count = max(0, begun - mark)
                return entries[-count:] if count else []

    def clear(self) -> None:
        """Forget every exchange, refusal and closure; the numbering of connections and of marks goes on."""
        self.settle()
        forgotten, self._entries = self._entries, deque()
        for entry in list(forgotten):
            entry.dropped = True
        self._bytes = 0
        self._cleared += self.total
        self.total = 0
        self.dropped = 0
        self.refusals.clear()
        self.closures.clear()

    def lines(self) -> Iterator[str]:
        """The journal as JSON Lines, without line ends; credentials are masked (see `masking`)."""
        for row in rows(self._snapshot()):
            yield json.dumps(row, ensure_ascii=False, separators=(",", ":"))

    # Waiting, without sleeping.

    def wait_for(self, predicate: Callable[[Journal], T], timeout: float = 5.0) -> T:
        """Block until `predicate(journal)` is true and return its value; for tests that are not on the
        gateway's own loop. Raises TimeoutError, with what the journal holds, after `timeout` seconds.
        """
        event = threading.Event()
        deadline = time.monotonic() + timeout
        with self._waking(event.set):
            while True:
                event.clear()
                value = predicate(self)
                if value:
                    return value
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not event.wait(remaining):
                    value = predicate(self)
                    if value:
                        return value
                    raise TimeoutError(self._late(timeout))

    async def async_wait_for(self, predicate: Callable[[Journal], T], timeout: float = 5.0) -> T:
        """The same without blocking the event loop; the gateway may be on this loop or in another thread."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def waker() -> None:
            loop.call_soon_threadsafe(event.set)

        with self._waking(waker):
            try:
                async with asyncio.timeout(timeout):
                    while True:
                        event.clear()
                        value = predicate(self)
                        if value:
                            return value
                        await event.wait()
            except TimeoutError:
                raise TimeoutError(self._late(timeout)) from None

    @contextmanager
    def _waking(self, waker: Callable[[], None]) -> Iterator[None]:
        self._wakers.append(waker)
        try:
            yield
        finally:
            self._wakers.remove(waker)

    def _late(self, timeout: float) -> str:
        last = ", ".join(repr(entry) for entry in self._snapshot()[-3:]) or "nothing"
        return f"what was waited for did not happen in {timeout:g} s; the journal ends with: {last}"


def ended(count: int = 1) -> Callable[[Journal], Any]:
    """A predicate for `wait_for`: at least this many exchanges are over."""
    return lambda journal: sum(not entry.running for entry in journal) >= count


def closed_by_client(connection: int | None = None) -> Callable[[Journal], Any]:
    """A predicate for `wait_for`: the client closed this connection (any, by default)."""
    return lambda journal: any(
        closure.by_client and connection in (None, closure.connection) for closure in tuple(journal.closures)
    )
