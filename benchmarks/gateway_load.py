"""The load: raw HTTP/1.1 over sockets, in a process of its own. `python gateway_load.py WORKLOAD JSON`
prints JSON.

`closed` sends requests one after the other over so many connections for so many seconds; `paced` opens so
many streams at once and times each; `held` opens so many streams, keeps them open, and counts the errors.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any

LAST_CHUNK = b"\r\n0\r\n\r\n"


class Client(asyncio.Protocol):
    """Sends one request again and again, as soon as the last reply is whole."""

    def __init__(self, request: bytes, done: asyncio.Future[None], again: bool) -> None:
        self.request = request
        self.done = done
        self.again = again
        self.replies = 0
        self.bad = 0
        self.received = bytearray()
        self.began = 0.0
        self.took: list[float] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.received.clear()
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.whole():
            return
        self.took.append(time.perf_counter() - self.began)
        self.replies += 1
        if not self.received.startswith(b"HTTP/1.1 200"):
            self.bad += 1
        if self.again:
            self.ask()
        elif not self.done.done():
            self.done.set_result(None)

    def whole(self) -> bool:
        head = self.received.find(b"\r\n\r\n")
        if head < 0:
            return False
        fields = bytes(self.received[:head]).lower()
        at = fields.find(b"content-length: ")
        if at >= 0:
            length = int(fields[at + 16 :].partition(b"\r\n")[0])
            return len(self.received) == head + 4 + length
        return self.received.endswith(LAST_CHUNK)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


class Held(Client):
    """A stream that is kept open: counts as begun once its first event is there."""

    def whole(self) -> bool:
        return b"data: " in self.received


def request_bytes(port: int, path: str, body: str) -> bytes:
    data = body.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer sk-benchmark\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


async def connect(kind: type[Client], how: dict[str, Any], again: bool) -> Client:
    loop = asyncio.get_running_loop()
    request = request_bytes(how["port"], how["path"], how["body"])
    _, client = await loop.create_connection(
        lambda: kind(request, loop.create_future(), again), "127.0.0.1", how["port"]
    )
    return client


async def closed(how: dict[str, Any]) -> dict[str, Any]:
    """Requests per second over `connections` connections for `seconds`."""
    clients = [await connect(Client, how, again=True) for _ in range(how["connections"])]
    before, began = sum(client.replies for client in clients), time.perf_counter()
    await asyncio.sleep(how["seconds"])
    seconds = time.perf_counter() - began
    replies = sum(client.replies for client in clients) - before
    lost = sum(client.done.done() and client.done.exception() is not None for client in clients)
    for client in clients:
        client.done.cancel()
        client.transport.abort()
    total = sum(client.replies for client in clients)
    return {"per_second": replies / seconds, "replies": total, "errors": lost + sum(c.bad for c in clients)}


async def paced(how: dict[str, Any]) -> dict[str, Any]:
    """The median time of a paced stream, in seconds, of `connections` that begin together."""
    clients = [await connect(Client, how, again=False) for _ in range(how["connections"])]
    await asyncio.gather(*(client.done for client in clients))
    took = sorted(client.took[0] for client in clients)
    for client in clients:
        client.transport.abort()
    return {
        "median": statistics.median(took),
        "worst": took[-1],
        "errors": sum(client.bad for client in clients),
    }


async def held(how: dict[str, Any]) -> dict[str, Any]:
    """Open `connections` streams, wait for an event of each, hold them for `seconds`; count those that
    broke.
    """
    clients: list[Client] = []
    for start in range(0, how["connections"], 500):
        count = min(500, how["connections"] - start)
        clients += await asyncio.gather(*(connect(Held, how, again=False) for _ in range(count)))
    await asyncio.gather(*(client.done for client in clients))
    await asyncio.sleep(how["seconds"])
    broken = sum(client.transport.is_closing() or client.bad > 0 for client in clients)
    for client in clients:
        client.transport.abort()
    return {"open": len(clients), "errors": broken}


def main() -> None:
    workload, how = sys.argv[1], json.loads(sys.argv[2])
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run({"closed": closed, "paced": paced, "held": held}[workload](how))))


if __name__ == "__main__":
    main()
