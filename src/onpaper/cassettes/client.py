"""One HTTP request on its own connection, and what really came back: chunks, times and how it ended.

HTTP libraries join what they read and retry what fails; a recording must do neither. A chunk of the reply is
what one read brought of one chunk frame (of the whole body, where the transfer coding is not chunked).
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import SplitResult

import httptools

from onpaper.cassettes.cassette import CassetteError
from onpaper.exchange import Chunk, End, Exchange, Reply, Request, header


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one exchange: seconds to connect, without any byte, and in all; bytes of the reply's body."""

    connect: float = 10.0
    silence: float = 60.0
    total: float = 300.0
    body: int = 64 * 2**20


async def fetch(url: SplitResult, request: Request, limits: Limits) -> Exchange:
    """Send a request to the host of `url` and return the exchange.

    The reply's end is `clean`, `cut`, `reset`, or `timeout` when `limits` ran out. Raises CassetteError, in
    one sentence without the request's headers, when there is nothing to record: no connection, no reply, no
    HTTP.
    """
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context() if url.scheme == "https" else None
    port = url.port or (443 if tls else 80)
    host = url.hostname or ""
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(limits.connect):
            transport, reading = await loop.create_connection(lambda: _Reading(limits), host, port, ssl=tls)
    except TimeoutError:
        raise CassetteError(f"{where} accepts no connection within {limits.connect:g} s") from None
    except (OSError, UnicodeError) as error:  # a host's name may be none that IDNA can spell
        reason = getattr(error, "strerror", "") or str(error) or type(error).__name__
        raise CassetteError(f"{where} cannot be connected to: {reason}; is the server running?") from None
    try:
        transport.write(_encode(request))
        reading.sent = loop.time()
        end = await reading.finish()
    finally:
        transport.abort()
    if not reading.head_complete:
        said = {"timeout": "is silent", "reset": "resets the connection"}.get(end, "closes the connection")
        raise CassetteError(f"{where} {said} without a reply to {request.method} {request.path}")
    reply = Reply(reading.status, tuple(reading.headers), tuple(reading.chunks), end, reading.reason)
    return Exchange(request, reply, started=reading.sent, ended=loop.time())


def _encode(request: Request) -> bytes:
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{n}: {v}" for n, v in request.headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + request.body


class _Reading(asyncio.Protocol):
    """Collects one reply. httptools calls the `on_` methods while data is fed to its parser."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.sent = 0.0
        self.status, self.reason = 0, ""
        self.headers: list[tuple[str, str]] = []
        self.chunks: list[Chunk] = []
        self.head_complete = False
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[End] = self._loop.create_future()
        self._deadline: asyncio.Timeout | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._now = 0.0
        self._size = 0

    async def finish(self) -> End:
        """Wait for the end of the reply. Raises CassetteError when what comes is not HTTP or too large."""
        try:
            async with asyncio.timeout(self.limits.silence) as self._deadline:
                return await self._done
        except TimeoutError:
            return "timeout"

    def data_received(self, data: bytes) -> None:
        if self._done.done():
            return
        self._now = self._loop.time()
        if self._deadline:
            latest = self.sent + self.limits.total
            self._deadline.reschedule(min(self._now + self.limits.silence, latest))
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._done.done():  # bytes after the reply are nothing to this exchange
                self._fail(f"the server's reply is not HTTP ({error}): {data[:60]!r}")

    def eof_received(self) -> None:
        self._finish("clean" if self._ends_with_connection() else "cut")

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish("reset" if isinstance(exc, ConnectionResetError) else "cut")

    def on_message_begin(self) -> None:
        self.headers, self.reason = [], ""

    def on_status(self, status: bytes) -> None:
        self.reason += status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.head_complete = self.status >= 200  # anything below is an interim reply (RFC 9110 §15.2)

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self.limits.body:
            self._fail(f"the reply's body is longer than {self.limits.body} bytes")
        self.chunks.append(Chunk(round(self._now - self.sent, 4), data))

    def on_message_complete(self) -> None:
        if self.head_complete:
            self._finish("clean")

    def _ends_with_connection(self) -> bool:
        """Whether the body is delimited by the end of the connection (RFC 9112 §6.3)."""
        coded = "chunked" in (header(self.headers, "transfer-encoding") or "").lower()
        return self.head_complete and not coded and header(self.headers, "content-length") is None

    def _finish(self, end: End) -> None:
        if not self._done.done():
            self._done.set_result(end)

    def _fail(self, sentence: str) -> None:
        if not self._done.done():
            self._done.set_exception(CassetteError(sentence))
