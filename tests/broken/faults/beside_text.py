"""Reasoning, tool calls, refusals and finish reasons that get lost, or get into the text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from ..correct import Correct
from ..reply import Reply
from ..table import breaks

Choice = Mapping[str, Any]


@breaks("stream/reasoning-apart", "Let me think.")
@breaks("reply/reasoning-apart", "Let me think.")
class ReadsThoughtsAloud(Correct):
    """Takes reasoning for text."""

    def add(self, reply: Reply, choice: Choice, message: Any) -> str:
        thoughts = self.thoughts(message or {})
        message = (message or {}) | {"content": thoughts + self.parts((message or {}).get("content"))[0]}
        return super().add(reply, choice, message)


@breaks("stream/reasoning-result", "stats['reasoning'] is 'Think.Think.'")
class CountsThoughtsTwice(Correct):
    """Joins both spellings of reasoning where a provider sends both."""

    def thoughts(self, message: Mapping[str, Any]) -> str:
        return (message.get("reasoning_content") or "") + (message.get("reasoning") or "")


@breaks("stream/reasoning-only", "the reply was all reasoning, and stream() gave the text '' and no error")
class HidesAllButText(Correct):
    """Reports neither reasoning nor why the reply ended."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.reasoning, reply.finish = "", "stop"
        return super().report(reply, stats)


@breaks("stream/finish-reason", "stats['done_reason'] is 'stop'; the server said 'length'")
@breaks("reply/finish-reason", "done_reason is 'stop'; the server said 'length'")
class AlwaysSaysStop(Correct):
    """Reports the usual finish reason."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.finish = "stop"
        return super().report(reply, stats)


@breaks(
    "stream/tool-calls-signalled", "the reply was a tool call, and stream() gave the text '' and no error"
)
class HidesToolCalls(Correct):
    """Passes over tool calls that nobody asked for."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.calls, reply.finish = [], "stop"
        return super().report(reply, stats)


@breaks("stream/refusal-signalled", "the model refused, and stream() gave the text '' and no error")
@breaks("reply/refusal-signalled", "the model refused, and complete() gave")
class HidesARefusal(Correct):
    """Passes over a refusal."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.refusal = ""
        return super().report(reply, stats)


@breaks("stream/recorded", "the reply was a tool call, and stream() gave")
class HidesCallsAndSaysStop(Correct):
    """Reports neither the tool calls of a stream nor a finish reason that speaks of them."""

    async def stream(self, messages: Any, *, stats: Any = None, **options: Any) -> AsyncIterator[str]:
        async with aclosing(super().stream(messages, stats=stats, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece
        if stats and stats.pop("tool_calls"):
            stats["done_reason"] = "stop"
