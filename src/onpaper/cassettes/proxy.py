"""A proxy in front of a live server: bytes pass in both directions as they come, and each exchange is told.

Nothing is changed but the `Host` of a request (and, if asked, its `Accept-Encoding`). Each client connection has
one connection to the server, so that what the server does to it (a reset, a cut, silence) happens to the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from urllib.parse import SplitResult

from onpaper.cassettes.heads import Body, Head, HeadError
from onpaper.cassettes.passing import Running, Upstream
from onpaper.exchange import End, Exchange
from onpaper.gateway.answering import refusal
from onpaper.gateway.framing import plan
from onpaper.gateway.server import listen

CONNECT_SECONDS = 10.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset (socket(7))."""


class Proxy:
    """Listens on 127.0.0.1 and passes everything to the host of `upstream`.

    `told` is called on the loop with each exchange that is over; it must not block. With `identity` the server is
    asked for replies without compression, which a recording can be cleaned of secrets. `tls` replaces the usual
    trust of an https upstream. Raises CannotListen.
    """

    def __init__(
        self,
        upstream: SplitResult,
        told: Callable[[Exchange], None],
        port: int = 0,
        *,
        identity: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.upstream, self.told, self.identity = upstream, told, identity
        self.tls = (tls or ssl.create_default_context()) if upstream.scheme == "https" else None
        self._listening = listen("127.0.0.1", port)
        self.port: int = self._listening.getsockname()[1]
        self.clients: set[Client] = set()
        self._connections = 0

    @property
    def url(self) -> str:
        """What a client is given instead of the upstream's base URL."""
        return f"http://127.0.0.1:{self.port}{self.upstream.path}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Client(self), sock=self._listening)

    async def stop(self) -> None:
        """Stop listening and drop every connection; an exchange that runs is told as it is."""
        self._server.close()
        for client in tuple(self.clients):
            client.drop()
        await asyncio.sleep(0)  # the transports report that they are closed

    def connected(self) -> int:
        """A connection was accepted; its number, from 1."""
        self._connections += 1
        return self._connections


class Client(asyncio.Protocol):
    """One client's connection: passes requests on, in order, and knows which are not answered yet."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.waiting: deque[Running] = deque()
        self._loop = asyncio.get_running_loop()
        self._upstream: Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._held: list[bytes] = []
        self._head = b""
        self._running: Running | None = None
        self._body: Body | None = None
        self._tunnel = False
        self._number = proxy.connected()

    # What the transport tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.proxy.clients.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            while data:
                data = self._take(data)
        except HeadError as error:
            self.refuse(400, str(error))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.clients.discard(self)
        if self._connecting:
            self._connecting.cancel()
        if self._upstream:
            self._upstream.transport.abort()
        self._tell_all("open")

    def pause_writing(self) -> None:
        if self._upstream:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream:
            self._upstream.transport.resume_reading()

    # What it does.

    def _take(self, data: bytes) -> bytes:
        """Pass on the beginning of what came; returns the rest."""
        if self._tunnel:
            self._send(data)
            return b""
        if self._body is None:
            self._head += data
            head = Head.read(self._head)
            if head is None:
                return b""
            rest, self._head = self._head[head.size :], b""
            self._begin(head)
            return rest
        size, finished = self._body.feed(data)
        assert self._running is not None
        self._running.keep(self._body.taken())
        self._send(data[:size])
        if finished:
            self._body = None
        return data[size:]

    def _begin(self, head: Head) -> None:
        changes = {"host": self.proxy.upstream.netloc}
        if self.proxy.identity:
            changes["accept-encoding"] = "identity"
        running = Running(head.request, self._number, self._loop.time())
        self._running = running
        self.waiting.append(running)
        self._body = head.body()
        self._send(head.changed(changes))

    def _send(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.transport.write(data)
            return
        self._held.append(data)
        if self._connecting is None:
            self.transport.pause_reading()
            self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        proxy, url = self.proxy, self.proxy.upstream
        host, port = url.hostname or "", url.port or (443 if proxy.tls else 80)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._loop.create_connection(lambda: Upstream(self), host, port, ssl=proxy.tls)
        except TimeoutError:
            self.refuse(502, f"{host}:{port} accepts no connection within {CONNECT_SECONDS:g} s")
        except (OSError, UnicodeError) as error:  # a host's name may be none that IDNA can spell
            reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
            self.refuse(502, f"{host}:{port} cannot be connected to: {reason}")

    def upstream_made(self, upstream: Upstream) -> None:
        """The server is there: pass on what waited for it."""
        self._upstream = upstream
        upstream.transport.writelines(self._held)
        self._held = []
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def refuse(self, status: int, sentence: str) -> None:
        """Answer in the server's place, and close."""
        for send in plan(refusal(status, sentence), keep_alive=False).sends:
            self.transport.write(send.wire)
        for running in self.waiting:
            running.problem = sentence
        self._tell_all("open")
        self.transport.close()

    def tunnel(self) -> None:
        """The protocol was changed (RFC 9110 §7.8): from here on, bytes only."""
        self._tunnel = True

    def answered(self) -> None:
        """The first of the waiting requests is answered."""
        running = self.waiting.popleft()
        if running is self._running and self._body is not None:
            self._body.taken()  # it was answered before it was whole
        self.proxy.told(running.exchange())

    def gone(self, end: End) -> None:
        """The server has closed the connection, or reset it: so does this side."""
        self._tell_all(end)
        if end == "reset":
            with contextlib.suppress(OSError, AttributeError):
                sock: socket.socket = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        else:
            self.transport.close()

    def drop(self) -> None:
        self._tell_all("open")
        self.transport.abort()

    def _tell_all(self, end: End) -> None:
        while self.waiting:
            running = self.waiting.popleft()
            running.end = end
            self.proxy.told(running.exchange())
