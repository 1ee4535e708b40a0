"""A gateway on a real socket for one test, and a client that sees every read."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from onpaper.gateway import ServerThread
from onpaper.script import Script


class RawClient:
    """A TCP connection without any HTTP in between."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)

    def send(self, data: bytes) -> RawClient:
        self.socket.sendall(data)
        return self

    def get(self, path: str = "/", extra: str = "") -> RawClient:
        return self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer if the server closed."""
        got = b""
        while len(got) < size:
            more = self.socket.recv(size - len(got))
            if not more:
                break
            got += more
        return got

    def read_until(self, end: bytes) -> bytes:
        got = b""
        while not got.endswith(end):
            more = self.socket.recv(1)
            if not more:
                break
            got += more
        return got

    def read_all(self) -> bytes:
        """Everything until the server closes."""
        got = b""
        while more := self.socket.recv(65536):
            got += more
        return got

    def head(self) -> tuple[str, dict[str, str]]:
        """The status line and headers of the next reply."""
        first, *rest = self.read_until(b"\r\n\r\n").decode("latin-1").rstrip().split("\r\n")
        return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}

    def close(self) -> None:
        self.socket.close()


Serve = Callable[..., ServerThread]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(script or answer function, **options)` starts a gateway that is stopped after the test."""
    started: list[ServerThread] = []

    def start(answer: object, **options: object) -> ServerThread:
        function = (lambda request: answer) if isinstance(answer, Script) else answer
        gateway = ServerThread(function, **options).start()
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def connect() -> Iterator[Callable[[ServerThread], RawClient]]:
    """`connect(gateway)` opens a raw client that is closed after the test."""
    opened: list[RawClient] = []

    def start(gateway: ServerThread) -> RawClient:
        client = RawClient(gateway.port)
        opened.append(client)
        return client

    yield start
    for client in opened:
        client.close()
