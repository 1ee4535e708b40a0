"""Chunks and replies that are judged by how they are labelled, and ends that are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..correct import Correct
from ..reply import Reply
from ..table import breaks

Choice = Mapping[str, Any]


@breaks("stream/any-object", "gave ''; the server said 'Hello'")
@breaks("reply/any-object", "the reply has no choices")
class ChecksTheObject(Correct):
    """Passes over what is not named after the endpoint."""

    def parsed(self, kind: str, data: str) -> dict[str, Any]:
        value = super().parsed(kind, data)
        named = value.get("object") in ("chat.completion", "chat.completion.chunk")
        return value if named else value | {"choices": [{"finish_reason": "stop"}] if "delta" in data else []}


@breaks("stream/index-absent", "the server said 'Hello'")
@breaks("reply/index-absent", "the reply has no choices")
class LooksForIndexZero(Correct):
    """Takes a choice only where its index is 0."""

    def choice(self, choices: Any) -> dict[str, Any]:
        return next((one for one in choices or () if one.get("index") == 0), {})


@breaks("stream/error-null", "the provider reports an error")
@breaks("reply/error-null", "the provider reports an error")
class TakesTheKeyForAnError(Correct):
    """Takes a key `error` for an error, whatever it holds."""

    def is_error(self, value: Any) -> bool:
        return isinstance(value, dict) and "error" in value


class Ending(Correct):
    """Looks for the end of a stream where it likes; `end` is the fault."""

    def take(self, reply: Reply, kind: str, data: str) -> str:
        text = super().take(reply, kind, data)
        if data.strip() != "[DONE]" and data.strip():
            self.end(reply, self.parsed(kind, data))
        return text

    def end(self, reply: Reply, chunk: dict[str, Any]) -> None:
        return None


@breaks("stream/finish-reason", "stats['done_reason'] is 'stop'; the server said 'length'")
@breaks("stream/truncated", "the stream ended with neither a finish reason nor [DONE], but stream() gave the text 'Hello'")
class EndsWithAnyChoice(Ending):
    """Takes the finish reason of another choice for that of the reply."""

    def end(self, reply: Reply, chunk: dict[str, Any]) -> None:
        for one in chunk.get("choices") or ():
            reply.finish = one.get("finish_reason") or reply.finish


@breaks("stream/truncated", "the stream ended with neither a finish reason nor [DONE], but stream() gave the text 'Hello'")
class TakesCountsForTheEnd(Correct):
    """Takes a stream for complete that has counted its tokens."""

    def ended(self, reply: Reply) -> None:
        if reply.completion is None:
            super().ended(reply)
