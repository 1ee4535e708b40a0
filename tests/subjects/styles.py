"""A correct client in the shapes that applications give theirs: each is `LiteLLMClient` seen from outside in another way."""

from __future__ import annotations

import functools
from typing import Any

from .on_httpx import LiteLLMClient


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
