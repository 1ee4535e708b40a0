"""Clients that ask for a reply again which they got."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from ..correct import Correct
from ..reply import Failed
from ..table import breaks


@breaks("errors/no-second-reply", "the reply was asked for 2 times")
class AsksAgainForABrokenReply(Correct):
    """Sends a call of complete() again whose reply broke off or could not be read."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        try:
            return await super().complete(messages, **options)
        except Failed as error:
            if error.status:
                raise
            return await super().complete(messages, **options)


@breaks("errors/no-second-reply", "the reply was asked for 2 times")
class AsksAgainForAnEmptyReply(Correct):
    """Sends a call of complete() again when the model had nothing to say."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        result = await super().complete(messages, **options)
        return result if result["content"] or result["tool_calls"] else await super().complete(messages, **options)


class Streaming(Correct):
    """Does something else after a stream that failed before its first text; `otherwise` is the fault."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        try:
            async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
        except Failed as error:
            if error.partial or error.status:
                raise
            async for piece in self.otherwise(messages, options):
                yield piece

    def otherwise(self, messages: Any, options: dict[str, Any]) -> AsyncIterator[str]:
        return super().stream(messages, **options)


@breaks("errors/no-second-reply", "the reply was asked for 2 times")
class BeginsAgainBeforeText(Streaming):
    """Begins a stream again that failed before its first text."""


@breaks("errors/no-second-reply", "the reply was asked for 2 times")
class FallsBackToOnePiece(Streaming):
    """Asks for the reply in one piece when its stream failed before the first text."""

    async def otherwise(self, messages: Any, options: dict[str, Any]) -> AsyncIterator[str]:
        options.pop("stats", None)
        yield (await self.complete(messages, **options))["content"]
