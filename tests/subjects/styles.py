"""A correct client in the shapes that applications give theirs: each is `LiteLLMClient` seen from outside in another way."""

from __future__ import annotations

import functools
import time
from types import SimpleNamespace
from typing import Any

from .on_httpx import LiteLLMClient, ReplyFailed


class AwaitedForItsStream(LiteLLMClient):
    """`stream()` is a coroutine that gives the iterator."""

    async def stream(self, messages: Any, **options: Any) -> Any:  # type: ignore[override]
        return super().stream(messages, **options)


class _Once:
    """An iterator that has nothing but `__anext__`."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __aiter__(self) -> _Once:
        return self

    async def __anext__(self) -> str:
        return await self._source.__anext__()


class BareIterator(LiteLLMClient):
    """`stream()` gives an iterator that cannot be closed, and lets go with its last reference."""

    def stream(self, messages: Any, **options: Any) -> Any:
        return _Once(super().stream(messages, **options))


class _Lazy:
    """An iterable whose iterator is made late."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __aiter__(self) -> Any:
        return self._make()


class MadeLate(LiteLLMClient):
    """`stream()` gives an iterable: nothing happens before somebody iterates, and there is nothing to close."""

    def stream(self, messages: Any, **options: Any) -> Any:
        return _Lazy(functools.partial(super().stream, messages, **options))


class Rechunked(LiteLLMClient):
    """`stream()` gives whole words, and so holds the last one back a moment."""

    async def stream(self, messages: Any, **options: Any) -> Any:
        held = ""
        async for piece in super().stream(messages, **options):
            *words, held = (held + piece).split(" ")
            for word in words:
                yield word + " "
        if held:
            yield held


class Inner:
    """A wrapper: every attribute comes from the client inside."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._inner = LiteLLMClient(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class WithoutTheRest:
    """The two calls that every application makes, and no other."""

    def __init__(self, model: str, base_url: str) -> None:
        client = LiteLLMClient(model, base_url)
        self.stream, self.complete, self.aclose = client.stream, client.complete, client.aclose


def made_by_a_function(model: str, base_url: str, **options: Any) -> LiteLLMClient:
    """A factory that is no class."""
    return LiteLLMClient(model, base_url, **options)


wants_more = functools.partial(LiteLLMClient, window=4096)
"""A factory that is a partial."""


class SyncSwitch(LiteLLMClient):
    """Methods that need not wait are no coroutines."""

    def set_model(self, name: str) -> None:  # type: ignore[override]
        self.model = name

    def list_models(self) -> Any:  # type: ignore[override]
        return super().list_models()


class CallsAsObjects(LiteLLMClient):
    """Tool calls are objects."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        reply = await super().complete(messages, **options)
        calls = [SimpleNamespace(id=call["id"], **call["function"]) for call in reply["tool_calls"]]
        return {**reply, "tool_calls": calls}


class CallsWithArgs(LiteLLMClient):
    """Tool calls have their arguments under `args`, as agents' libraries have them."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        reply = await super().complete(messages, **options)
        calls = [
            {"type": "tool_call", "id": call["id"], "name": call["function"]["name"], "args": call["function"]["arguments"]}
            for call in reply["tool_calls"]
        ]
        return {**reply, "tool_calls": calls}


class Careful(LiteLLMClient):
    """Refuses what no application of its own would ask for, before anything is sent."""

    def _body(self, messages: Any, defaults: Any, options: Any) -> dict[str, Any]:
        limit, stop = options.get("max_tokens"), options.get("stop")
        if limit is not None and not 1 <= limit <= 8192:
            raise ValueError("max_tokens is from 1 to 8192")
        stops = [stop] if isinstance(stop, str) else stop or []
        if len(stops) > 4 or "" in stops:
            raise ValueError("at most four stops, and none of them empty")
        return super()._body(messages, defaults, options)


class EmptyStopIsNone(LiteLLMClient):
    """`if stop:` decides whether a stop is sent."""

    def _body(self, messages: Any, defaults: Any, options: Any) -> dict[str, Any]:
        return super()._body(messages, defaults, {**options, "stop": options.get("stop") or None})


class TextAlone(LiteLLMClient):
    """Takes messages of text, and says so of all others."""

    def _body(self, messages: Any, defaults: Any, options: Any) -> dict[str, Any]:
        if not all(isinstance(one.get("content"), str) for one in messages):
            raise ValueError("this client sends messages of text only")
        return super()._body(messages, defaults, options)


class FewParameters:
    """Each call takes what its application needs, and not the same."""

    def __init__(self, model: str, base_url: str) -> None:
        self._client = LiteLLMClient(model, base_url)
        self.aclose = self._client.aclose

    async def stream(self, messages: Any, stop: Any = None) -> Any:
        async for piece in self._client.stream(messages, stop=stop):
            yield piece

    async def complete(self, messages: Any, temperature: float | None = None) -> dict[str, Any]:
        return await self._client.complete(messages, temperature=temperature)


class Timed:
    """A wrapper that hands any keyword on, and measures: it takes what the client inside takes, which is no `stats` in
    `stream()`, and no more than it names.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._client = FewParameters(*args, **kwargs)
        self.aclose = self._client.aclose
        self.took: list[float] = []

    async def stream(self, *args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        async for piece in self._client.stream(*args, **kwargs):
            yield piece
        self.took.append(time.monotonic() - began)

    async def complete(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return await self._client.complete(*args, **kwargs)


class PutTogether(LiteLLMClient):
    """`complete()` asks for a stream and puts the text together: that is not what it is for, and all that is wrong with it."""

    async def complete(self, messages: Any, *, max_tokens: int | None = 1024, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        stats: dict[str, Any] = {}
        options = {**options, "max_tokens": max_tokens, "stats": stats}
        text = "".join([piece async for piece in self.stream(messages, **options)])
        used = {"prompt": stats.get("prompt_tokens"), "completion": stats.get("completion_tokens"), "ctx_used": stats.get("ctx_used")}
        return {"content": text, "tool_calls": None, "usage": {**used, "ctx_max": self.window}, "done_reason": "stop"}


class InOnePiece(LiteLLMClient):
    """`stream()` asks for a reply in one piece: that is not what it is for, and all that is wrong with it."""

    async def stream(self, messages: Any, *, stats: dict[str, Any] | None = None, **options: Any) -> Any:  # type: ignore[override]
        reply = await self.complete(messages, **{"max_tokens": 512, "stats": stats, **options})
        if reply["tool_calls"]:
            raise ReplyFailed("the model gave no text but tool calls")
        yield reply["content"]
