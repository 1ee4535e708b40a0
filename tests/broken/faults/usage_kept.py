"""Token counts that one of the ways to them loses, swaps or makes larger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..correct import Correct
from ..lines import CorrectLines
from ..reply import Reply, count
from ..table import breaks

Value = Mapping[str, Any]


@breaks("usage/complete-stats", "complete() put prompt_tokens 5 into stats; the server said 11")
class SwapsTheStatsOfComplete(Correct):
    """Fills `stats` from another reading of the reply than the result."""

    async def complete(self, messages: Any, *, stats: Any = None, **options: Any) -> dict[str, Any]:
        result = await super().complete(messages, stats=stats, **options)
        if stats:
            usage = result["usage"]
            stats |= {"prompt_tokens": usage["completion"], "completion_tokens": usage["prompt"]}
        return result


@breaks("usage/details", "the completion count is 8; the server said 5")
class AddsReasoningTokensInOnePiece(Correct):
    """Adds the reasoning tokens of a reply in one piece, which are part of the completion's, once more."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        super().take_whole(reply, data)
        usage = json.loads(data).get("usage") or {}
        more = count((usage.get("completion_tokens_details") or {}).get("reasoning_tokens"))
        if reply.completion is not None:
            reply.completion += more or 0


@breaks("usage/context-window", "after a small reply and 6902 after a large one")
class ShowsWhatIsLeft(Correct):
    """Gives what is left of the window for the window."""

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        result = super().report(reply, stats)
        left = self.window - (result["usage"]["ctx_used"] or 0)
        result["usage"]["ctx_max"] = left
        if stats is not None:
            stats["ctx_max"] = left
        return result


@breaks("usage/cumulative", "the prompt count is 19; the server said 11")
class KeepsTheLargestCount(Correct):
    """Takes the largest of the running totals."""

    def counts(self, reply: Reply, chunk: Value, choice: Value) -> None:
        before = reply.prompt or 0, reply.completion or 0
        super().counts(reply, chunk, choice)
        if reply.prompt is not None and reply.completion is not None:
            reply.prompt, reply.completion = max(before[0], reply.prompt), max(before[1], reply.completion)


@breaks("stream/no-done", "stats['prompt_tokens'] is None; the server said 11")
class CountsAtTheSentinel(Correct):
    """Reports the counts of a stream only when [DONE] has come."""

    def ended(self, reply: Reply) -> None:
        super().ended(reply)
        if not reply.over:
            reply.prompt = reply.completion = None


@breaks("usage/window-asked-for", "ctx_max shows 8192, and the request asks for num_ctx None")
class ShowsAWindowItDidNotAskFor(CorrectLines):
    """Shows its window, and leaves the server at its own."""

    def body(self, *args: Any) -> dict[str, Any]:
        body = super().body(*args)
        return body | {"options": {key: value for key, value in body["options"].items() if key != "num_ctx"}}


@breaks("usage/not-stale", "the call after it changed to")
class HandsOutItsCounts(Correct):
    """Gives the counts in a dict that it keeps and fills anew with each call."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.usage: dict[str, Any] = {}

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        result = super().report(reply, stats)
        self.usage |= result["usage"]
        return result | {"usage": self.usage}
