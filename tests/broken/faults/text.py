"""Text that is tidied up, cut off or lost because of what it stands beside."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from ..correct import Correct
from ..framing import Events
from ..lines import CorrectLines
from ..reply import Failed, Reply
from ..table import breaks

Choice = Mapping[str, Any]


class Tidying(Correct):
    """Changes each piece of text; `tidied` is the fault."""

    def parts(self, content: Any) -> tuple[str, str]:
        text, thoughts = super().parts(content)
        return self.tidied(text), thoughts

    def tidied(self, text: str) -> str:
        return text


@breaks("stream/unicode", "gave 'café")
@breaks("reply/text", "gave 'café")
class ComposesItsText(Tidying):
    """Gives the text in another Unicode normal form."""

    def tidied(self, text: str) -> str:
        return unicodedata.normalize("NFC", text)


@breaks("stream/unicode", "; the server said 'cafe")
class RemovesWhatNobodySees(Tidying):
    """Removes characters that have no width."""

    def tidied(self, text: str) -> str:
        return re.sub("[\u200b\u00ad\ufeff]", "", text)


@breaks("stream/text", "the server said '\\n0 1\\nnull None\\tfalse undefined")
class SkipsBlankPieces(Tidying):
    """Passes over a piece that is one blank."""

    def tidied(self, text: str) -> str:
        return "" if text == " " else text


@breaks("stream/text", "the server said '\\n0 1\\nnull None\\tfalse undefined")
class TakesWordsForNothing(Tidying):
    """Passes over a piece that looks like no value."""

    def tidied(self, text: str) -> str:
        return "" if text in ("0", "null", "None", "undefined") else text


@breaks("stream/text", "the server said '\\n0 1\\nnull None\\tfalse undefined")
class SkipsBlanksAtTheStart(Correct):
    """Passes over blank pieces before the first word."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        if "delta" in choice and not reply.text and not str((message or {}).get("content") or "").strip():
            message = (message or {}) | {"content": None}
        return super().add(reply, choice, message)


@breaks("stream/many-pieces", "2000 pieces were sent")
class StopsAtSomePiece(Correct):
    """Hands on five hundred pieces and no more."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        number = 0
        async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                number += 1
                if number <= 500:
                    yield piece


@breaks("stream/reasoning-apart", "gave '-two'; the server said 'Forty-two'")
class SkipsTextBesideThoughts(Correct):
    """Passes over text that comes in one chunk with reasoning."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        if "delta" in choice and self.thoughts(message or {}):
            message = message | {"content": None}
        return super().add(reply, choice, message)


@breaks("stream/text-beside-tool-call", "gave 'Let me '; the server said 'Let me look.'")
class SkipsTextBesideCalls(Correct):
    """Passes over text that comes in one chunk with a tool call."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        if "delta" in choice and (message or {}).get("tool_calls"):
            message = message | {"content": None}
        return super().add(reply, choice, message)


@breaks("stream/truncated", "but stream() gave the text 'That is all.'")
class TakesAFullStopForTheEnd(Correct):
    """Takes a stream for complete whose text ends like a sentence."""

    def ended(self, reply: Reply) -> None:
        if not reply.text.endswith("."):
            super().ended(reply)


class AnyName(Events):
    def line(self, line: bytes) -> list[Any]:
        return super().line(b"data" + line[4:] if line.lower().startswith(b"data") else line)


@breaks("sse/other-fields", "; the server said 'Hello, world!'")
class ReadsDataInAnyCase(Correct):
    """Knows fields whatever the case of their names."""

    framing = AnyName


# ---- a reply in one piece -------------------------------------------------------------------------------


class Reading(Correct):
    """Reads the body of a reply in one piece in its own way; `read_whole` is the fault."""

    async def whole(self, response: httpx.Response) -> bytes:
        if response.request.method == "GET":
            return await super().whole(response)
        return await self.read_whole(response)

    async def read_whole(self, response: httpx.Response) -> bytes:
        return await super().whole(response)


@breaks("reply/any-cut", "this is not JSON")
class ReadsOnce(Reading):
    """Takes what the first read gives for the body."""

    async def read_whole(self, response: httpx.Response) -> bytes:
        async for piece in response.aiter_bytes():
            return piece
        return b""


@breaks("reply/any-cut", "; the server said 'Grüße 你好")
class DecodesEachReadOfOnePiece(Reading):
    """Decodes each read on its own, and loses the characters that are cut."""

    async def read_whole(self, response: httpx.Response) -> bytes:
        return "".join([one.decode("utf-8", "ignore") async for one in response.aiter_bytes()]).encode()


@breaks("reply/long", "204001 characters were sent, ")
class CutsLongReplies(Correct):
    """Cuts a reply in one piece off at 32 thousand characters."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        result = await super().complete(messages, **options)
        return result | {"content": result["content"][:32768]}


@breaks("reply/content-type", "raised Failed: this is labelled as application/json; charset=utf-8")
class ComparesTheContentType(Reading):
    """Compares the content type as it stands."""

    async def read_whole(self, response: httpx.Response) -> bytes:
        if response.headers["content-type"] != "application/json":
            raise Failed(f"this is labelled as {response.headers['content-type']}")
        return await super().read_whole(response)


@breaks("reply/gzip", "raised Failed: this is not JSON")
class ReadsRawBytes(Reading):
    """Takes the bytes of a compressed reply for its text."""

    async def read_whole(self, response: httpx.Response) -> bytes:
        return b"".join([piece async for piece in response.aiter_raw()])


@breaks("reply/long", "raised Failed: this is not JSON")
class ReadsSomeKilobytes(Reading):
    """Reads 64 kilobytes of a reply in one piece."""

    async def read_whole(self, response: httpx.Response) -> bytes:
        return (await super().read_whole(response))[:65536]


@breaks("ndjson/error-line", "a line carried an error, but stream() gave the text")
class KnowsErrorsAsText(CorrectLines):
    """Takes `error` for an error where it is text."""

    def is_error(self, value: Any) -> bool:
        return isinstance(value, dict) and isinstance(value.get("error"), str)


@breaks("ndjson/reply-not-done", "the reply does not say done, but complete() gave")
class TakesAnyLineForTheReply(CorrectLines):
    """Does not look whether a reply in one piece says done."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        self.line(reply, self.parsed("", data.decode("utf-8", "replace")))


class Unwrapping(Correct):
    """Changes the text of a reply in one piece; `unwrapped` is the fault."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        result = super().report(reply, stats)
        return result | {"content": self.unwrapped(result["content"])}

    def unwrapped(self, text: str) -> Any:
        return text


@breaks("reply/text", """gave '{"city": 1}'; the server said '```json""")
class TakesTheFenceOff(Unwrapping):
    """Takes the fence off a reply that is one block of code."""

    def unwrapped(self, text: str) -> str:
        block = re.fullmatch(r"```\w*\n(.*)\n```", text, re.DOTALL)
        return block[1] if block else text


@breaks("reply/text", """gave 'No"No" twice'; the server said '"No""")
class TakesTheQuotesOff(Unwrapping):
    """Takes the quotes off a reply that stands in quotes."""

    def unwrapped(self, text: str) -> str:
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


@breaks("reply/text", "complete() gave content {'city': 'Paris'}, which is not text")
class ParsesTheReply(Unwrapping):
    """Gives a reply that is JSON as what it parses to."""

    def unwrapped(self, text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, dict) else text


@breaks("stream/text", """; the server said '"No"No" twice""")
class TakesAPieceForTheWholeText(Correct):
    """Takes a piece that begins like the text so far for the whole text, and hands on what is new in it."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        before = reply.text
        text = super().add(reply, choice, message)
        if len(before) > 2 and text.startswith(before):
            reply.text = text
            return text[len(before) :]
        return text


@breaks("stream/text", "User: ")
class StopsAtTheNextTurn(Correct):
    """Stops where the model begins to speak for the user."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        text = super().add(reply, choice, message)
        return "" if "\nUser:" in reply.text else text


@breaks("stream/finish-reason", "stats['done_reason'] is 'stop'; the server said 'content_filter'")
@breaks("reply/finish-reason", "done_reason is 'stop'; the server said 'content_filter'")
class TakesAFilterForAStop(Correct):
    """Reports a reply that the filter ended as one that came to its end."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        if reply.finish == "content_filter":
            reply.finish = "stop"
        return super().report(reply, stats)


@breaks("stream/reasoning-apart", "the reply was all reasoning, and stream() gave it as the text 'Let me think for ever'")
class GivesThoughtsForNoText(Correct):
    """Hands the reasoning on where a stream ends without a text."""

    def ended(self, reply: Reply) -> None:
        super().ended(reply)
        self.thought = reply.reasoning if not reply.text else ""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece
        if self.thought:
            yield self.thought


@breaks("reply/reasoning-apart", "the reply was all reasoning, and complete() gave it as the text 'Let me think for ever'")
class GivesThoughtsForNoContent(Correct):
    """Takes the reasoning for the content where there is none."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        result = super().report(reply, stats)
        return result | {"content": result["content"] or reply.reasoning}
