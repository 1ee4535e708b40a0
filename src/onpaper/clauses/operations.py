"""The operations that are driven for the request clauses: each way of using a backend, once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from onpaper.clauses import EVERYTHING, Case
from onpaper.clauses.conditions import needs_value
from onpaper.driving.acts import copied, opened
from onpaper.driving.guard import programs_started
from onpaper.driving.play import Play
from onpaper.driving.run import Run
from onpaper.driving.stage import Stage
from onpaper.driving.verdict import NotApplicable

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
HISTORY: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "What is the weather in Paris?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "12 degrees, rain"},
    {"role": "user", "content": "And now in words?"},
)
UNICODE: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": " \n Grüße 你好 🦜 \u2028 \u2029 \x85 \t \"quoted\" \\ back \x7f \r\n {{x}} {0} %s $HOME &amp; e\u0301 \x00 <|im_end|> end \n"},
)
EVERY_PARAMETER: dict[str, Any] = {
    "max_tokens": 64,
    "temperature": 0.5,
    "top_p": 0.5,
    "presence_penalty": 0.5,
    "stop": ["STOP"],
}


async def _prefill(stage: Stage) -> Run:
    return await prefilled(stage)


PREFIX = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Say"}]


async def prefilled(stage: Stage, messages: Any = None, *, after_a_reply: bool = False) -> Run:
    """Drive prefill, and wait for what it may have started; with `after_a_reply`, on a backend that has replied before."""
    stage.needs("prefill")

    async def act(backend: Any, run: Run) -> None:
        if after_a_reply:
            async for _ in await opened(backend):
                pass
        before, programs = (set(asyncio.all_tasks()), set(threading.enumerate()), set(_timers())), programs_started()
        await backend.prefill(copied(messages or PREFIX))
        at_least = LATEST if programs_started() > programs else 0.05
        await _stragglers(*before, at_least=at_least, hurry=stage.contract.metered)

    ordinary = messages is None and not after_a_reply
    memo = "prefill" if ordinary else ("prefill", messages is not None, after_a_reply)
    return await stage.drive("prefill()", act, memo=memo)


LATEST = 3.0
"""How long to wait, in seconds, for what a prefill has started."""


async def _stragglers(tasks: set[Any], threads: set[Any], timers: set[Any], at_least: float, hurry: bool) -> None:
    """Wait until the tasks and threads that were not there before have ended, `LATEST` seconds at most.

    What another program does cannot be seen: `at_least` seconds are for that. With `hurry` the timers that were set go
    off at once, since nobody can wait for a minute to see what comes after it; not where a request may be waiting for
    its answer, whose time-out is such a timer.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    own = {asyncio.current_task()}
    while True:
        await asyncio.sleep(0.01)
        waited = loop.time() - start
        if hurry:
            _go_off(set(_timers()) - timers, set(threading.enumerate()) - threads)
        started = any(not task.done() for task in asyncio.all_tasks() - tasks - own)
        working = any(thread.is_alive() for thread in set(threading.enumerate()) - threads if not _idle(thread))
        if waited > LATEST or (waited >= at_least and not (started or working)):
            return


def _go_off(timers: set[asyncio.TimerHandle], threads: set[threading.Thread]) -> None:
    """Let the timers of the loop, and those that are threads, go off, unless they are about to."""
    loop = asyncio.get_running_loop()
    for timer in timers:
        if not timer.cancelled() and timer.when() > loop.time() + 0.02:
            loop.call_soon(timer._callback, *timer._args, context=timer._context)  # type: ignore[attr-defined]
            timer.cancel()
    for thread in threads:
        if isinstance(thread, threading.Timer) and not thread.finished.is_set():
            thread.cancel()
            thread.function(*thread.args, **thread.kwargs)


def _timers() -> list[asyncio.TimerHandle]:
    """What the running loop will call later, where the loop tells."""
    return list(getattr(asyncio.get_running_loop(), "_scheduled", ()))


def _idle(thread: threading.Thread) -> bool:
    """Whether a thread belongs to a pool, which keeps it for the next call."""
    return thread.name.startswith(("ThreadPoolExecutor", "asyncio_"))


OPERATIONS: dict[str, Callable[[Stage], Awaitable[Run]]] = {
    "stream": lambda stage: stage.stream(),
    "stream-with-parameters": lambda stage: stage.stream(**accepted(stage, "stream")),
    "stream-unicode": lambda stage: stage.stream(messages=UNICODE),
    "complete": lambda stage: stage.complete(),
    "complete-with-parameters": lambda stage: stage.complete(**accepted(stage, "complete")),
    "complete-with-tools": lambda stage: stage.complete(Play("tool-call"), tools=[WEATHER]),
    "complete-with-history": lambda stage: stage.complete(messages=HISTORY),
    "prefill": _prefill,
    "list-models": lambda stage: stage.call("list_models"),
}


def accepted(stage: Stage, method: str) -> dict[str, Any]:
    """A value for each parameter that a method takes, and the provider too."""
    return {key: value for key, value in EVERY_PARAMETER.items() if stage.takes(method, key) and _may_be(stage, key, value)}


def _may_be(stage: Stage, key: str, value: Any) -> bool:
    try:
        needs_value(stage, **{key: value})
    except NotApplicable:
        return False
    return True


async def operate(stage: Stage, name: str) -> Run:
    """Carry out an operation by its name. Raises NotApplicable when the backend lacks its method."""
    needed = name.partition("-with")[0].partition("-unicode")[0].replace("-", "_")
    stage.needs(needed)
    if name == "complete-with-tools" and not stage.takes("complete", "tools"):
        raise NotApplicable("complete() takes no tools")
    if name == "complete-with-history":
        needs_value(stage, messages=HISTORY)
    return await OPERATIONS[name](stage)


REQUEST_CASES = (*(Case(name) for name in OPERATIONS), EVERYTHING)
CHAT_CASES = (*(Case(name) for name in OPERATIONS if name != "list-models"), EVERYTHING)
