"""Broken clients as somebody would write them who wants to slip past the clauses. `AIMS` says which clause has to blame each."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from .on_httpx import LiteLLMClient, ReplyFailed

AIMS: dict[str, tuple[str, ...]] = {}
Client = TypeVar("Client", bound=type[Any])


def blamed_by(*clauses: str) -> Callable[[Client], Client]:
    """Enter a client with the clauses that have to blame it."""

    def enter(client: Client) -> Client:
        AIMS[client.__name__] = clauses
        return client

    return enter


class Billing(LiteLLMClient):
    """Can send a warm-up by any way that does not go through the client."""

    def _warm_up(self, messages: Any) -> None:
        body = json.dumps({"model": self.model, "messages": messages, "max_tokens": 1}).encode()
        headers = {"content-type": "application/json", **self._auth}
        with contextlib.suppress(OSError):
            urllib.request.urlopen(urllib.request.Request(f"{self._root}/chat/completions", body, headers), timeout=2).close()


# ---- prefill -------------------------------------------------------------------------------------------------------


@blamed_by("prefill/silent")
class PrefillsInAThread(Billing):
    """The request leaves from a thread that nobody waits for."""

    async def prefill(self, messages: Any) -> None:
        threading.Thread(target=self._warm_up, args=(messages,), daemon=True).start()


@blamed_by("prefill/silent")
class PrefillsAfterAWhile(Billing):
    """A timer sends it when prefill has long returned."""

    async def prefill(self, messages: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, loop.run_in_executor, None, self._warm_up, messages)


@blamed_by("prefill/silent")
class PrefillsInAnotherProcess(Billing):
    """Another program sends it."""

    async def prefill(self, messages: Any) -> None:
        code = f"import urllib.request as r; r.urlopen(r.Request({self._root!r} + '/chat/completions', b'{{}}'), timeout=2)"
        subprocess.Popen([sys.executable, "-S", "-c", code], stderr=subprocess.DEVNULL)


@blamed_by("prefill/silent")
class PrefillsWithHead(LiteLLMClient):
    """It only asks for a head, to have a connection at hand."""

    async def prefill(self, messages: Any) -> None:
        await self._client.head(self._root)


@blamed_by("prefill/silent")
class PrefillsWhenClosed(Billing):
    """What prefill was given goes out in the end."""

    pending: Any = None

    async def prefill(self, messages: Any) -> None:
        self.pending = messages

    async def aclose(self) -> None:
        if self.pending:
            await asyncio.to_thread(self._warm_up, self.pending)
        await super().aclose()


@blamed_by("prefill/repeated")
class PrefillsWithTheNextReply(Billing):
    """What prefill was given goes out when the next reply is asked for."""

    pending: Any = None

    async def prefill(self, messages: Any) -> None:
        self.pending = messages

    async def stream(self, messages: Any, **options: Any) -> Any:
        if self.pending:
            await asyncio.to_thread(self._warm_up, self.pending)
        async for piece in super().stream(messages, **options):
            yield piece


@blamed_by("prefill/repeated")
class BillsEachFifthPrefill(Billing):
    """Four of five are silent."""

    count = 0

    async def prefill(self, messages: Any) -> None:
        self.count += 1
        if self.count % 5 == 0:
            await asyncio.to_thread(self._warm_up, messages)


@blamed_by("prefill/repeated")
class PrefillsLongConversations(Billing):
    """Only what is long enough to be worth a warm-up is billed."""

    async def prefill(self, messages: Any) -> None:
        if sum(len(one["content"]) for one in messages) > 60:
            await asyncio.to_thread(self._warm_up, messages)


# ---- the key -------------------------------------------------------------------------------------------------------


@blamed_by("auth/not-in-url-or-body")
class KeyInACookie(LiteLLMClient):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._auth:
            self._auth = {**self._auth, "cookie": f"session={self._auth['authorization'].removeprefix('Bearer ')}"}


@blamed_by("auth/header")
class ReadsAnotherVariable(LiteLLMClient):
    """The key of another provider is sent to this one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        key = os.environ.get("OPENAI_API_KEY", "")
        self._auth = {"authorization": f"Bearer {key}"} if key else {}


@blamed_by("auth/header")
class ReadsItsKeyAtImport(LiteLLMClient):
    KEY = os.environ.get("LITELLM_KEY", "")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._auth = {"authorization": f"Bearer {self.KEY}"} if self.KEY else {}


@blamed_by("auth/key-not-in-logs")
class PrintsItsHeaders(LiteLLMClient):
    async def complete(self, messages: Any, **options: Any) -> Any:
        print("POST", self._root, self._auth)
        return await super().complete(messages, **options)


@blamed_by("auth/key-not-in-logs")
class WritesItsHeadersToStderr(LiteLLMClient):
    async def stream(self, messages: Any, **options: Any) -> Any:
        sys.stderr.write(f"{self._auth}\n")
        async for piece in super().stream(messages, **options):
            yield piece


@blamed_by("auth/key-not-in-logs")
class WarnsWithItsKey(LiteLLMClient):
    async def list_models(self) -> list[str]:
        warnings.warn(f"asking for models as {self._auth}", stacklevel=1)
        return await super().list_models()


@blamed_by("auth/key-not-in-errors")
class NotesItsKey(LiteLLMClient):
    """The key stands in a note of the exception."""

    async def complete(self, messages: Any, **options: Any) -> Any:
        try:
            return await super().complete(messages, **options)
        except ReplyFailed as error:
            error.add_note(f"the headers were {self._auth}")
            raise


# ---- what goes out -------------------------------------------------------------------------------------------------


class Changing(LiteLLMClient):
    """Changes each body before it leaves."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body

    def _body(self, *args: Any) -> dict[str, Any]:
        return self.change(super()._body(*args))


@blamed_by("body/whitelist")
class NestsTopK(Changing):
    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"extra_body": {"top_k": 20}}


@blamed_by("property/precedence")
class ClampsTheTemperature(Changing):
    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"temperature": min(body["temperature"], 1.0)}


@blamed_by("body/messages")
class ForgetsTheBeginning(Changing):
    """Only the last ten messages go out."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"messages": body["messages"][-10:]}


@blamed_by("body/messages")
class CutsLongMessages(Changing):
    """A message of more than 4,000 characters is cut."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"messages": [{**one, "content": one["content"][:4000]} for one in body["messages"]]}


@blamed_by("body/unicode")
class StripsItsMessages(Changing):
    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"messages": [{**one, "content": one["content"].strip()} for one in body["messages"]]}


@blamed_by("body/caller-objects")
class KeepsTheHistoryForItsCaller(LiteLLMClient):
    """The reply is appended to the caller's own list."""

    async def complete(self, messages: Any, **options: Any) -> Any:
        reply = await super().complete(messages, **options)
        messages.append({"role": "assistant", "content": reply["content"]})
        return reply


@blamed_by("body/stream-flag")
class CompletesByStreaming(LiteLLMClient):
    async def complete(self, messages: Any, **options: Any) -> Any:
        options.pop("tools", None)
        stats: dict[str, Any] = {}
        text = "".join([piece async for piece in self.stream(messages, **{**options, "stats": stats})])
        prompt, completion = stats.get("prompt_tokens"), stats.get("completion_tokens")
        usage = {"prompt": prompt, "completion": completion, "ctx_used": stats.get("ctx_used"), "ctx_max": None}
        return {"content": text, "tool_calls": [], "usage": usage, "done_reason": "stop"}


@blamed_by("property/any-order")
class SwitchesHalf(LiteLLMClient):
    """`set_model` changes what complete() asks for, and not stream()."""

    first = ""

    async def set_model(self, name: str) -> None:
        self.first = self.first or self.model
        self.model = name

    async def stream(self, messages: Any, **options: Any) -> Any:
        kept, self.model = self.model, self.first or self.model
        try:
            source = super().stream(messages, **options)
            async for piece in source:
                self.model = kept
                yield piece
        finally:
            self.model = kept


# ---- what comes back -----------------------------------------------------------------------------------------------


class Rewriting(LiteLLMClient):
    """Changes each piece on its way to the caller."""

    def rewrite(self, piece: str, before: list[str]) -> Any:
        return piece

    async def stream(self, messages: Any, **options: Any) -> Any:
        before: list[str] = []
        async for piece in super().stream(messages, **options):
            given = self.rewrite(piece, before)
            before.append(piece)
            if given:
                yield given


@blamed_by("property/any-framing-any-cut")
class TrimsTheFirstPiece(Rewriting):
    def rewrite(self, piece: str, before: list[str]) -> str:
        return piece if before else piece.lstrip()


@blamed_by("stream/text")
class DropsRepeatedPieces(Rewriting):
    """A piece that comes twice in a row counts as sent again."""

    def rewrite(self, piece: str, before: list[str]) -> str:
        return "" if before[-1:] == [piece] else piece


@blamed_by("stream/text")
class DecodesEntities(Rewriting):
    def rewrite(self, piece: str, before: list[str]) -> str:
        return html.unescape(piece)


@blamed_by("stream/text")
class WritesUnixLines(Rewriting):
    def rewrite(self, piece: str, before: list[str]) -> str:
        return piece.replace("\r\n", "\n")


@blamed_by("stream/text")
class GivesBytes(Rewriting):
    def rewrite(self, piece: str, before: list[str]) -> bytes:
        return piece.encode()


@blamed_by("usage/counts")
class CountsItsPieces(LiteLLMClient):
    """The number of pieces stands for the number of tokens."""

    async def stream(self, messages: Any, *, stats: Any = None, **options: Any) -> Any:
        count = 0
        async for piece in super().stream(messages, stats=stats, **options):
            count += 1
            yield piece
        if stats is not None:
            stats["completion_tokens"] = count


@blamed_by("usage/counts")
class SwapsTheCountsOfAReply(LiteLLMClient):
    async def complete(self, messages: Any, **options: Any) -> Any:
        reply = await super().complete(messages, **options)
        usage = reply["usage"]
        usage["prompt"], usage["completion"] = usage["completion"], usage["prompt"]
        return reply


@blamed_by("reply/text")
class RunsItsOwnLoop(LiteLLMClient):
    async def complete(self, messages: Any, **options: Any) -> Any:
        return asyncio.run(super().complete(messages, **options))


@blamed_by("reply/shape")
class GivesTheRawReply(LiteLLMClient):
    async def complete(self, messages: Any, **options: Any) -> Any:
        reply = await super().complete(messages, **options)
        return {"choices": [{"message": {"content": reply["content"]}}], "usage": reply["usage"]}


# ---- errors --------------------------------------------------------------------------------------------------------


@blamed_by("errors/no-retry")
class RetriesThreeTimes(LiteLLMClient):
    """With a pause between, and only where it looks harmless."""

    async def complete(self, messages: Any, **options: Any) -> Any:
        for attempt in range(3):
            try:
                return await super().complete(messages, **options)
            except ReplyFailed as error:
                if attempt == 2 or not str(error).startswith("5"):
                    raise
                await asyncio.sleep(0.05 * 2**attempt)
        return None


@blamed_by("errors/raised")
class ExitsOnErrors(LiteLLMClient):
    """The whole application ends."""

    async def complete(self, messages: Any, **options: Any) -> Any:
        try:
            return await super().complete(messages, **options)
        except ReplyFailed as error:
            sys.exit(f"fatal: {error}")


@blamed_by("errors/raised")
class CancelsOnErrors(LiteLLMClient):
    """An error looks as if the caller had cancelled the call."""

    async def stream(self, messages: Any, **options: Any) -> Any:
        try:
            async for piece in super().stream(messages, **options):
                yield piece
        except ReplyFailed:
            raise asyncio.CancelledError from None


@blamed_by("stream/error-object")
class ForgivesErrorsAfterText(LiteLLMClient):
    """Once something was said, whatever goes wrong counts as the end."""

    async def stream(self, messages: Any, **options: Any) -> Any:
        said = False
        try:
            async for piece in super().stream(messages, **options):
                said = True
                yield piece
        except ReplyFailed:
            if not said:
                raise


# ---- connections ---------------------------------------------------------------------------------------------------


@blamed_by("connection/reused")
class ConnectsForEachCall(LiteLLMClient):
    @property
    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(headers={**self._auth, "connection": "close"}, timeout=30, trust_env=False)


@blamed_by("connection/stays-on-base-url")
class LooksUpAName(LiteLLMClient):
    async def complete(self, messages: Any, **options: Any) -> Any:
        with contextlib.suppress(OSError):
            socket.getaddrinfo("api.openai.com", 443)
        return await super().complete(messages, **options)


@blamed_by("connection/stays-on-base-url")
class CallsHomeFromAThread(LiteLLMClient):
    async def list_models(self) -> list[str]:
        threading.Thread(target=self._call_home, daemon=True).start()
        return await super().list_models()

    @staticmethod
    def _call_home() -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"used", ("8.8.8.8", 53))


@blamed_by("connection/stays-on-base-url")
class FallsBackToAnotherProvider(LiteLLMClient):
    """Where the gateway refuses, another provider is asked, and its bill is somebody's surprise."""

    async def complete(self, messages: Any, **options: Any) -> Any:
        try:
            return await super().complete(messages, **options)
        except ReplyFailed:
            with contextlib.suppress(httpx.HTTPError):
                await self._client.post("https://api.openai.com/v1/chat/completions", json={}, timeout=2)
            raise


@blamed_by("connection/loop-not-blocked")
class BlocksForAReply(LiteLLMClient):
    """A coroutine in name: everything stands still while it waits."""

    async def complete(self, messages: Any, **options: Any) -> Any:
        inner = LiteLLMClient(self.model, self._root)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(_outcome(inner, messages, options)))
        thread.start()
        thread.join()
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]


def _outcome(client: LiteLLMClient, messages: Any, options: dict[str, Any]) -> Any:
    async def ask() -> Any:
        try:
            return await client.complete(messages, **options)
        finally:
            await client.aclose()

    try:
        return asyncio.run(ask())
    except Exception as error:
        return error


class Models(LiteLLMClient):
    cache: list[str] = []


@blamed_by("models/ids")
class RemembersTheModelsForAll(Models):
    """The first list that came is everybody's."""

    async def list_models(self) -> list[str]:
        if not Models.cache:
            Models.cache = await super().list_models()
        return Models.cache


AIMS["CallsHomeAtImport"] = ("connection/stays-on-base-url",)


REAL_KEY = "-".join(["sk", "proj", "a1B2c3D4" * 5])


@blamed_by("auth/absent-without-key")
class FindsAKeyOfItsOwn(LiteLLMClient):
    """Reads a file of secrets that nobody told it of, as `load_dotenv()` does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._auth = {"authorization": f"Bearer {REAL_KEY}"}
