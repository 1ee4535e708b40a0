"""The two threads of a run: one loop where gateways are, one where the backend is driven.

Each drive gets a gateway (a port) of its own, so that a straggler of one case never meets the next. The backend's
loop is left to a subject that blocks it, or that will not be cancelled, and the next case gets another.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from onpaper.driving.guard import depth_of_guards, leave_behind
from onpaper.gateway import Server
from onpaper.gateway.answering import Answer
from onpaper.gateway.thread import new_event_loop

T = TypeVar("T")

LOOK = 0.1
"""Seconds between two looks at whether a drive is overdue."""
OURS = 30.0
"""Seconds that a gateway may take to start or to stop: only a machine that stands still needs them, and no subject is
to blame for that."""


class Blocked(TimeoutError):
    """The subject neither came to an end nor let itself be cancelled; its thread was left behind."""


class Stopped(BaseException):
    """Raised inside a subject that never awaits, to end it. No `except Exception` holds it up."""


class LoopThread:
    """An asyncio event loop in a daemon thread."""

    def __init__(self, name: str, make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self.loop = make()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        with contextlib.suppress(Stopped):
            self.loop.run_forever()
        self._closing = True
        self.loop.close()  # here, because whoever stops it does not wait for ever

    def run(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run a coroutine there and wait for it. Raises `concurrent.futures.TimeoutError` after `timeout` seconds."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def leave(self) -> None:
        """Give the thread up: it ends as soon as what blocks it gives way.

        A loop that never awaits is ended by an exception from outside, which CPython raises between two of its
        instructions; a call into C, such as a sleep, has to return first.
        """
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LOOK)
        for _ in range(5):  # what holds up the first may not hold up the next
            if self._closing or not self._thread.is_alive():
                return
            ident = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Stopped))
            self._thread.join(LOOK)

    def stop(self) -> None:
        """Cancel what runs and end the thread, unless something blocks it: then it is left behind."""
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(_cancel_all(), self.loop).result(2)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(2)


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    for _ in range(3):
        await asyncio.sleep(0)  # a transport that was closed lets go of its socket on a later turn


class Hall:
    """Where a worker's gateways and backends live. Close it at the end."""

    def __init__(self) -> None:
        self._gateways = LoopThread("onpaper gateways", new_event_loop)
        self._driver: LoopThread | None = None
        self._serving: dict[Server, Future[Server]] = {}

    @contextlib.contextmanager
    def gateway(self, answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
        """A gateway on a port of its own for the length of one drive; its journal can be asked from any thread.

        Its port is open at once; the loop is not waited for, since threads that wait for each other cost more than
        what they do here.
        """
        server = Server(answer, tls=tls)
        self._serving[server] = asyncio.run_coroutine_threadsafe(server.start(), self._gateways.loop)
        server.journal.settle = self._settle
        try:
            yield server
        finally:
            if server in self._serving:
                self.end(server)

    def end(self, server: Server) -> None:
        """Stop a gateway, if need be before its drive is over."""
        self._serving.pop(server).result(OURS)
        self._gateways.run(server.stop(), OURS)
        server.journal.settle = _nothing

    def _settle(self) -> None:
        """Let the gateway finish the step it is in, so that what a client has seen stands in the journal."""
        if threading.current_thread() is not self._gateways._thread:
            passed = threading.Event()
            self._gateways.loop.call_soon_threadsafe(passed.set)
            passed.wait(2)

    def drive(self, work: Coroutine[Any, Any, T], timeout: float, due: Callable[[], float | None] = lambda: None) -> T:
        """Run a clause where the backend lives.

        `due` tells until when (monotonic seconds) the step that the subject is in must be over, if it has to be.
        Raises TimeoutError when the clause is not done in `timeout` seconds, and Blocked when the subject cannot
        even be stopped: its loop is then left to it.
        """
        if self._driver is None:
            self._driver = LoopThread("onpaper backend")
        guards, serving = depth_of_guards(), len(self._serving)
        future = asyncio.run_coroutine_threadsafe(_limited(work, timeout), self._driver.loop)
        end = time.monotonic() + timeout + 2
        while True:
            with contextlib.suppress(FutureTimeout):  # TimeoutError itself since Python 3.11, which the work may raise as well
                future.exception(LOOK)
            if future.done():
                return future.result()
            now, until = time.monotonic(), due()
            if now > end or (until is not None and now > until):
                break
        future.cancel()
        self._driver.leave()
        self._driver = None
        leave_behind(guards)
        for server in tuple(self._serving)[serving:]:
            self.end(server)
        raise Blocked("it blocks the event loop, or will not be cancelled")

    def close(self) -> None:
        if self._driver is not None:
            self._driver.stop()
        self._gateways.stop()


async def _limited(work: Coroutine[Any, Any, T], seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"not done in {seconds:g} s") from None
        raise RuntimeError(f"something in it took too long: {error}") from error


def _nothing() -> None:
    return None
