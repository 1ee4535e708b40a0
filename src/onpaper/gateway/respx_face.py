"""The gateway without a socket: plays the same answers to httpx clients through respx, in process.

Writes arrive one by one, with their pauses, and endings become the exceptions that httpx raises for them
on a real connection. What only a socket can do is refused with the reason, never left out silently.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import httpx
import respx

from onpaper.exchange import Request
from onpaper.gateway.answering import Answer, ask
from onpaper.gateway.entry import Entry
from onpaper.gateway.framing import Plan, plan
from onpaper.gateway.journal import Journal
from onpaper.script import Script


class NeedsSocket(ValueError):
    """The script asks for something that cannot be seen without a socket."""


def only_on_a_socket(script: Script) -> list[str]:
    """What in this script the respx face cannot play, one phrase each; empty if it can play all of it."""
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


class RespxFace:
    """Routes every request below `base_url` to `answer`, which may be replaced at any time.

    `router` is a respx router (the `respx_mock` fixture, `respx.mock()`); the journal is the socket
    gateway's. The pause before the head is made before the first byte of the body. A hang, or a pause
    longer than the client's read timeout, raises `httpx.ReadTimeout` at once.
    """

    def __init__(
        self, router: respx.Router, base_url: str, answer: Answer, journal: Journal | None = None
    ) -> None:
        self.answer = answer
        self.journal = journal if journal is not None else Journal()
        self.url = base_url.rstrip("/")
        self.v1 = self.url + "/v1"
        router.route(url__startswith=self.url).mock(side_effect=self._respond)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        asked = Request(
            request.method,
            request.url.raw_path.decode("ascii"),
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw),
            request.content,
        )
        entry = Entry(asked, 0, time.monotonic())
        self.journal.begin(entry)
        script, entry.problem = ask(self.answer, asked)
        reasons = only_on_a_socket(script)
        if reasons:
            wanted = ", ".join(reasons)
            entry.problem = f"without a socket the gateway cannot play {wanted}; use the one with a socket"
            self._over(entry)
            raise NeedsSocket(entry.problem)
        # With transfer `close` a send's wire is its body; the headers are those of the real transfer coding.
        bare = plan(replace(script, transfer="close", length=None), method=asked.method)
        real = plan(script, method=asked.method)
        entry.plan = replace(real, sends=bare.sends)
        body = _Body(bare, entry, request, _cut_shows(script), lambda: self._over(entry))
        if _says_nothing(script):
            entry.times.append(time.monotonic())
            body.finish()
        return httpx.Response(real.status, headers=list(real.headers), stream=body, request=request)

    def _over(self, entry: Entry) -> None:
        if entry.ended is None:
            entry.ended = time.monotonic()
            self.journal.finish(entry)


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of one reply, as sync and as async stream: the plan's sends, then its ending."""

    def __init__(
        self, played: Plan, entry: Entry, request: httpx.Request, cut_shows: bool, over: Callable[[], None]
    ) -> None:
        self._cut_shows = cut_shows
        self._plan = played
        self._entry = entry
        self._request = request
        self._over = over
        timeout = request.extensions.get("timeout", {}).get("read")
        self._patience: float = float("inf") if timeout is None else timeout

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
        self._over()

    async def aclose(self) -> None:
        self._over()

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
            self._over()
            raise httpx.ReadTimeout("", request=self._request)

    def finish(self) -> None:
        """Carry out the ending; raises what httpx raises for it."""
        plan, entry = self._plan, self._entry
        end = "hang" if plan.end in ("timeout", "open") else plan.end
        entry.end = end
        entry.end_fired = bool(plan.end_fault)
        self._over()
        if end == "reset":
            raise httpx.ReadError("[Errno 104] Connection reset by peer", request=self._request)
        if end == "hang":
            raise httpx.ReadTimeout("", request=self._request)
        if end == "cut" and entry.reply is None:
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response.", request=self._request
            )
        if end == "cut" and self._cut_shows:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body",
                request=self._request,
            )
