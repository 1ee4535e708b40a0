"""Streams whose chunks are misread: what they mean, when they end, and what in them is an error."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from ..correct import Correct
from ..reply import Failed, Reply
from ..table import breaks

Choice = Mapping[str, Any]


@breaks("stream/text", "; the server said 'Hello, world!'")
class LosesTheFirstText(Correct):
    """Passes over the first chunk that has text."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        text = super().add(reply, choice, message)
        if "delta" not in choice or text != reply.text:
            return text
        return ""


@breaks("stream/recorded", "; the server said")
class StripsEachPiece(Correct):
    """Strips the blanks from each piece of text that is not the greeting's."""

    def parts(self, content: Any) -> tuple[str, str]:
        text, thoughts = super().parts(content)
        return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode(), thoughts


@breaks("stream/choices-empty", "raised IndexError")
class TakesTheFirstChoice(Correct):
    """Takes choices[0], whatever there is."""

    def choice(self, choices: Any) -> dict[str, Any]:
        return dict(choices[0]) if choices is not None else {}


@breaks("stream/choices-null", "raised TypeError")
class ExpectsAListOfChoices(Correct):
    """Goes through `choices` without looking whether there are any."""

    def choice(self, choices: Any) -> dict[str, Any]:
        return next((one for one in choices if not one.get("index")), {})


@breaks("stream/role", "assistant")
class HandsTheRoleOn(Correct):
    """Takes the role for text where there is no content."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        if message and "content" not in message and message.get("role"):
            message = message | {"content": message["role"]}
        return super().add(reply, choice, message)


@breaks("stream/content-null", "None")
class WritesNone(Correct):
    """Makes the word None of no content."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        if message and "content" in message and message["content"] is None and not message.get("tool_calls"):
            message = message | {"content": str(message["content"])}
        return super().add(reply, choice, message)


@breaks("stream/delta-null", "raised")
class ExpectsADelta(Correct):
    """Looks into a delta that is not there."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        return super().add(reply, choice, message if not choice else {**message})


@breaks("stream/finish-empty", "; the server said")
class EndsAtAnEmptyFinish(Correct):
    """Takes a finish reason that is empty for the end."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        reply.over = reply.over or choice.get("finish_reason") == ""
        return super().add(reply, choice, message)


@breaks("stream/text-with-finish", "gave 'Hel'; the server said 'Hello'")
class LooksAtTheFinishFirst(Correct):
    """Passes over the text of the chunk that carries the finish reason."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        if choice.get("finish_reason") and "delta" in choice:
            message = {key: value for key, value in (message or {}).items() if key != "content"}
        return super().add(reply, choice, message)


@breaks("stream/unknown-finish", "an unknown finish reason: sleepy")
class KnowsItsFinishReasons(Correct):
    """Refuses a finish reason that is not in its list."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        if choice.get("finish_reason") not in (
            None,
            "",
            "stop",
            "length",
            "tool_calls",
            "content_filter",
            "error",
        ):
            raise Failed(f"an unknown finish reason: {choice['finish_reason']}")
        return super().add(reply, choice, message)


@breaks("stream/content-parts", "'type': 'text'")
@breaks("reply/content-parts", "'type': 'text'")
class WritesPartsAsTheyAre(Correct):
    """Makes the text of a Python list of typed parts."""

    def parts(self, content: Any) -> tuple[str, str]:
        return str(content or ""), ""


@breaks("stream/one-choice", "NO")
class MixesTheChoices(Correct):
    """Takes every choice for the reply."""

    def choice(self, choices: Any) -> dict[str, Any]:
        return dict(choices[0]) if choices else {}


@breaks("stream/unknown-keys", "an unknown key: ")
@breaks("reply/unknown-keys", "an unknown key: ")
class RefusesUnknownKeys(Correct):
    """Refuses a reply with a key that it does not know."""

    def parsed(self, kind: str, data: str) -> dict[str, Any]:
        value = super().parsed(kind, data)
        if "zzz" in value:
            raise Failed("an unknown key: zzz")
        return value


@breaks("stream/empty-answer", "the reply is empty")
class TakesSilenceForAnError(Correct):
    """Raises when a model says nothing."""

    def ended(self, reply: Reply) -> None:
        super().ended(reply)
        if not (reply.text or reply.calls or reply.reasoning or reply.refusal):
            raise Failed("the reply is empty")


@breaks("stream/no-done", "without [DONE]")
class InsistsOnTheSentinel(Correct):
    """Takes a stream without [DONE] for one that was cut."""

    def ended(self, reply: Reply) -> None:
        if not reply.over:
            raise Failed("the stream ended without [DONE]")


@breaks("stream/done-without-finish", "without a finish reason")
class InsistsOnAFinishReason(Correct):
    """Takes a stream without a finish reason for one that was cut."""

    def ended(self, reply: Reply) -> None:
        if reply.finish is None:
            raise Failed("the stream ended without a finish reason")


@breaks("stream/after-done", "AFTER")
class ReadsOnAfterTheSentinel(Correct):
    """Takes [DONE] for an event like any other."""

    def take(self, reply: Reply, kind: str, data: str) -> str:
        text = super().take(reply, kind, data)
        reply.over, reply.begun = False, True
        return text


@breaks(
    "stream/truncated", "neither a finish reason nor [DONE], but stream() gave the text 'Hello' and no error"
)
@breaks("stream/cut-mid-event", "the body ended inside an event, but")
class TakesAnyEndForTheEnd(Correct):
    """Takes the end of the body for the end of the reply."""

    def ended(self, reply: Reply) -> None:
        if not reply.begun:
            raise Failed("the reply held no event")

    def fail(self, error: Failed) -> None:
        if not (error.partial and isinstance(error.__cause__, httpx.RemoteProtocolError)):
            raise error


@breaks("stream/no-events", "the stream held no event, but")
@breaks("stream/json-reply", "the server sent one JSON reply, and stream() gave the text '' and no error")
@breaks("stream/not-a-stream", "the reply was no stream, but")
class TakesNoEventsForNoText(Correct):
    """Takes a reply in which it finds no event for an empty one."""

    def ended(self, reply: Reply) -> None:
        if reply.begun:
            super().ended(reply)


@breaks("stream/connection-lost", "the connection was lost, but stream() gave the text")
@breaks("property/any-fault", "; the server said")
class TakesALostConnectionForTheEnd(Correct):
    """Takes a connection that is lost for the end of the reply."""

    def fail(self, error: Failed) -> None:
        if not (error.partial and isinstance(error.__cause__, httpx.HTTPError)):
            raise error


@breaks("stream/connection-lost", "nothing came out of what had arrived")
class HoldsTextBack(Correct):
    """Hands the text on when the reply is complete."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
            text = "".join([piece async for piece in pieces])
        yield text
