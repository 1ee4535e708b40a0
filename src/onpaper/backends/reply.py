"""What one call has brought so far, with the provider's dialect already gone."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .errors import UnusableReply
from .text import TextJoiner, join_surrogates
from .tool_calls import ToolCalls


class Usage(NamedTuple):
    """Token counts as the provider counted them; None is unknown, never an estimate."""

    prompt: int | None = None
    completion: int | None = None

    @property
    def used(self) -> int | None:
        return None if self.prompt is None or self.completion is None else self.prompt + self.completion


@dataclass
class Reply:
    """Collects a reply, streamed or whole, and hands it out in the shape every backend shares.

    `finish_reason` is the provider's, None until it said one. `done` is set once nothing more is to be read.
    """

    finish_reason: str | None = None
    done: bool = False
    usage: Usage = field(default_factory=Usage)
    tool_calls: ToolCalls = field(default_factory=ToolCalls)
    _joiner: TextJoiner = field(default_factory=TextJoiner)
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _refusal: list[str] = field(default_factory=list)

    def add_text(self, piece: str) -> str:
        """Take a piece of text; returns what can be given out now, which may be empty."""
        return self._give(self._joiner.add(piece)) if piece else ""

    def end_text(self) -> str:
        """The text that was kept back, at the end of the reply."""
        return self._give(self._joiner.rest())

    def add_reasoning(self, piece: str) -> None:
        if piece:
            self._reasoning.append(piece)

    def add_refusal(self, piece: str) -> None:
        if piece:
            self._refusal.append(piece)

    def add_usage(self, prompt: Any, completion: Any) -> None:
        """Take a report of usage.

        The last one wins, because providers that repeat it count up; one without a usable count says nothing.
        """
        usage = Usage(_count(prompt), _count(completion))
        if usage != Usage():
            self.usage = usage

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a reply has come, not even a finish reason."""
        return not (self.finish_reason or self._text or self._reasoning or self._refusal or self.tool_calls)

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return join_surrogates("".join(self._reasoning))

    def close(self, stats: MutableMapping[str, Any] | None, *, window: int) -> dict[str, Any]:
        """The result of `complete`, after `stats` was filled with the same facts.

        Unknown counts leave `stats` as it is; `ctx_max` is always the configured window, in tokens. Raises
        UnusableReply for a refusal and for tool calls that cannot be used.
        """
        tool_calls = self.tool_calls.finished(self.finish_reason) or None
        usage = {
            "prompt": self.usage.prompt,
            "completion": self.usage.completion,
            "ctx_used": self.usage.used,
            "ctx_max": window,
        }
        if stats is not None:
            names = ("prompt_tokens", "completion_tokens", "ctx_used", "ctx_max")
            counts = zip(names, usage.values(), strict=True)
            stats.update({name: count for name, count in counts if count is not None})
            stats.update(done_reason=self.finish_reason, tool_calls=tool_calls, reasoning=self.reasoning)
        if refusal := join_surrogates("".join(self._refusal)):
            raise UnusableReply(f"the model refused: {refusal}", code="refusal")
        return {
            "content": self.text,
            "tool_calls": tool_calls,
            "usage": usage,
            "done_reason": self.finish_reason,
        }

    def _give(self, text: str) -> str:
        if text:
            self._text.append(text)
        return text


def _count(value: Any) -> int | None:
    """A token count, or None for what is none: negative, fractional, text, null, true."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
