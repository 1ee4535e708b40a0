"""Token counts that are swapped, summed, kept or made up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from ..correct import Correct
from ..reply import Reply, count
from ..table import breaks

Value = Mapping[str, Any]


@breaks("usage/counts", "the prompt count is 5; the server said 11")
class SwapsUsage(Correct):
    """Takes the prompt's count for the completion's."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.prompt, reply.completion = reply.completion, reply.prompt
        return super().report(reply, stats)


@breaks("usage/asked-for", "stream() did not ask for the counts")
class DoesNotAskForCounts(Correct):
    """Streams without asking for the counts."""

    def body(self, *args: Any) -> dict[str, Any]:
        return {key: value for key, value in super().body(*args).items() if key != "stream_options"}


@breaks("usage/context-used", "ctx_used is 11; prompt 11 and completion 5 make 16")
class CountsThePromptAlone(Correct):
    """Takes the prompt for all that the window holds."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        result = super().report(reply, stats)
        result["usage"]["ctx_used"] = reply.prompt
        if stats is not None:
            stats["ctx_used"] = reply.prompt
        return result


@breaks("usage/context-window", "ctx_max is 0")
class HasNoWindow(Correct):
    """Reports a window of 0."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, window=0, **options)


@breaks("usage/missing", "the completion count is 3; the server did not say one")
class EstimatesMissingCounts(Correct):
    """Counts characters where the server does not count tokens."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        if reply.completion is None:
            reply.completion = len(reply.text) // 4
        return super().report(reply, stats)


@breaks("usage/not-stale", "the prompt count is 321; the server did not say one")
class KeepsTheLastCounts(Correct):
    """Reports the counts of the call before where a reply has none."""

    last: tuple[int | None, int | None] = (None, None)

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        if reply.prompt is None:
            reply.prompt, reply.completion = self.last
        self.last = reply.prompt, reply.completion
        return super().report(reply, stats)


@breaks("usage/any-place", "the prompt count is None; the server said 11")
class ReadsTheLastChunkOnly(Correct):
    """Looks for the counts in a chunk without choices."""

    def counts(self, reply: Reply, chunk: Value, choice: Value) -> None:
        if "message" in choice or not choice.get("delta", choice):
            super().counts(reply, chunk, choice)


@breaks("usage/in-choice", "the prompt count is None; the server said 11")
class LooksBesideTheChoices(Correct):
    """Looks for the counts beside the choices alone."""

    def counts(self, reply: Reply, chunk: Value, choice: Value) -> None:
        super().counts(reply, chunk, {})


@breaks("usage/cumulative", "the prompt count is 44; the server said 11")
class SumsTheCounts(Correct):
    """Adds up running totals."""

    def counts(self, reply: Reply, chunk: Value, choice: Value) -> None:
        before = reply.prompt or 0, reply.completion or 0
        reply.prompt = reply.completion = None
        super().counts(reply, chunk, choice)
        reply.prompt, reply.completion = before[0] + (reply.prompt or 0), before[1] + (reply.completion or 0)


@breaks("usage/null", "raised TypeError")
class AddsUpNull(Correct):
    """Calculates with a count that is null."""

    def counts(self, reply: Reply, chunk: Value, choice: Value) -> None:
        usage = chunk.get("usage")
        if usage and usage["prompt_tokens"] + usage["completion_tokens"] >= 0:
            super().counts(reply, chunk, choice)


@breaks("usage/odd-values", "the prompt count is -1; the server did not say one")
@breaks("usage/odd-values-in-reply", "the prompt count is -1; the server did not say one")
class TakesAnyCount(Correct):
    """Takes a negative number for a count."""

    def counts(self, reply: Reply, chunk: Value, choice: Value) -> None:
        super().counts(reply, chunk, choice)
        usage = chunk.get("usage") or {}
        if isinstance(usage.get("prompt_tokens"), int):
            reply.prompt = usage["prompt_tokens"]


@breaks("usage/details", "the prompt count is 19; the server said 11")
class AddsCachedTokens(Correct):
    """Adds the cached tokens, which are part of the prompt's, once more."""

    def counts(self, reply: Reply, chunk: Value, choice: Value) -> None:
        super().counts(reply, chunk, choice)
        cached = count(((chunk.get("usage") or {}).get("prompt_tokens_details") or {}).get("cached_tokens"))
        if reply.prompt is not None:
            reply.prompt += cached or 0


@breaks("usage/early-close", "stats say")
class CountsAsItGoes(Correct):
    """Counts the pieces itself until the server's counts come."""

    async def stream(self, messages: Any, *, stats: Any = None, **options: Any) -> AsyncIterator[str]:
        number = 0
        async with aclosing(super().stream(messages, stats=stats, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                number += 1
                if stats is not None:
                    stats["completion_tokens"] = number
                yield piece


@breaks("usage/own-call", "was told")
class SharesItsCounts(Correct):
    """Keeps the counts of whichever call was heard of last on the client."""

    latest: Reply

    def counts(self, reply: Reply, chunk: Value, choice: Value) -> None:
        super().counts(reply, chunk, choice)
        self.latest = reply

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.prompt, reply.completion = self.latest.prompt, self.latest.completion
        return super().report(reply, stats)


@breaks("reply/own-call", "that overlapped was told the finish reason")
class SharesItsEnding(SharesItsCounts):
    """Keeps what was heard last on the client, and tells it when a call ends."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.finish = self.latest.finish
        return Correct.report(self, reply, stats)


@breaks("reply/own-call", "that overlapped was told the tool calls")
class SharesItsCalls(SharesItsCounts):
    """Keeps the tool calls of whichever call was heard of last on the client."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        reply.calls = self.latest.calls
        return Correct.report(self, reply, stats)
