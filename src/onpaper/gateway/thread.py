"""A gateway in a thread of its own, with a loop of its own: usable from any test, sync or async."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Self

from onpaper.gateway.answering import Answer
from onpaper.gateway.journal import Journal
from onpaper.gateway.server import Server

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # Windows, PyPy
    new_event_loop = asyncio.new_event_loop


class ServerThread:
    """Runs a `Server` in a daemon thread. Takes what `Server` takes; the port is bound, and CannotListen raised, when it
    is made.

    `answer` may be replaced at any time and holds from the next request on. Reading the journal first
    lets the server finish the step it is in, so that a test which has seen the end of a reply finds it in
    the journal.
    """

    def __init__(
        self,
        answer: Answer,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = new_event_loop,
        **options: Any,
    ) -> None:
        self.server = Server(answer, host, port, **options)
        self._loop_factory = loop_factory
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def answer(self) -> Answer:
        return self.server.answer

    @answer.setter
    def answer(self, answer: Answer) -> None:
        self.server.answer = answer

    @property
    def journal(self) -> Journal:
        return self.server.journal

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def v1(self) -> str:
        return self.server.v1

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def open_connections(self) -> int:
        self._settle()
        return self.server.open_connections

    def start(self) -> Self:
        """Start serving; returns when the server accepts connections. Raises RuntimeError the second time."""
        if self._thread is not None:
            raise RuntimeError("this gateway was started before; make a new one")
        ready = threading.Event()
        failure: list[BaseException] = []
        self._thread = threading.Thread(
            target=self._run, args=(ready, failure), name=f"onpaper gateway {self.port}", daemon=True
        )
        self._thread.start()
        ready.wait()
        if failure:
            raise failure[0]
        self.journal.settle = self._settle
        return self

    def stop(self) -> None:
        """Stop serving and drop every connection; returns when the thread has ended. Stopping twice is
        harmless.
        """
        thread, loop = self._thread, self._loop
        if thread is None:
            self.server._listening.close()
            return
        if loop is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._stopping.set)
            thread.join()
        self._loop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, ready: threading.Event, failure: list[BaseException]) -> None:
        loop = self._loop_factory()
        try:
            loop.run_until_complete(self._serve(loop, ready))
        except BaseException as error:
            failure.append(error)
            ready.set()
        finally:
            self._loop = None
            loop.close()

    async def _serve(self, loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        self._stopping = asyncio.Event()
        await self.server.start()
        self._loop = loop
        ready.set()
        await self._stopping.wait()
        await self.server.stop()

    def _settle(self) -> None:
        """Wait until the loop has finished the step it is in. Called from the loop itself, or after it,
        does nothing.
        """
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or thread is threading.current_thread():
            return
        passed = threading.Event()
        try:
            loop.call_soon_threadsafe(passed.set)
        except RuntimeError:  # the loop was closed in between
            return
        while not passed.wait(0.05) and thread.is_alive():
            pass
