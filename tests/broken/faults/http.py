"""HTTP that is read as one server writes it, and what is left of one reply in the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from ..correct import Correct
from ..framing import Events
from ..reply import Failed, Reply
from ..table import breaks


@breaks("connection/forms-of-http", "stream() raised Failed: the reply has no content type")
class ComparesNamesAsTheyStand(Correct):
    """Looks for a header under the name in small letters alone."""

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        async with super().send(method, path, content) as response:
            if b"content-type" not in dict(response.headers.raw):
                raise Failed("the reply has no content type")
            yield response


@breaks("connection/forms-of-http", "complete() raised Failed: this is not JSON")
class ReadsNoBodyWithoutALength(Correct):
    """Takes a reply in one piece for empty that tells no length."""

    async def whole(self, response: httpx.Response) -> bytes:
        told = {"content-length", "transfer-encoding"} & {name.lower() for name in response.headers}
        return await super().whole(response) if told else b""


@breaks("connection/next-reply", "this is not JSON")
class KeepsItsParser(Correct):
    """Makes its parser anew only when a stream came to its end."""

    parser: Events | None = None

    def framing(self) -> Events:  # type: ignore[override]
        self.parser = self.parser or Events()
        return self.parser

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        self.parser = None
        return super().report(reply, stats)
