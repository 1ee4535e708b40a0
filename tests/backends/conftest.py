"""A provider on a real socket, which answers with exactly the bytes a test gives it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from onpaper.backends import Backend


@dataclass(frozen=True)
class Asked:
    """A request as it came; `headers` by lower-case name, and `head` as it was on the wire."""

    method: str
    target: str
    headers: dict[str, str]
    head: bytes
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(eq=False)
class Line:
    """The connection that a request came in on, for an answer to write to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    asked: Asked

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(
        self, status: int = 200, framing: str = "transfer-encoding: chunked", **headers: str
    ) -> None:
        lines = [f"HTTP/1.1 {status} Status", framing]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def until_gone(self, seconds: float | None = None) -> None:
        """Stay open and silent until the client goes away, or for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.reader.read(1024):
                    pass
                raise ConnectionAbortedError


Answer = Callable[[Line], Awaitable[None]]


class Provider:
    """Answers each request with `answer`, and keeps what was asked and how many connections were made."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.connections = 0
        self.open = 0
        self.answer: Answer = self._nothing
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def streams(self, *events: Any, status: int = 200, **headers: str) -> None:
        """Answer with a server-sent event for each value, one HTTP chunk each; text goes out as it is."""
        self.sends(*(self.event(value) for value in events), status=status, **headers)

    def sends(self, *pieces: bytes, status: int = 200, **headers: str) -> None:
        """Answer with these bytes, one HTTP chunk each."""

        async def answer(line: Line) -> None:
            await line.head(status, **{"content_type": "text/event-stream", **headers})
            for piece in pieces:
                await line.chunk(piece)
            await line.end()

        self.answer = answer

    def replies(self, value: Any, status: int = 200, **headers: str) -> None:
        """Answer with one body: bytes as they are, anything else as JSON."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()

        async def answer(line: Line) -> None:
            await line.head(
                status, f"content-length: {len(body)}", **{"content_type": "application/json", **headers}
            )
            await line.send(body)

        self.answer = answer

    @staticmethod
    def event(value: Any) -> bytes:
        return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that the provider sees: a request, a connection that goes away."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(happened)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                asked = await _request(reader)
                self.asked.append(asked)
                await self._tell()
                await self.answer(Line(reader, writer, asked))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _nothing(self, line: Line) -> None:
        raise ConnectionAbortedError("the test gave no answer")


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, head, content)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    served = Provider()
    server = await asyncio.start_server(served.accept, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield served
    server.close()
    await served.close()


@pytest.fixture
async def build(provider: Provider) -> AsyncIterator[Callable[..., Backend]]:
    """Makes a backend that asks the provider, and closes it at the end: `build(VLLMBackend, api_key="k")`."""
    built: list[Backend] = []

    def make(kind: Callable[..., Backend], model: str = "m", **settings: Any) -> Backend:
        built.append(kind(model, **{"base_url": provider.url, **settings}))
        return built[-1]

    yield make
    for backend in built:
        await backend.aclose()


@pytest.fixture
def delta() -> Callable[..., dict[str, Any]]:
    """Makes a chunk: `delta("Hi")`, `delta("", finish="stop")`, `delta(reasoning="hm")`."""

    def make(
        text: str | None = None, *, finish: str | None = None, index: int = 0, **more: Any
    ) -> dict[str, Any]:
        content = {} if text is None else {"content": text}
        return {"choices": [{"index": index, "delta": {**content, **more}, "finish_reason": finish}]}

    return make
