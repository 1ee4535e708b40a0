"""Calls that their caller leaves: the connection is let go of, and a cancelled call is cancelled."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import threading
from collections.abc import Callable
from concurrent.futures import thread
from dataclasses import replace
from types import FrameType
from typing import Any

from onpaper.clauses import INTERFACE, Case, clause
from onpaper.clauses.conditions import plain_complete, plain_stream
from onpaper.clauses.connection import LETS_GO, closing, read
from onpaper.driving.acts import MESSAGES, opened
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Hung, Run
from onpaper.driving.stage import HELLO, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.gateway import closed_by_client
from onpaper.script import Script

_WORKER = thread._worker.__code__  # type: ignore[attr-defined]

POOL = "https://github.com/openai/openai-python/issues/763"

LEAVING = tuple(Case(name) for name in ("aclose", "break", "cancel", "exception"))


@clause("connection/released", timed=True, cases=LEAVING, covers=(153, 165), source="https://github.com/BerriAI/litellm/pull/21213",
        why="The provider goes on generating, and billing, until it sees that nobody listens.")  # fmt: skip
async def released(stage: Stage, case: Case) -> None:
    """A stream that the caller leaves (aclose, break, cancellation, an exception in its loop) lets go of the connection within 2 s.

    Close the reply in a `finally` or an `async with` inside the generator.
    """
    await plain_stream(stage)
    answer = answer_of(Play("long-answer"), stage.contract)

    def endless(request: Request) -> Script:
        script = answer(request)
        return replace(script, writes=script.writes[:3], end="hang")

    async def leave(backend: Any, run: Run) -> None:
        source = await opened(backend)
        async for _ in source:
            run.notes["left"] = True
            if case.id == "exception":
                raise LookupError("the consumer's own")
            break
        if case.id == "aclose":
            await closing(source)
        del source

    async def act(backend: Any, run: Run) -> None:
        journal = run.notes["server"].journal
        if case.id == "cancel":
            task = asyncio.create_task(read(backend))
            await journal.async_wait_for(lambda one: any(e.reply is not None and e.reply.chunks for e in one), 3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            try:
                await leave(backend, run)
            except LookupError:
                pass
        gc.collect()
        await journal.async_wait_for(closed_by_client(), LETS_GO)

    run = await stage.drive("stream()", act, endless, waits=LETS_GO)
    if isinstance(run.error, Hung) and case.id != "cancel" and "left" not in run.notes:
        raise NotApplicable("nothing came out that could be left: see sse/as-it-arrives")
    if isinstance(run.error, TimeoutError):
        raise Broken(f"{LETS_GO:g} s after the caller left ({case.id}) the connection was still open")
    run.must_not_raise()


@clause("connection/released-reply", timed=True, level="should", covers=(153,), source="https://github.com/BerriAI/litellm/pull/21213", why="A caller that gives up waiting is still billed for all that is generated.")
async def released_reply(stage: Stage, case: Case) -> None:
    """A complete() that is cancelled lets go of its connection within 2 s."""
    await plain_complete(stage)
    answer = answer_of(HELLO, stage.contract)

    async def act(backend: Any, run: Run) -> None:
        task = asyncio.create_task(backend.complete(list(MESSAGES)))
        journal = run.notes["server"].journal
        await journal.async_wait_for(lambda one: len(one) >= 1, 3)
        if works_in_a_thread():
            raise NotApplicable("the call waits in a thread, which nobody can cancel")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.async_wait_for(closed_by_client(), LETS_GO)

    run = await stage.drive("complete()", act, lambda request: replace(answer(request), head_after=30.0), waits=LETS_GO)
    if isinstance(run.error, TimeoutError):
        raise Broken(f"{LETS_GO:g} s after the call was cancelled the connection was still open")
    run.must_not_raise()


def works_in_a_thread() -> bool:
    """Whether a thread of a pool is at work, whatever it is called: one that is idle waits in the pool's own `_worker`."""
    frames = sys._current_frames()
    found = [frames.get(one.ident or 0) for one in threading.enumerate()]
    return any(frame.f_code is not _WORKER and _began_in_a_pool(frame) for frame in found if frame is not None)


def _began_in_a_pool(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is _WORKER:
            return True
        frame = frame.f_back
    return False


async def _listed(backend: Any) -> Any:
    """The models, also of a list_models() that is no coroutine."""
    value = backend.list_models()
    return await value if inspect.isawaitable(value) else value


CANCELLING = "https://docs.python.org/3/library/asyncio-task.html#task-cancellation"


@clause("connection/cancelled", timed=True, cases=(Case("stream"), Case("complete"), Case("list-models"), Case("prefill")), covers=(165,), source=CANCELLING, why="A time-out or a task group that cancels a call waits for CancelledError; half a reply that looks whole is taken for the answer.")
async def cancelled(stage: Stage, case: Case) -> None:
    """A call that is cancelled ends as cancelled: neither as a reply nor as another error.

    Let `asyncio.CancelledError` pass; `except Exception` does, a bare `except` has to raise it again.
    """
    method = case.id.replace("-", "_")
    stage.needs(method)
    if case.id in ("stream", "complete"):
        await (plain_stream(stage) if case.id == "stream" else plain_complete(stage))
    answer = answer_of(Play("long-answer"), stage.contract)
    calls: dict[str, Callable[[Any], Any]] = {
        "stream": read,
        "complete": lambda backend: backend.complete(list(MESSAGES)),
        "list-models": _listed,
        "prefill": lambda backend: backend.prefill(list(MESSAGES)),
    }

    def waiting(request: Request) -> Script:
        script = answer(request)
        return replace(script, writes=script.writes[:3], end="hang") if case.id == "stream" else replace(script, head_after=30.0)

    async def act(backend: Any, run: Run) -> None:
        if case.id in ("list-models", "prefill") and not inspect.iscoroutinefunction(getattr(backend, method)):
            raise NotApplicable(f"{method}() is no coroutine function: there may be nothing to cancel")
        task = asyncio.ensure_future(calls[case.id](backend))
        arrived = (lambda one: any(e.reply is not None and e.reply.chunks for e in one)) if case.id == "stream" else (lambda one: len(one) >= 1)
        try:
            await run.notes["server"].journal.async_wait_for(arrived, 0.5 if case.id == "prefill" else 3)
        except TimeoutError:
            if case.id != "prefill":
                raise
            raise NotApplicable("prefill made no request") from None
        if task.done():
            raise NotApplicable(f"{method}() comes back before its request is answered: there is nothing to cancel")
        task.cancel()
        await asyncio.wait([task])
        run.value = "cancelled" if task.cancelled() else task.exception() or task.result()

    run = await stage.drive(f"{method}()", act, waiting)
    run.must_not_raise()
    if run.value != "cancelled":
        raised = isinstance(run.value, BaseException)
        raise Broken(f"a cancelled {method}() {'raised ' + type(run.value).__name__ if raised else f'gave {str(run.value)[:200]!r}'}")


@clause("connection/abandoned", timed=True, cases=(Case("closed"), Case("dropped")), covers=(154,), source=POOL,
        why="Twenty interrupted replies, and the twenty-first waits two minutes for a connection.")  # fmt: skip
async def abandoned(stage: Stage, case: Case) -> None:
    """30 streams that were begun and abandoned (closed, or their last reference dropped) do not exhaust the pool.

    A generator that somebody still holds is in use.
    """
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        for number in range(30):
            source = await opened(backend)
            async for _ in source:
                break
            if case.id == "closed":
                await closing(source)
            del source
            if case.id == "dropped":
                if number % 10 == 9:
                    gc.collect()  # a generator in a reference cycle has to be found first
                await asyncio.sleep(0)
        run.pieces.append(await read(backend))

    run = await stage.drive("stream()", act, Play("long-answer"), patience=max(8.0, stage.patience))
    run.must_not_raise()
    if not run.pieces or "word39" not in run.pieces[-1]:
        raise Broken(f"after 30 abandoned streams stream() gave {run.pieces!r}")


@clause("connection/closes-its-own", source=POOL, why="A pool that all clients of a process share is closed by the first that is done.")
async def closes_its_own(stage: Stage, case: Case) -> None:
    """Closing one backend disturbs no other: a stream that runs goes on to its end.

    Close what this client has opened, and nothing that is kept on the class or in the module.
    """
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        other = await stage.made(run.notes["server"])
        async for piece in await opened(backend):
            run.pieces.append(piece)
            if len(run.pieces) == 1:
                await read(other)
                await stage.closed(other, Run(stage.contract))

    run = await stage.drive("stream()", act, Play("long-answer", "steps"))
    if run.phase == "construct":
        raise NotApplicable(f"the backend could not be made twice: {run.error}")
    run.must_say()


@clause("connection/closed-under-a-stream", source=INTERFACE, why="An application that shuts down, or changes its settings, stores half an answer as a whole one.")
async def closed_under(stage: Stage, case: Case) -> None:
    """A stream whose backend is closed while it runs comes to its own end, or to an error; it never ends in between as if
    that were all.

    Do not ask a flag in the loop that reads; let the closed connection raise.
    """
    stage.needs("aclose")
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        ends: list[asyncio.Future[Any]] = []
        try:
            async for piece in await opened(backend):
                run.pieces.append(piece)
                if not ends:
                    ends.append(asyncio.ensure_future(backend.aclose()))
                    await asyncio.sleep(0)
        finally:
            await asyncio.gather(*ends, return_exceptions=True)

    run = await stage.drive("stream()", act, Play("long-answer", "steps"))
    if run.error is None:  # one that waits on for what will not come takes nothing for the whole
        run.must_say()
