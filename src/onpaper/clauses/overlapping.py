"""Calls that overlap on one backend: what each finds out is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from onpaper.answer import Provider
from onpaper.clauses import INTERFACE, Case, clause
from onpaper.clauses.conditions import offers_tools, plain_complete, plain_stream
from onpaper.clauses.operations import WEATHER
from onpaper.clauses.tools import ORDINARY, calls_of, must_call, wanted_calls
from onpaper.driving.acts import opened
from onpaper.driving.play import Play
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Request
from onpaper.mock import Mock
from onpaper.script import Script

CALLS = 6
Said = dict[str, Any]


@clause("usage/own-call", covers=(121,), source=INTERFACE, why="A dict or a number shared by two calls shows one the other's counts.")
async def own_counts(stage: Stage, case: Case) -> None:
    """Each call fills its own stats, also when calls overlap."""
    if not stage.takes("stream", "stats"):
        raise NotApplicable("stream() takes no stats")
    await plain_stream(stage)
    for number, call in enumerate(await _overlapping(stage, "stream", lambda n: {"usage": {"prompt": 100 + n, "completion": 10 + n}})):
        stats = call.stats or {}
        if (stats.get("prompt_tokens"), stats.get("completion_tokens")) != (100 + number, 10 + number):
            raise Broken(f"call {number} was told {stats}; the server said prompt {100 + number}, completion {10 + number}", call.wire)


@clause("reply/own-call", cases=(Case("stream"), Case("complete")), covers=(121,), source=INTERFACE,
        why="A finish reason that is kept on the client until the call ends is by then another call's: an answer that was cut off looks whole.")  # fmt: skip
async def own_end(stage: Stage, case: Case) -> None:
    """The finish reason and the tool calls that a call gives are its own, also when calls overlap.

    Keep what a reply says in a variable of the call, never on the client.
    """
    await (plain_stream(stage) if case.id == "stream" else plain_complete(stage))
    finishes, calls = await _tells_finish(stage, case.id), await _tells_calls(stage, case.id)
    if not (finishes or calls):
        raise NotApplicable("the backend tells neither finish reason nor tool calls, or tells them wrongly already: see stream/finish-reason")
    for number, call in enumerate(await _overlapping(stage, case.id, lambda n: _ending(n, calls), calls)):
        which, wanted = f"call {number} of {CALLS} that overlapped was told", call.reading
        if finishes and _finish(call) != wanted.finish:
            raise Broken(f"{which} the finish reason {_finish(call)!r}; the server said {wanted.finish!r}", call.wire)
        made = [(name, arguments) for _, name, arguments in calls_of(call)] if calls else []
        if calls and made != wanted_calls(call):
            raise Broken(f"{which} the tool calls {made!r}; the server made {wanted_calls(call)!r}", call.wire)


def _finish(run: Run) -> Any:
    return ((run.stats or {}) if run.streamed else run.result).get("done_reason")


async def _tells_finish(stage: Stage, method: str) -> bool:
    """Whether a call that overlaps with no other tells its finish reason, as it has to."""
    if method == "stream" and stage.declared.can("done_reason") != "yes":
        return False
    run = await (stage.stream if method == "stream" else stage.complete)(Play("length"))
    return run.error is None and _finish(run) == run.reading.finish


async def _tells_calls(stage: Stage, method: str) -> bool:
    """The same of its tool calls."""
    if "tools" not in stage.contract.keys or not (stage.declared.can("tool_calls") == "yes" if method == "stream" else offers_tools(stage)):
        return False
    run = await (stage.stream(ORDINARY) if method == "stream" else stage.complete(ORDINARY, tools=[WEATHER]))
    try:
        must_call(run)
    except Broken:
        return False
    return True


def _ending(number: int, tooled: bool) -> Said:
    if tooled and number % 3 == 2:
        return {"tool_calls": [{"name": WEATHER["function"]["name"], "id": f"call_{number}", "arguments": f'{{"city": "City {number}"}}'}]}
    return {"finish": "length" if number % 2 else "stop"}


async def _overlapping(stage: Stage, method: str, ending: Callable[[int], Said], tooled: bool = False) -> list[Run]:
    """Six calls on one backend, of which each says a piece more than the one before, so that one ends while the next goes on.

    Raises Broken when one of them raises.
    """
    pieces = [{"match": {"contains": f"call {n}."}, "text": [f"answer {n} "] * (n + 2), "pacing": {"between": 0.005}} for n in range(CALLS)]
    provider = Provider(stage.contract, Mock.of({"about": "Six replies", "reply": [one | ending(n) for n, one in enumerate(pieces)]}), strict=False)
    calls = [Run(stage.contract, f"{method}()", streamed=method == "stream") for _ in range(CALLS)]

    def answer(request: Request) -> Script:
        script = provider(request)
        for number, call in enumerate(calls):
            if f"call {number}.".encode() in request.body:
                call.scripts.append(script)
        return script

    async def one(backend: Any, number: int, counting: bool) -> None:
        call, messages = calls[number], [{"role": "user", "content": f"call {number}."}]
        more: dict[str, Any] = {"tools": [WEATHER]} if tooled and method == "complete" else {}
        if counting:
            more["stats"] = call.stats = {}
        if call.streamed:
            async for piece in await opened(backend, messages, **more):
                call.pieces.append(piece)
        else:
            call.value = await backend.complete(messages, **more)

    async def act(backend: Any, run: Run) -> None:
        await asyncio.gather(*(one(backend, number, method in run.counting) for number in range(CALLS)))

    run = await stage.drive(f"{method}()", act, answer)
    run.must_not_raise()
    for call in calls:
        if not call.scripts:
            raise Broken(f"{method}() gave a reply that it did not ask the server for")
    return calls
