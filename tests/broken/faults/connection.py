"""Connections that are lost, kept, shared or waited on for too long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, ClassVar

import httpx

from ..correct import Correct
from ..reply import Failed, Reply
from ..table import breaks
from ..transport import TLS


@breaks("connection/reused", "5 calls opened 5 connections")
class ClosesAtTheSentinel(Correct):
    """Closes the reply at [DONE], before the body has come to its end."""

    async def drain(self, pieces: AsyncIterator[bytes]) -> None:
        return None


@breaks("stream/stays-open", "stream() hung")
class DrainsWithoutALimit(Correct):
    """Reads on after [DONE] for as long as the server likes."""

    async def drain(self, pieces: AsyncIterator[bytes]) -> None:
        while await anext(pieces, b""):
            pass


class Bounded(Correct):
    """A pool of twenty connections that says when none is left."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.held: list[Any] = []

    def pool(self, **options: Any) -> httpx.AsyncClient:
        return super().pool(
            limits=httpx.Limits(max_connections=20),
            timeout=httpx.Timeout(None, connect=self.connect, pool=0.2),
        )


@breaks("connection/abandoned", "PoolTimeout")
class KeepsAbandonedReplies(Bounded):
    """Holds on to replies that nobody reads to their end."""

    async def read(self, pieces: AsyncIterator[bytes], last: float, reply: Reply) -> bytes:
        self.held.append(pieces)
        return await super().read(pieces, last, reply)

    async def let_go(self, response: httpx.Response) -> None:
        self.held.append(response)


@breaks("errors/releases-connection", "PoolTimeout")
class KeepsRefusedReplies(Bounded):
    """Raises for a refusal without reading the reply or letting go of it."""

    async def refusal(self, response: httpx.Response) -> Failed:
        return self.refused(response, response.reason_phrase)

    async def let_go(self, response: httpx.Response) -> None:
        if response.status_code == 200:
            await super().let_go(response)
        else:
            self.held.append(response)


@breaks("connection/released", "2 s after the caller left")
class ReadsOnWhenTheCallerLeft(Correct):
    """Reads a reply to its end in a task when the caller has left it."""

    pieces: AsyncIterator[bytes]

    async def read(self, pieces: AsyncIterator[bytes], last: float, reply: Reply) -> bytes:
        self.pieces = pieces
        return await super().read(pieces, last, reply)

    async def let_go(self, response: httpx.Response) -> None:
        self.task = asyncio.ensure_future(self.finish(response))

    async def finish(self, response: httpx.Response) -> None:
        with suppress(httpx.HTTPError):
            while await anext(self.pieces, b""):
                pass
        await response.aclose()


@breaks("connection/aclose", "a connection was still open")
@breaks("connection/leaves-nothing", "after aclose() 1 connection(s) are still open")
class AcloseClosesNothing(Correct):
    """Has an aclose() that does nothing."""

    async def aclose(self) -> None:
        return None


@breaks("connection/aclose", "the client is closed already")
class AcloseOnlyOnce(Correct):
    """Raises when it is closed twice."""

    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise RuntimeError("the client is closed already")
        self.closed = True
        await super().aclose()


@breaks("connection/aclose", "there is no pool")
class ClosesWhatItNeverOpened(Correct):
    """Raises when it is closed before it was used."""

    async def aclose(self) -> None:
        if asyncio.get_running_loop() not in self._pools and not self.closed:
            raise LookupError("there is no pool")
        self.closed = True
        await super().aclose()

    closed = False


@breaks("connection/leaves-nothing", "tasks are left: <coroutine object LeavesATask.beat")
class LeavesATask(Correct):
    """Starts a heartbeat that nobody stops."""

    async def client(self) -> httpx.AsyncClient:
        self.task = asyncio.ensure_future(self.beat())
        return await super().client()

    async def beat(self) -> None:
        await asyncio.Event().wait()


@breaks("connection/leaves-nothing", "was never awaited")
class ForgetsToAwait(Correct):
    """Calls a coroutine of its own without awaiting it."""

    async def let_go(self, response: httpx.Response) -> None:
        self.log()  # type: ignore[unused-coroutine]
        await super().let_go(response)

    async def log(self) -> None:
        return None


@breaks("connection/concurrent", "they ran one after the other")
class OneAtATime(Correct):
    """Lets one call wait for the other."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        async with self.lock, super().send(method, path, content) as response:
            yield response


@breaks("connection/concurrent", "at most 2 of them ran at the same time")
class TwoAtATime(Correct):
    """Lets two replies run at the same time, and the others wait."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.places: dict[Any, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        places = self.places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(2))
        async with places, super().send(method, path, content) as response:
            yield response


@breaks("connection/concurrent", "complete() raised Failed: this is not JSON")
class KeepsTheWholeReplyOnItself(Correct):
    """Collects a reply in one piece on the client."""

    async def whole(self, response: httpx.Response) -> bytes:
        self.data = b""
        async for piece in response.aiter_bytes():
            self.data += piece
        await asyncio.sleep(0)
        return self.data


@breaks("connection/cancelled", "a cancelled stream() gave")
class SwallowsCancellation(Correct):
    """Ends a stream in peace when it is cancelled."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        with suppress(asyncio.CancelledError):
            async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece


@breaks("connection/cancelled", "a cancelled complete() raised Failed")
class WrapsCancellation(Correct):
    """Makes an error of its own of whatever ends a call."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        try:
            return await super().complete(messages, **options)
        except Failed:
            raise
        except BaseException as error:
            raise Failed(f"the call failed: {error!r}") from None


@breaks("connection/released-reply", "2 s after the call was cancelled")
class ShieldsItsCalls(Correct):
    """Lets a call run on to its end when the caller has given up."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        self.task = asyncio.ensure_future(super().complete(messages, **options))
        return await asyncio.shield(self.task)


@breaks("connection/leaves-nothing", "threads are left")
class LeavesAThreadForEachCall(Correct):
    """Starts a thread that waits, with each call."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        threading.Thread(target=threading.Event().wait, args=(5.0,), daemon=True).start()
        return await super().complete(messages, **options)


@breaks("connection/loop-not-blocked", "the event loop stood still")
class AsksForModelsInTheLoop(Correct):
    """Asks for the models with a client that blocks."""

    async def list_models(self) -> list[str]:
        with suppress(httpx.HTTPError, ValueError):
            listed = httpx.get(self.root + self.models, headers=self.headers("GET"), timeout=5, trust_env=False)
            return [one["id"] for one in listed.json()["data"] if isinstance(one, dict) and one.get("id")]
        return [self.model]


@breaks("connection/concurrent", "; the server said")
class SharesItsBuffer(Correct):
    """Keeps the piece it has just read on the client."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                self.piece = piece
                await asyncio.sleep(0)
                yield self.piece


@breaks("connection/second-loop", "the second event loop met RuntimeError")
class OnePoolForAllLoops(Correct):
    """Makes one pool, on the first event loop that it meets."""

    only: httpx.AsyncClient | None = None

    async def client(self) -> httpx.AsyncClient:
        self.only = self.only or self.pool()
        return self.only

    async def aclose(self) -> None:
        if self.only is not None:
            await self.only.aclose()


@breaks("connection/stale", "ReadError")
class NeverLooksAtAPooledConnection(Correct):
    """Uses a pooled connection without looking whether the server has closed it."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        pool = super().pool(**options)
        connections = pool._transport._pool  # type: ignore[attr-defined]
        make = connections.create_connection

        def unexpiring(origin: Any) -> Any:
            connection = make(origin)
            connection.has_expired = lambda: False
            return connection

        connections.create_connection = unexpiring
        return pool


@breaks("connection/stays-on-base-url", "tried to reach telemetry.example")
class PhonesHome(Correct):
    """Tells somebody else about each call."""

    async def client(self) -> httpx.AsyncClient:
        with suppress(OSError):
            await asyncio.open_connection("telemetry.example", 443)
        return await super().client()


@breaks("connection/loop-not-blocked", "the event loop stood still for")
class BlocksTheLoop(Correct):
    """Sends with a client that blocks."""

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        with httpx.Client(verify=TLS, trust_env=False, timeout=min(2.0, self.first_byte, self.between)) as pool:
            try:
                response = pool.request(
                    method, self.root + path, content=content, headers=self.headers(method)
                )
            except httpx.HTTPError as error:
                raise self.lost(error) from error
            if response.status_code != 200:
                raise await self.refusal(response)
            yield response


@breaks("connection/connect-time-out", "hung instead of raising (the server did not accept the connection)")
class NoLimitToConnect(Correct):
    """Waits for a connection without a limit."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        return super().pool(timeout=None)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.first_byte = max(self.first_byte, 60.0)


@breaks("connection/first-byte-time-out", "hung instead of raising (the server never answered)")
class NoLimitForTheFirstByte(Correct):
    """Waits for the first byte without a limit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.first_byte = 3600.0


@breaks("connection/between-time-out", "hung instead of raising (the server fell silent)")
class NoLimitBetweenChunks(Correct):
    """Waits for the next chunk without a limit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.between = 3600.0


@breaks("connection/steady-stream", "by a time-out that ends a silent one")
class CountsTheWholeStream(Correct):
    """Takes the limit between two chunks for one of the whole stream."""

    began = 0.0

    async def read(self, pieces: AsyncIterator[bytes], last: float, reply: Reply) -> bytes:
        if not reply.begun:
            self.began = last
        return await super().read(pieces, self.began, reply)


@breaks(
    "connection/keep-alives-are-no-progress",
    "hung instead of raising (the server sent nothing but keep-alives)",
)
class TakesKeepAlivesForProgress(Correct):
    """Waits anew after each comment, and for a second at least."""

    async def read(self, pieces: AsyncIterator[bytes], last: float, reply: Reply) -> bytes:
        async with asyncio.timeout(max(1.0, self.between)):
            return await anext(pieces, b"")


@breaks("connection/abandoned", "after 30 abandoned streams stream() gave ['']")
class SaysNothingWithoutAConnection(KeepsAbandonedReplies):
    """Holds on to abandoned replies, and gives an empty reply when no connection is left."""

    def fail(self, error: Failed) -> None:
        return None


@breaks("errors/releases-connection", "after 30 refused calls stream() gave []")
class SaysNothingAfterRefusals(KeepsRefusedReplies):
    """Holds on to refused replies, and gives an empty reply when no connection is left."""

    def fail(self, error: Failed) -> None:
        if error.status:
            raise error


@breaks("connection/stale", "after the server closed the idle connection stream() gave ['']")
class SaysNothingOnADeadConnection(NeverLooksAtAPooledConnection):
    """Uses a connection that the server has closed, and gives an empty reply."""

    def fail(self, error: Failed) -> None:
        return None


@breaks("connection/second-loop", "two event loops gave ['Hello, world!', '']")
class AnswersOnItsFirstLoopAlone(Correct):
    """Gives an empty reply on any event loop but the first."""

    first: asyncio.AbstractEventLoop | None = None

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        self.first = self.first or asyncio.get_running_loop()
        if self.first is asyncio.get_running_loop():
            async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece


@breaks("connection/stays-on-base-url", "stream() never reached base_url")
@breaks("errors/status-kept", "stream() sent no request")
class IgnoresItsURL(Correct):
    """Takes its default URL, whatever it is told."""

    def root_of(self, base_url: str) -> str:
        return "http://127.0.0.1:9"


@breaks("connection/closes-its-own", "stream() raised Failed: the connection failed")
class ClosesEverybodysPool(Correct):
    """Keeps its pool on the class, and closes it when any of its clients is closed."""

    shared: ClassVar[dict[Any, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pools = self.shared


@breaks("connection/certificate", "sent a request with the key in it to a server with a certificate of its own making")
class VerifiesNothing(Correct):
    """Talks to whoever answers, since one proxy's certificate once had run out."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        return super().pool(**options, verify=False)


@breaks("connection/closed-under-a-stream", "; the server said 'word0 word1 ")
class TakesItsOwnEndForTheReplys(Correct):
    """Ends a stream in peace when it is closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True
        await super().aclose()

    def fail(self, error: Failed) -> None:
        if not self.closed:
            raise error
