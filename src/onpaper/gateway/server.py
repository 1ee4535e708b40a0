"""The fake gateway's server: listens, accepts, and keeps the books. Runs on whatever event loop starts it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable

from onpaper.errors import BadInput
from onpaper.exchange import Request
from onpaper.gateway.answering import Answer
from onpaper.gateway.framing import Plan
from onpaper.gateway.http import Connection
from onpaper.gateway.journal import Journal
from onpaper.gateway.limits import Limits
from onpaper.gateway.reading import Head
from onpaper.script import Script

Route = Callable[[Request], tuple[Answer, Journal, Request]]
"""For a request: who answers it, which journal keeps it, and the request as they see it."""

PlanKey = tuple[int, bool, str, bool]
MOST_PLANS = 64

SWEEP_SECONDS = 0.5
BACKLOG = 4096


class CannotListen(BadInput):
    """The address cannot be served; the message says why and what to do."""


def listen(
    host: str, port: int, *, allow_remote: bool = False, share: bool = False, accept: bool = True
) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. `share` lets several processes accept on one port;
    without `accept` the port is only kept.

    Raises CannotListen for an address that is not loopback (unless `allow_remote`), unknown or in use.
    """
    if not 0 <= port <= 65535:
        raise CannotListen(f"a port is between 0 and 65535, found {port}")
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise CannotListen(f"the host {host!r} cannot be resolved ({error}); use 127.0.0.1") from None
    if not allow_remote and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise CannotListen(
            f"{host!r} is not a loopback address and the gateway would be open to the network; "
            "use 127.0.0.1, or allow_remote=True (--allow-remote) if that is meant"
        )
    # With proto set to IPPROTO_TCP: asyncio turns Nagle's algorithm off only on sockets that say so.
    listening = socket.socket(family, kind, proto or socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        if accept:
            listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"port {port} on {host} is in use; choose another port (--port), or 0 for any free one"
            ) from None
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    return listening


class Server:
    """Plays what `answer` says to each request. `answer` and `journal` may be exchanged at any time.

    Making one binds the port (0: a free one) of `host`, which must be a loopback address unless `allow_remote`; a socket
    given as `listening` is used in its place. `limits` bound what a client may ask of it, `tls` is the server's side of
    TLS. Raises CannotListen.
    """

    def __init__(
        self,
        answer: Answer,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        journal: Journal | None = None,
        limits: Limits | None = None,
        allow_remote: bool = False,
        listening: socket.socket | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer
        self.journal = journal if journal is not None else Journal()
        self.limits = limits if limits is not None else Limits()
        self.route: Route | None = None
        """Chooses answer and journal for a request, when there is more than one of each."""
        self.open: set[Connection] = set()
        self.heads: dict[bytes, Head] = {}
        """Heads of requests that came before (see `reading`)."""
        self.plans: dict[PlanKey, tuple[Script, Plan]] = {}
        """Plans of scripts that were played before; the script is kept so that its id stays its own."""
        self._listening = (
            listening if listening is not None else listen(host, port, allow_remote=allow_remote)
        )
        self.host, self.port = self._listening.getsockname()[:2]
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        """The root, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def v1(self) -> str:
        """The base URL that most clients want."""
        return self.url + "/v1"

    @property
    def closed(self) -> bool:
        """Whether it was stopped."""
        return self._listening.fileno() < 0

    @property
    def open_connections(self) -> int:
        return len(self.open)

    async def start(self) -> Server:
        """Accept connections on the running loop."""
        loop = self._loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self, loop), sock=self._listening, backlog=BACKLOG, ssl=self._tls
        )
        return self

    async def stop(self) -> None:
        """Stop accepting and drop every connection, whatever is running on it."""
        if self._server is None:
            self._listening.close()
            return
        server, self._server = self._server, None
        server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in tuple(self.open):
            connection.abort()
        while self.open:  # each abort is carried out on one of the next turns of the loop
            await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 1)

    async def __aenter__(self) -> Server:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # What its connections tell it.

    def connected(self, connection: Connection) -> None:
        self.open.add(connection)
        if self._sweeper is None and self._loop is not None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def disconnected(self, connection: Connection) -> None:
        self.open.discard(connection)

    def remember(self, key: PlanKey, script: Script, planned: Plan) -> None:
        """Keep a plan for the next time; an answer function that gives the same script again saves the
        work.
        """
        if len(self.plans) >= MOST_PLANS:
            self.plans.clear()
        self.plans[key] = (script, planned)

    def _sweep(self) -> None:
        self._sweeper = None
        now = time.monotonic()
        for connection in tuple(self.open):
            connection.sweep(now)
        if self.open and self._loop is not None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
