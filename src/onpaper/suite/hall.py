"""The two threads of a run: one loop where gateways are, one where the backend is driven.

Each drive gets a gateway (a port) of its own, so that a straggler of one case never meets the next. The backend's
loop is replaced when a subject blocks it for good.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from onpaper.gateway import Server
from onpaper.gateway.answering import Answer
from onpaper.gateway.thread import new_event_loop

T = TypeVar("T")


class LoopThread:
    """An asyncio event loop in a daemon thread."""

    def __init__(self, name: str, make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self.loop = make()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run a coroutine there and wait for it. Raises `concurrent.futures.TimeoutError` after `timeout` seconds."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def stop(self) -> None:
        """Cancel what runs and end the thread, unless something blocks it: then it is left behind."""
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(_cancel_all(), self.loop).result(2)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(2)
        if not self._thread.is_alive():
            self.loop.close()


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class Hall:
    """Where a worker's gateways and backends live. Close it at the end."""

    def __init__(self) -> None:
        self._gateways = LoopThread("onpaper gateways", new_event_loop)
        self._driver: LoopThread | None = None

    @contextlib.contextmanager
    def gateway(self, answer: Answer) -> Iterator[Server]:
        """A gateway on a port of its own for the length of one drive; its journal can be asked from any thread."""
        server = Server(answer)
        self._gateways.run(server.start(), 5)
        server.journal.settle = self._settle
        try:
            yield server
        finally:
            self._gateways.run(server.stop(), 5)
            server.journal.settle = _nothing

    def _settle(self) -> None:
        """Let the gateway finish the step it is in, so that what a client has seen stands in the journal."""
        if threading.current_thread() is not self._gateways._thread:
            with contextlib.suppress(FutureTimeout):
                self._gateways.run(asyncio.sleep(0), 2)

    def drive(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run a clause where the backend lives.

        Raises TimeoutError when it is not done in time; when the subject blocks the loop itself, the loop is left to
        it and a new one is made for the next case.
        """
        if self._driver is None:
            self._driver = LoopThread("onpaper backend")
        try:
            return self._driver.run(_limited(work, timeout), timeout + 2)
        except FutureTimeout as error:
            # TimeoutError in Python 3.11: ours if the loop still answers, a blocked loop otherwise
            if not self._responsive():
                self._driver = None
            raise TimeoutError(f"not done in {timeout:g} s") from error

    def _responsive(self) -> bool:
        if self._driver is None:
            return False
        try:
            self._driver.run(asyncio.sleep(0), 1)
        except Exception:
            return False
        return True

    def close(self) -> None:
        if self._driver is not None:
            self._driver.stop()
        self._gateways.stop()


async def _limited(work: Coroutine[Any, Any, T], timeout: float) -> T:
    return await asyncio.wait_for(work, timeout)


def _nothing() -> None:
    return None
