"""One answer on its way out: plays a plan on a transport, send by send, and notes in the journal what left.

Driven by callbacks of the event loop, without a task of its own: a 50-event stream costs 50 turns of the loop
and nothing else.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from time import monotonic

from onpaper.exchange import SILENT
from onpaper.gateway.entry import Entry
from onpaper.gateway.framing import Plan
from onpaper.gateway.lockstep import Lockstep

EARLY = 0.0005
"""Seconds by which a timer may fire early: event loops count in milliseconds."""

LINGER_ZERO = struct.pack("ii", 1, 0)


class Playing:
    """Sends a plan and carries out its ending, then calls `done(keep)` unless the ending keeps the
    exchange open.

    A send counts as left, and its faults as fired, only once the kernel has taken all of its bytes. The
    transport's write buffer limits must be zero, so that `unblocked` is called as soon as that is so.
    """

    __slots__ = (
        "_blocked",
        "_done",
        "_due",
        "_entry",
        "_index",
        "_lockstep",
        "_loop",
        "_over",
        "_plan",
        "_sends",
        "_timer",
        "_times",
        "_transport",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        plan: Plan,
        entry: Entry,
        done: Callable[[bool], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._plan = plan
        self._entry = entry
        self._done = done
        self._index = 0
        self._sends = plan.sends
        self._times = entry.times
        self._blocked = False
        self._timer: asyncio.Handle | None = None
        self._due = monotonic()
        self._over = False
        self._lockstep = Lockstep(transport) if plan.lockstep else None

    def start(self, sent: int = 0) -> None:
        """Begin, or go on after so many sends that were written already and have not all left."""
        self._index = sent
        if sent:
            if not self._transport.is_closing():
                self._blocked = True
        elif self._sends[0].after:
            self._pause(self._sends[0].after, self._send)
        else:
            self._send()

    def abandon(self) -> None:
        """The connection is gone: nothing more can be sent."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lockstep is not None:
            self._lockstep.close()

    def unblocked(self) -> None:
        """The socket took what it had refused before."""
        if self._blocked and not self._over:
            self._blocked = False
            self._due = monotonic()
            self._continue()

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` after a pause, counted from when the last step was due, so that lateness does not
        add up.
        """
        self._due += seconds
        self._arm(then)

    def _arm(self, then: Callable[[], None]) -> None:
        remaining = self._due - monotonic()
        if remaining > EARLY:
            self._timer = self._loop.call_later(remaining, self._arm, then)
        else:
            self._timer = None
            then()

    def _send(self) -> None:
        if self._over:
            return
        transport = self._transport
        wire = self._sends[self._index].wire
        self._index += 1
        if wire:
            transport.write(wire)
            if transport.get_write_buffer_size():
                self._blocked = True
                return
            if transport.is_closing():  # the write found the connection broken
                return
        self._continue()

    def _continue(self) -> None:
        """The last send has left. Go to the next one, or to the ending: after its pause, or after one
        turn of the loop so that the client may read what came, or when it has.
        """
        sends, index = self._sends, self._index
        self._times.append(monotonic())
        if index < len(sends):
            after, then = sends[index].after, self._send
        else:
            after, then = self._plan.end_after, self._finish
        if self._lockstep is not None:
            self._lockstep.sent(len(sends[index - 1].wire))
        if after:
            self._pause(after, then)
        elif self._lockstep is not None:
            self._loop.call_soon(self._keep_step, then)
        elif index < len(sends):
            self._loop.call_soon(then)
        else:
            then()

    def _keep_step(self, then: Callable[[], None]) -> None:
        """Call `then` once the client has read what was sent, or does not keep up."""
        assert self._lockstep is not None
        delay = self._lockstep.delay()
        if self._over:
            return
        if delay < 0:
            self._timer = None
            then()
        elif delay == 0:
            self._loop.call_soon(self._keep_step, then)
        else:
            self._timer = self._loop.call_later(delay, self._keep_step, then)

    def _finish(self) -> None:
        if self._over:
            return
        plan, entry, transport = self._plan, self._entry, self._transport
        end, fault = plan.end, plan.end_fault
        if end == "half-close" and not transport.can_write_eof():
            end, fault = "cut", ""
            entry.problem = "TLS has no half-closed connections, so this one was cut"
        if end in SILENT:  # the client has to give up
            entry.end = "hang"
        elif end == "half-close":
            transport.write_eof()
            entry.end = end
        else:
            if end == "reset":
                raw = transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
                transport.abort()
            elif end == "cut":
                transport.close()
            entry.end = end
            self._over = True
        if fault:
            entry.end_fired = True
        if self._over:
            if self._lockstep is not None:
                self._lockstep.close()
            self._done(plan.keep and end == "clean")
