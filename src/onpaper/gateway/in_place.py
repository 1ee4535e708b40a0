"""One answer given where it is asked for, without a socket.

Writes arrive one by one, with their pauses, and endings become the exceptions that httpx raises for them on a real
connection. What only a socket can do is never left out silently.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx

from onpaper.exchange import SILENT, Headers
from onpaper.gateway.entry import Entry
from onpaper.gateway.framing import Plan, plan
from onpaper.gateway.journal import Journal
from onpaper.script import Script


def only_on_a_socket(script: Script) -> list[str]:
    """What in this script cannot be played without a socket, one phrase each; empty if all of it can."""
    reasons: list[str] = []

    def needs(what: str, fault: str) -> None:
        reason = f"{what} ({fault})" if fault else what
        if reason not in reasons:
            reasons.append(reason)

    for write in script.preface:
        needs("bytes before the head", write.fault)
    for write in script.writes:
        if write.raw:
            needs("raw bytes in the transfer coding", write.fault or script.end_fault)
        if write.cuts:
            needs("a frame of the transfer coding torn apart", write.fault)
    if script.head is not None and not _says_nothing(script):
        needs("a head of given bytes", script.head_fault)
    if script.transfer == "length" and script.length is not None:
        short = script.length - len(script.body)
        if short < 0 or (short and script.end == "clean"):
            needs("a Content-Length that is not the body's", script.head_fault or script.end_fault)
    if script.end == "half-close":
        needs("a half-closed connection", script.end_fault)
    return reasons


def _says_nothing(script: Script) -> bool:
    """No head and no body: the connection just ends, which httpx reports before there is a response."""
    return script.head == b"" and not script.body and script.end != "clean"


def _cut_shows(script: Script) -> bool:
    """Whether a client can tell a cut body from a whole one: not if the body ends with the connection
    anyway.
    """
    if script.transfer == "length":
        return script.length is not None and script.length > len(script.body)
    return script.transfer == "chunked"


def reply(script: Script, entry: Entry, journal: Journal, patience: float | None) -> tuple[int, Headers, Body]:
    """The status, the headers and the body of the reply that a script makes of an entry's request; what left of it is noted
    there, and its end in the journal.

    `patience` is the client's read timeout in seconds, or None. Raises what httpx raises where the script ends before the
    head.
    """
    # With transfer `close` a send's wire is its body; the headers are those of the real transfer coding.
    bare = plan(replace(script, transfer="close", length=None), method=entry.request.method)
    real = plan(script, method=entry.request.method)
    entry.plan = replace(real, sends=bare.sends)
    body = Body(bare, entry, journal, math.inf if patience is None else patience, _cut_shows(script))
    if _says_nothing(script):
        entry.times.append(time.monotonic())
        body.finish()
    return real.status, real.headers, body


def over(entry: Entry, journal: Journal) -> None:
    """Note that an exchange is over, the first time."""
    if entry.ended is None:
        entry.ended = time.monotonic()
        journal.finish(entry)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of one reply, as sync and as async stream: the plan's sends, then its ending."""

    def __init__(self, played: Plan, entry: Entry, journal: Journal, patience: float, cut_shows: bool) -> None:
        self._plan = played
        self._entry = entry
        self._journal = journal
        self._patience = patience
        self._cut_shows = cut_shows

    def __iter__(self) -> Iterator[bytes]:
        for pause, data in self._steps():
            time.sleep(pause)
            if data:
                yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for pause, data in self._steps():
            if pause:
                await asyncio.sleep(pause)
            if data:
                yield data

    def close(self) -> None:
        over(self._entry, self._journal)

    async def aclose(self) -> None:
        self.close()

    def _steps(self) -> Iterator[tuple[float, bytes]]:
        """Pauses and the bytes after them. A chunk has left when the client asks for it."""
        for send in self._plan.sends:
            if send.after:
                self._check_patience(send.after)
                yield send.after, b""
            self._entry.times.append(time.monotonic())
            if send.body:
                yield 0.0, send.body
        if self._plan.end_after:
            self._check_patience(self._plan.end_after)
            yield self._plan.end_after, b""
        self.finish()

    def _check_patience(self, pause: float) -> None:
        if pause > self._patience:
            self.close()
            raise httpx.ReadTimeout("")

    def finish(self) -> None:
        """Carry out the ending; raises what httpx raises for it."""
        plan, entry = self._plan, self._entry
        end = "hang" if plan.end in SILENT else plan.end
        entry.end = end
        entry.end_fired = bool(plan.end_fault)
        self.close()
        if end == "reset":
            raise httpx.ReadError("[Errno 104] Connection reset by peer")
        if end == "hang":
            raise httpx.ReadTimeout("")
        if end == "cut" and entry.reply is None:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        if end == "cut" and self._cut_shows:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
