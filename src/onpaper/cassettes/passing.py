"""The far side of the tap's proxy: the connection to the server, and an exchange while it passes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import httptools

from onpaper.exchange import Chunk, End, Exchange, Reply, Request, header

if TYPE_CHECKING:
    from onpaper.cassettes.proxy import Client


LARGEST = 64 * 1024 * 1024
"""The largest exchange that is kept, request and reply together, in bytes; a stream need not end."""


class Upstream(asyncio.Protocol):
    """The connection to the server: passes what it sends, and reads it along the way.

    httptools calls the `on_` methods while data is fed to its parser.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._now = 0.0
        self._headers: list[tuple[str, str]] = []
        self._reason = ""
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._client.upstream_made(self)

    def data_received(self, data: bytes) -> None:
        self._client.transport.write(data)
        self._now = self._loop.time()
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parser = None
            self._client.tunnel()
        except httptools.HttpParserError as error:
            self._parser = None
            for running in self._client.waiting:
                running.problem = f"the server's reply is not HTTP ({error}): {data[:60]!r}"

    def eof_received(self) -> None:
        self._end("clean" if self._ends_with_connection() else "cut")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("reset" if isinstance(exc, ConnectionResetError) else "cut")

    def pause_writing(self) -> None:
        self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        self._client.transport.resume_reading()

    def on_message_begin(self) -> None:
        self._headers, self._reason = [], ""

    def on_status(self, status: bytes) -> None:
        self._reason += status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code() if self._parser else 0
        if status >= 200 and self._client.waiting:  # anything below is an interim reply
            running = self._client.waiting[0]
            running.status, running.reason, running.headers = status, self._reason, tuple(self._headers)
            if running.request.method == "HEAD":  # has headers of a body, and none (RFC 9110 §9.3.2)
                running.end = "clean"
                self._client.answered()
                self._parser = httptools.HttpResponseParser(self)

    def on_body(self, data: bytes) -> None:
        if self._client.waiting:
            running = self._client.waiting[0]
            running.keep_reply(Chunk(round(self._now - running.sent, 4), data))

    def on_message_complete(self) -> None:
        if self._client.waiting and self._client.waiting[0].status:
            self._client.waiting[0].end = "clean"
            self._client.answered()

    def _ends_with_connection(self) -> bool:
        """Whether the running body is delimited by the end of the connection (RFC 9112 §6.3)."""
        running = self._client.waiting[0] if self._client.waiting else None
        if running is None or not running.status:
            return False
        coded = "chunked" in (header(running.headers, "transfer-encoding") or "").lower()
        return not coded and header(running.headers, "content-length") is None

    def _end(self, end: End) -> None:
        if not self._over:
            self._over = True
            self._client.gone(end)


class Running:
    """An exchange while it passes."""

    def __init__(self, request: Request, connection: int, sent: float) -> None:
        self.request, self.connection, self.sent = request, connection, sent
        self._body = bytearray()
        self._room = LARGEST
        self.status = 0
        self.reason = ""
        self.headers: tuple[tuple[str, str], ...] = ()
        self._chunks: list[Chunk] = []
        self.end: End = "open"
        self.problem = ""

    def keep(self, data: bytes) -> None:
        """Keep a piece of the request's body, if there is room."""
        if self._has_room(data):
            self._body += data

    def keep_reply(self, chunk: Chunk) -> None:
        """Keep a piece of the reply's body, if there is room."""
        if self._has_room(chunk.data):
            self._chunks.append(chunk)

    def _has_room(self, data: bytes) -> bool:
        self._room -= len(data)
        if self._room < 0:
            self.problem = self.problem or f"more than {LARGEST} bytes: passed on, and not judged"
            self._body.clear()
            self._chunks.clear()
        return self._room >= 0

    def exchange(self) -> Exchange:
        """What passed; without a reply when no head of one came, or when it is too large to be kept."""
        reply = None
        if self.status and self._room >= 0:
            reply = Reply(self.status, self.headers, tuple(self._chunks), self.end, self.reason)
        request = replace(self.request, body=bytes(self._body))
        now = asyncio.get_running_loop().time()
        return Exchange(
            request, reply, connection=self.connection, started=self.sent, ended=now, problem=self.problem
        )
