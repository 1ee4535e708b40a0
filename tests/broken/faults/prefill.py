"""Prefills that bill, warm the wrong thing, or leave something behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx

from ..correct import Correct, CorrectLocal
from ..lines import CorrectLines
from ..reply import Failed, Reply
from ..table import breaks


class Billing(CorrectLocal):
    """The local client put in front of a metered gateway."""

    provider = "litellm"
    parameters = Correct.parameters


@breaks("prefill/silent", "prefill() made 1 request(s): POST /v1/chat/completions")
class PrefillSendsARequest(Billing):
    """Warms a cache that somebody else bills for."""


@breaks("prefill/silent", "prefill() made 1 request(s): POST /v1/chat/completions")
class PrefillSendsOneLater(Billing):
    """Comes back at once, and warms the cache in a task."""

    async def prefill(self, messages: Any) -> None:
        self.task = asyncio.ensure_future(super().prefill(messages))


@breaks("prefill/silent", "prefill() made 1 request(s): POST /v1/chat/completions")
class PrefillWaitsForSilence(Billing):
    """Warms the cache when nothing more was said for four seconds."""

    async def prefill(self, messages: Any) -> None:
        self.task = asyncio.ensure_future(self.later(messages))

    async def later(self, messages: Any) -> None:
        await asyncio.sleep(4)
        await super().prefill(messages)


@breaks("prefill/silent", "prefill() made 1 request(s): POST /v1/chat/completions")
class PrefillsBetweenReplies(Billing):
    """Warms the cache once it has replied."""

    replied = False

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        self.replied = True
        async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece

    async def prefill(self, messages: Any) -> None:
        if self.replied:
            await super().prefill(messages)


@breaks("prefill/silent", "prefill() made 1 request(s): POST /v1/chat/completions")
class PrefillsLongPrompts(Billing):
    """Warms the cache where it seems worth the money."""

    async def prefill(self, messages: Any) -> None:
        if len(messages[0]["content"]) > 1000:
            await super().prefill(messages)


@breaks("prefill/same-prefix", "the prefilled messages are not the ones that follow")
class PrefillsTextOnly(CorrectLocal):
    """Warms the cache with roles and texts alone."""

    async def prefill(self, messages: Any) -> None:
        await super().prefill([{"role": one["role"], "content": one["content"]} for one in messages])


@breaks("prefill/same-prefix", "prefill sent options.num_ctx=2048")
class PrefillsASmallerWindow(CorrectLines):
    """Warms the cache of a model with another window, which is loaded anew for it."""

    async def prefill(self, messages: Any) -> None:
        window, self.window = self.window, 2048
        await super().prefill(messages)
        self.window = window


@breaks("prefill/apart", "stream() hung")
class WaitsForThePrefill(CorrectLocal):
    """Begins no reply before the prefill is done."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.locks: dict[Any, asyncio.Lock] = {}

    def lock(self) -> asyncio.Lock:
        return self.locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    async def prefill(self, messages: Any) -> None:
        async with self.lock():
            await super().prefill(messages)

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        async with self.lock():
            pass
        async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece


@breaks("prefill/apart", "stream() raised")
class PrefillsWithANewPool(CorrectLocal):
    """Closes its pool for a prefill, and with it the reply that runs."""

    async def prefill(self, messages: Any) -> None:
        await self.aclose()
        await super().prefill(messages)


@breaks("connection/reused", "5 calls opened 5 connections")
class PrefillsOnConnectionsOfItsOwn(CorrectLocal):
    """Makes a pool for each prefill."""

    async def prefill(self, messages: Any) -> None:
        other = type(self)(self.model, self.root)
        await CorrectLocal.prefill(other, messages)
        await other.aclose()


@breaks("prefill/silent", "prefill() made 1 request(s): GET /v1/models")
class PrefillLooksForTheModel(Correct):
    """Makes sure in prefill that the provider is there."""

    async def prefill(self, messages: Any) -> None:
        await self.list_models()


@breaks("prefill/silent", "prefill() opened 1 connection(s)")
class PrefillOpensAConnection(Correct):
    """Shakes hands ahead of time."""

    async def prefill(self, messages: Any) -> None:
        url = httpx.URL(self.root)
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.close()


@breaks("prefill/repeated", "20 prefills and one stream() made 3 requests")
class BillsEachTenthPrefill(Billing):
    """Sends one prefill in ten."""

    asked = 0

    async def prefill(self, messages: Any) -> None:
        self.asked += 1
        if self.asked % 10 == 0:
            await super().prefill(messages)


@breaks("prefill/one-token", "prefill() asked for [8] tokens, not for 1")
class PrefillsEightTokens(CorrectLocal):
    """Asks for eight tokens to warm the cache."""

    async def prefill(self, messages: Any) -> None:
        with suppress(Failed):
            await self.complete(messages, max_tokens=8)


@breaks("prefill/same-prefix", "the prefilled messages are not the ones that follow")
class PrefillsAnotherPrefix(CorrectLocal):
    """Warms the cache for the messages without their beginning."""

    async def prefill(self, messages: Any) -> None:
        await super().prefill(messages[1:])


@breaks("prefill/keeps-state", "after a prefill the same call sent another body")
class LeavesItsLimitBehind(CorrectLocal):
    """Sets the limit of tokens to one for a prefill, and leaves it there."""

    most = 1 << 30

    async def prefill(self, messages: Any) -> None:
        self.most = 1
        await super().prefill(messages)

    def body(self, messages: Any, stream: bool, max_tokens: Any, *rest: Any) -> dict[str, Any]:
        return super().body(messages, stream, min(max_tokens or self.most, self.most), *rest)


@breaks("prefill/released", "the connection of a cancelled prefill stayed open for 2 s")
class ShieldsThePrefill(CorrectLocal):
    """Lets a prefill that was cancelled go on."""

    async def prefill(self, messages: Any) -> None:
        await asyncio.shield(asyncio.ensure_future(super().prefill(messages)))


@breaks("prefill/failure", "the server is down")
class GivesUpAfterOneFailure(CorrectLocal):
    """Takes one failure for the end of the server."""

    down = False

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        if self.down:
            raise Failed("the server is down")
        try:
            async with super().send(method, path, content) as response:
                yield response
        except Failed:
            self.down = True
            raise


@breaks("prefill/one-token", "prefill() made 2 requests, 1 of them for a completion")
class LooksForTheModelBeforeAPrefill(CorrectLocal):
    """Makes sure that the server is there before it warms the cache."""

    async def prefill(self, messages: Any) -> None:
        await self.list_models()
        await super().prefill(messages)


@breaks("prefill/one-token", "prefill() asked for a stream: True")
class StreamsThePrefill(CorrectLocal):
    """Warms the cache with a stream."""

    async def prefill(self, messages: Any) -> None:
        with suppress(Failed):
            async for _ in self.stream(messages, max_tokens=1):
                pass


@breaks("prefill/same-prefix", "prefill sent chat_template_kwargs={'enable_thinking': True}")
class PrefillsWithAnotherTemplate(CorrectLocal):
    """Warms the cache for another template than the reply's."""

    async def prefill(self, messages: Any) -> None:
        body = self.body(messages, False, 1, self.chosen({}, {}), None, None)
        body["chat_template_kwargs"] = {"enable_thinking": True}
        async with self.send("POST", self.chat, self.encoded(body)) as response:
            await self.whole(response)


@breaks("prefill/same-prefix", "prefill sent keep_alive=0: the model is unloaded as soon as it has answered")
class UnloadsTheModelAtOnce(CorrectLines):
    """Has the model unloaded after each call."""

    def body(self, *args: Any) -> dict[str, Any]:
        return super().body(*args) | {"keep_alive": 0}


@breaks("prefill/keeps-state", "after a prefill prompt_tokens of the same reply came out as 13; without one as 11")
class CountsThePrefillToo(CorrectLocal):
    """Adds to the counts of a reply what the prefill before it took."""

    prefilled = 0

    async def prefill(self, messages: Any) -> None:
        await super().prefill(messages)
        self.prefilled = len(messages)

    def counts(self, reply: Reply, chunk: Any, choice: Any) -> None:
        super().counts(reply, chunk, choice)
        if reply.prompt is not None:
            reply.prompt, self.prefilled = reply.prompt + self.prefilled, 0
