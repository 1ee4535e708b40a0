"""Connections: used again, let go of, and never shared by two replies."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from onpaper.answer import Provider
from onpaper.clauses import EVERYTHING, INTERFACE, Case, clause
from onpaper.clauses.conditions import plain_complete, plain_stream
from onpaper.clauses.operations import operate
from onpaper.driving.acts import MESSAGES, completing, listing, opened, streaming
from onpaper.driving.play import Play, answer_of
from onpaper.driving.run import Hung, Run
from onpaper.driving.stage import HELLO, Setup, Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.mock import Mock
from onpaper.script import Script

REUSE = "https://github.com/openai/openai-python/issues/3440"

LETS_GO = 2.0
"""Within how many seconds a connection that nobody needs any more is closed."""


async def read(backend: Any, messages: Any = MESSAGES) -> str:
    """The whole text of a stream."""
    return "".join([piece async for piece in await opened(backend, messages)])


async def closing(source: Any) -> None:
    """Close a stream. Raises NotApplicable when it is an iterator that cannot be closed."""
    if not hasattr(source, "aclose"):
        raise NotApplicable("the stream has no aclose()")
    await source.aclose()


@clause("connection/reused", timed=True, cases=tuple(Case(name) for name in ("stream", "complete", "list-models", "prefill", "error")), covers=(155, 156), source=REUSE,
        why="A client that closes the reply at [DONE] pays for a TCP and a TLS handshake with each call, about 300 ms.")  # fmt: skip
async def reused(stage: Stage, case: Case) -> None:
    """After a reply that was read to its end the connection is used again: five calls, one connection.

    After [DONE], drain what is left of the body (the chunked terminator) for a moment before you close the reply.
    """
    if case.id == "list-models":
        stage.needs("list_models")
    elif case.id == "prefill":
        stage.needs("prefill")
        if stage.contract.metered:
            raise NotApplicable("prefill asks nothing where asking costs money: see prefill/silent")
    else:
        await (plain_complete(stage) if case.id == "complete" else plain_stream(stage))

    async def act(backend: Any, run: Run) -> None:
        for number in range(1, 6):
            if case.id == "complete":
                await backend.complete(list(MESSAGES))
            elif case.id == "list-models":
                await listing(backend, run)
            elif case.id == "prefill":
                await backend.prefill(list(MESSAGES))
                with contextlib.suppress(TimeoutError):  # it may only start the request, and the next call follow too soon
                    await run.notes["server"].journal.async_wait_for(_ended(number), 0.3)
                    await asyncio.sleep(0.02)
            else:
                try:
                    await read(backend)
                except Exception:
                    if case.id != "error":
                        raise

    play = Play("bad-request") if case.id == "error" else HELLO
    run = await stage.drive(f"{case.id}()", act, play)
    run.must_not_raise()
    if run.connections > 1:
        raise Broken(f"5 calls opened {run.connections} connections")


def _ended(count: int) -> Any:
    """Whether so many exchanges came to their end."""
    return lambda journal: sum(one.ended is not None for one in journal) >= count


def _numbered(stage: Stage, count: int, pause: float) -> Provider:
    replies = [
        {"match": {"contains": f"number {n}."}, "text": [f"{n}-{k} " for k in range(4)], "usage": {"prompt": 100 + n, "completion": 4}, "pacing": {"first": pause, "between": pause}}
        for n in range(count)
    ]
    return Provider(stage.contract, Mock.of({"about": "Numbered replies", "reply": replies}), strict=False)


AT_ONCE = 5
"""How many of twenty calls run at the same time at least; a pool may have bounds, but not one for each caller."""


@clause("connection/concurrent", cases=(Case("stream"), Case("complete")), covers=(158, 159), source=INTERFACE, why="A buffer or a parser kept on the client mixes the words of two people.")
async def concurrent(stage: Stage, case: Case) -> None:
    """20 calls at once do not mix their text, their counts or their models, and really run at the same time."""
    await (plain_stream(stage) if case.id == "stream" else plain_complete(stage))
    run = await _at_once(stage, case.id, 0.02)
    if _most_at_once(run) < AT_ONCE:
        run = await _at_once(stage, case.id, 0.1)  # longer replies: a busy machine may be slow to ask for the next
    most = _most_at_once(run)
    if most < AT_ONCE:
        found = "they ran one after the other: the gateway never saw two at the same time" if most < 2 else f"at most {most} of them ran at the same time"
        raise Broken(f"20 calls were made at once, and {found}")
    run.must_not_raise()
    for number, text in enumerate(run.value):
        wanted = "".join(f"{number}-{k} " for k in range(4))
        if text != wanted:
            raise Broken(f"call {number} gave {text!r}; the server said {wanted!r}")


async def _at_once(stage: Stage, method: str, pause: float) -> Run:
    """Drive 20 numbered calls at once; each reply takes some pauses of so many seconds."""

    async def one(backend: Any, number: int) -> str:
        said = [{"role": "user", "content": f"number {number}."}]
        return await read(backend, said) if method == "stream" else (await backend.complete(said))["content"]

    async def act(backend: Any, run: Run) -> None:
        run.value = await asyncio.gather(*(one(backend, number) for number in range(20)))

    answer = _numbered(stage, 20, pause)

    def late(request: Request) -> Script:
        return replace(answer(request), head_after=pause * 8) if method == "complete" else answer(request)

    run = await stage.drive(f"{method}()", act, late, patience=8.0)
    if not isinstance(run.error, Hung):  # calls that wait for each other take long together
        run.must_not_raise()
    return run


def _most_at_once(run: Run) -> int:
    """How many exchanges were under way at the same time, at most."""
    steps = sorted([(one.started, 1) for one in run.chats] + [(one.ended or run.marks["end"], -1) for one in run.chats])
    return max(accumulate(step for _, step in steps), default=0)


@clause("connection/aclose", timed=True, cases=(Case("used"), Case("unused")), covers=(160,), source=INTERFACE, why="Sockets that stay open after the end are warnings today and 'too many open files' later.")
async def aclose(stage: Stage, case: Case) -> None:
    """aclose() closes every connection, and may be called twice."""
    stage.needs("aclose")
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        if case.id == "used":
            await read(backend)
        await backend.aclose()
        journal = run.notes["server"].journal
        await journal.async_wait_for(lambda one: len(one.closures) >= one.connections, LETS_GO)
        await backend.aclose()

    run = await stage.drive("aclose()", act, waits=LETS_GO)
    if isinstance(run.error, TimeoutError):
        raise Broken(f"{LETS_GO:g} s after aclose() a connection was still open")
    run.must_not_raise()


@clause("connection/second-loop", covers=(161,), source="https://github.com/NVIDIA/SkillSpector/issues/519", why="A script that calls asyncio.run twice gets 'Event loop is closed' and no idea why.")
async def second_loop(stage: Stage, case: Case) -> None:
    """A backend used from a second event loop works, or says what is wrong; asyncio's own 'Event loop is closed' says nothing."""
    await plain_stream(stage)

    def use(backend: Any) -> str:
        return asyncio.run(read(backend))

    async def act(backend: Any, run: Run) -> None:
        run.pieces = [await asyncio.to_thread(use, backend), await asyncio.to_thread(use, backend)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # nobody can close the sockets of a loop that is gone
        run = await stage.drive("stream()", act)
        run.notes.pop("close error", None)  # it holds on to them
        gc.collect()
    if run.error is not None and any(words in str(run.error) for words in ("Event loop is closed", "different loop", "different event loop")):
        raise Broken(f"the second event loop met {type(run.error).__name__}: {run.error}")
    if run.error is None and run.pieces != ["Hello, world!"] * 2:
        raise Broken(f"two event loops gave {run.pieces!r}")
    if isinstance(run.error, Hung):
        run.must_not_raise()


@clause("connection/stays-on-base-url", cases=(*(Case(name) for name in ("import", "stream", "complete", "prefill", "list-models", "refused")), EVERYTHING), covers=(186,), source=INTERFACE,
        why="A default URL, a telemetry call or a look-up of prices reaches a machine that nobody chose.")  # fmt: skip
async def stays(stage: Stage, case: Case) -> None:
    """A backend connects to its base URL and nowhere else."""
    if case.id == "import":
        _must_stay("the module, while it was imported,", stage.strayed)
    elif case is EVERYTHING:
        for run in stage.runs:
            _must_stay(run.operation, run.strayed)
    elif case.id == "refused":
        for run in (await stage.stream(Play("server-error")), await stage.complete(Play("server-error"))):
            _must_stay(f"{run.operation}, refused,", run.strayed)
    else:
        run = await operate(stage, case.id)
        _must_stay(run.operation, run.strayed)
        if case.id in ("stream", "complete") and not run.exchanges:
            raise Broken(f"{run.operation} never reached base_url{run._raised()}")


def _must_stay(who: str, strayed: Sequence[str]) -> None:
    if strayed:
        raise Broken(f"{who} tried to reach {', '.join(sorted(set(strayed)))}; onpaper refused the connection")


@clause("connection/certificate", cases=(Case("stream"), Case("complete"), Case("list-models")), source="https://www.rfc-editor.org/rfc/rfc9110#section-4.3.4",
        why="`verify=False` is written against one broken proxy, and from then on the key goes to whoever stands in between.")  # fmt: skip
async def certificate(stage: Stage, case: Case) -> None:
    """Over https nothing is sent to a server whose certificate nobody vouches for.

    Leave the verification on; a private authority is added to what is trusted, never trusted instead of all.
    """
    over_tls = Setup(untrusted=True)
    if case.id == "list-models":
        run = await stage.call("list_models", HELLO, over_tls)
    else:
        run = await (stage.stream if case.id == "stream" else stage.complete)(HELLO, over_tls)
    if run.exchanges:
        wire = run.exchanges[0].request
        key = " with the key in it" if run.key and any(run.key in value for _, value in wire.headers) else ""
        raise Broken(f"{run.operation} sent a request{key} to a server with a certificate of its own making", wire.body or None)


@clause("connection/loop-not-blocked", cases=(Case("stream"), Case("complete"), Case("prefill"), Case("list-models")), covers=(164,), source=INTERFACE, why="While a blocking client waits, nothing else in the application moves.")
async def not_blocked(stage: Stage, case: Case) -> None:
    """While a call waits for the server the event loop goes on turning.

    Use an asynchronous client, or a thread.
    """
    stage.needs(case.id.replace("-", "_"))
    for pause in (0.15, 0.6):  # a longer one before anybody is blamed: a busy machine stands still for a moment too
        run = await _with_ticks(stage, case, pause)
        run.must_not_raise()
        if run.notes["gap"] <= pause * 0.8:
            return
    raise Broken(f"the event loop stood still for {run.notes['gap'] * 1000:.0f} ms of the {pause * 1000:.0f} ms that the server took")


async def _prefill(backend: Any, run: Run) -> None:
    await backend.prefill(list(MESSAGES))


async def _with_ticks(stage: Stage, case: Case, pause: float) -> Run:
    """Drive a call whose answer takes `pause` seconds, and note the longest time for which the loop did nothing else."""
    answer = answer_of(HELLO, stage.contract)
    act = {"stream": streaming(), "complete": completing(), "prefill": _prefill, "list-models": listing}[case.id]

    async def beside(backend: Any, run: Run) -> None:
        turns = [time.monotonic()]

        async def tick() -> None:
            while True:
                turns.append(time.monotonic())
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        try:
            if case.id == "list-models" and not inspect.iscoroutinefunction(backend.list_models):
                raise NotApplicable("list_models() is no coroutine: who calls it waits for it")
            await act(backend, run)
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
        gaps = [after - before for before, after in pairwise(turns)]
        run.notes["gap"] = max([*gaps, time.monotonic() - turns[-1]])

    return await stage.drive(f"{case.id.replace('-', '_')}()", beside, lambda request: replace(answer(request), head_after=pause))


POOLED = 8
"""Threads that a pool may keep for the next call."""
CALLS = POOLED + 2


@clause("connection/leaves-nothing", cases=(Case("stream"), Case("complete"), Case("break")), covers=(166,), source=INTERFACE, why="Tasks nobody awaits, sockets nobody closed: each is a warning in somebody's tests.")
async def leaves_nothing(stage: Stage, case: Case) -> None:
    """After aclose() no task, no thread, no open connection and no warning is left behind."""
    stage.needs("aclose")
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        if case.id != "break":
            for _ in range(CALLS):
                await (completing() if case.id == "complete" else streaming())(backend, run)
        else:
            source = await opened(backend)
            async for _ in source:
                break
            await closing(source)
        await backend.aclose()
        journal = run.notes["server"].journal
        with contextlib.suppress(TimeoutError):
            await journal.async_wait_for(lambda one: len(one.closures) >= one.connections, LETS_GO)
        run.notes["open"] = journal.connections - len(journal.closures)

    gc.collect()  # what earlier cases left is not this one's
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threads = threading.active_count()
        run = await stage.drive(f"{case.id}()", act, waits=LETS_GO)
        gc.collect()
    run.must_not_raise()
    if run.leftovers:
        raise Broken(f"after aclose() tasks are left: {', '.join(run.leftovers)}")
    told = [str(one.message) for one in caught if issubclass(one.category, (ResourceWarning, RuntimeWarning))]
    if told:
        raise Broken(f"after aclose(): {told[0]}")
    if threading.active_count() > threads + POOLED:
        raise Broken(f"{threading.active_count() - threads} threads are left")
    if run.notes.get("open"):
        raise Broken(f"after aclose() {run.notes['open']} connection(s) are still open")


@clause("connection/stale", covers=(157,), source="https://github.com/NousResearch/hermes-agent/issues/75463", why="llama.cpp closes idle connections after five seconds; the next call meets a dead one.")
async def stale(stage: Stage, case: Case) -> None:
    """A pooled connection that the server has closed since does not fail or hang the next call."""
    await plain_stream(stage)

    async def act(backend: Any, run: Run) -> None:
        await read(backend)
        server = run.notes["server"]
        await asyncio.to_thread(_drop_connections, server)
        run.pieces.append(await read(backend))

    run = await stage.drive("stream()", act)
    run.must_not_raise()
    if run.pieces != ["Hello, world!"]:
        raise Broken(f"after the server closed the idle connection stream() gave {run.pieces!r}")


def _drop_connections(server: Any) -> None:
    async def drop() -> None:
        for connection in tuple(server.open):
            connection.abort()
        await asyncio.sleep(0.01)

    asyncio.run_coroutine_threadsafe(drop(), server._loop).result(5)
