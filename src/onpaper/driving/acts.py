"""What is done with a backend in a drive: the ordinary calls, and what its methods take."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from onpaper.driving.run import Run

MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "Say hello."},
)
Act = Callable[[Any, Run], Awaitable[None]]


def signature(function: Any) -> inspect.Signature | None:
    """The signature of a function, as far as Python can tell it."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def takes(known: inspect.Signature | None, parameter: str) -> bool:
    """Whether a function takes a parameter; one that Python cannot tell takes everything."""
    if known is None:
        return True
    kinds = known.parameters.values()
    return parameter in known.parameters or any(one.kind is one.VAR_KEYWORD for one in kinds)


def names(known: inspect.Signature | None, parameter: str) -> bool:
    """Whether a signature names a parameter."""
    return known is not None and parameter in known.parameters


def streaming(messages: Any = MESSAGES, **kwargs: Any) -> Act:
    """An act that streams to the end, keeping each piece and when the first came."""

    async def act(backend: Any, run: Run) -> None:
        async for piece in await opened(backend, messages, **_counting(run, "stream"), **kwargs):
            run.marks.setdefault("first piece", time.monotonic())
            run.pieces.append(piece)

    return act


async def opened(backend: Any, messages: Any = MESSAGES, **kwargs: Any) -> Any:
    """The iterator of a stream, also of a `stream()` that has to be awaited for it."""
    source = backend.stream(copied(messages), **kwargs)
    return await source if inspect.isawaitable(source) else source


def completing(messages: Any = MESSAGES, **kwargs: Any) -> Act:
    """An act that asks for a reply in one piece."""

    async def act(backend: Any, run: Run) -> None:
        run.value = await backend.complete(copied(messages), **_counting(run, "complete"), **kwargs)

    return act


async def listing(backend: Any, run: Run) -> None:
    """An act that asks for the models, also of a `list_models()` that is no coroutine."""
    value = backend.list_models()
    run.value = await value if inspect.isawaitable(value) else value


def _counting(run: Run, method: str) -> dict[str, Any]:
    """The argument `stats`, where a method takes it."""
    if method not in run.counting:
        return {}
    run.stats = {}
    return {"stats": run.stats}


def of_text(messages: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a conversation is of text alone: a client may refuse any other before it sends anything."""
    return all(isinstance(one.get("content"), str) and "tool_calls" not in one and one.get("role") != "tool" for one in messages)


async def switching(backend: Any) -> None:
    """Have a backend switch to the model `other/model`."""
    value = backend.set_model("other/model")
    if inspect.isawaitable(value):
        await value


def copied(value: Any) -> Any:
    """A copy that a subject may keep or change without meeting the next case."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [copied(item) for item in value]
    return value
