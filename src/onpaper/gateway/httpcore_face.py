"""The gateway without a socket, for whatever asks through httpcore, as every client on httpx does: a request is answered
where it would be given a connection.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, cast

import httpcore
import httpx

from onpaper.exchange import SILENT, Request
from onpaper.gateway.answering import Answer, ask
from onpaper.gateway.entry import Entry
from onpaper.gateway.in_place import only_on_a_socket, reply
from onpaper.gateway.journal import Journal
from onpaper.gateway.server import Server
from onpaper.script import Script


@contextlib.contextmanager
def answering_in_place(server: Server) -> Iterator[None]:
    """Answer what httpcore is asked for a server as it would itself, into its journal, in a third of the time of a socket.

    Anything else goes its usual way, and so does a request whose answer only a socket can play. The cuts of a reply are
    exact here: each write is read by itself. May be nested, and left in any order: a subject that blocks its thread holds
    its own up, which answers nothing any more once its server is closed.
    """
    face, journal = _Face(server), server.journal
    settle, journal.settle = journal.settle, lambda: settle() if journal.connections else None
    route, server.route = server.route, face.route
    with _changing:
        if not _faces:
            _usual[:] = [pool.__dict__[name] for pool, name, _ in _WAYS]
            for pool, name, ours in _WAYS:
                setattr(pool, name, ours)
        _faces.append(face)
    try:
        yield
    finally:
        with _changing:
            _faces.remove(face)
            if not _faces:
                for (pool, name, _), usual in zip(_WAYS, _usual, strict=True):
                    setattr(pool, name, usual)
        server.route, journal.settle = route, settle


def _ask_sync(pool: httpcore.ConnectionPool, request: httpcore.Request) -> httpcore.Response:
    response = None
    if face := _face_for(request):
        response = face.response(request, b"".join(cast(Iterable[bytes], request.stream)))
    return response or _usual[0](pool, request)


async def _ask_async(pool: httpcore.AsyncConnectionPool, request: httpcore.Request) -> httpcore.Response:
    response = None
    if face := _face_for(request):
        pieces = [piece async for piece in cast(AsyncIterable[bytes], request.stream)]
        response = face.response(request, b"".join(pieces))
    return response or await _usual[1](pool, request)


def _face_for(request: httpcore.Request) -> _Face | None:
    return next((face for face in reversed(_faces) if face.is_for(request)), None)


_WAYS: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (httpcore.ConnectionPool, "handle_request", _ask_sync),
    (httpcore.AsyncConnectionPool, "handle_async_request", _ask_async),
)
"""Where httpcore is asked, and what takes its place while there are faces."""
_usual: list[Callable[..., Any]] = []
"""What stood there before."""
_faces: list[_Face] = []
_changing = threading.Lock()


class _Face:
    """A server's answers, given in place where that can be done."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._origin = b"http", server.host.encode(), server.port
        self._passed_on: list[tuple[Request, Script]] = []

    def is_for(self, request: httpcore.Request) -> bool:
        """Whether it asks for the server."""
        url = request.url
        return (url.scheme, url.host, url.port) == self._origin and not self._server.closed

    def response(self, request: httpcore.Request, body: bytes) -> httpcore.Response | None:
        """The response to a request with this body, or None: then the request is to be sent to the server, which will know
        what to say.
        """
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        asked = Request(request.method.decode("ascii"), request.url.target.decode("ascii"), headers, body)
        entry = Entry(asked, 0, time.monotonic())
        script, entry.problem = ask(self._server.answer, asked)
        if only_on_a_socket(script) or script.end in SILENT:  # how long a client waits is for a real connection to show
            self._passed_on.append((asked, script))
            request.stream = httpx.ByteStream(body)
            return None
        self._server.journal.begin(entry)
        patience = request.extensions.get("timeout", {}).get("read")
        status, said, content = reply(script, entry, self._server.journal, patience)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in said]
        return httpcore.Response(status, headers=raw, content=content)

    def route(self, request: Request) -> tuple[Answer, Journal, Request]:
        """Who answers a request that reached the server after all."""
        for number, (asked, script) in enumerate(self._passed_on):
            if (asked.method, asked.target, asked.body) == (request.method, request.target, request.body):
                del self._passed_on[number]
                return lambda _: script, self._server.journal, request
        return self._server.answer, self._server.journal, request
