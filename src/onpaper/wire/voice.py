"""What every part of one reply shares: its ids, its model's name, its counts, its finish reason, its tool
calls.

Everything that differs between providers is read from the contract; nothing here knows a provider.
"""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onpaper.contract import Contract
from onpaper.mock import Call, Say
from onpaper.wire.template import ABSENT, fill, make_id

NOTHING = {"null": None, "empty": "", "missing": ABSENT}
"""The three ways to say nothing; `missing` leaves the key out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request shapes the reply. `number` counts the requests and seeds the ids, so that a run
    repeats; `now` is the time that replies carry, in seconds since 1970."""

    model: str = "gpt-4o-mini"
    stream: bool = False
    usage: bool = False
    obfuscated: bool = True
    continuous: bool = False
    named_tool: bool = False
    choices: int = 1
    number: int = 1
    now: int = 1_763_640_000


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def compact(value: Any) -> str:
    """JSON as most servers write it: no spaces, text as it is. Raises ValueError for NaN, which is not JSON."""
    return _COMPACT.encode(value)


def utf8(text: str) -> bytes:
    """Text in UTF-8; half a surrogate pair, which has no UTF-8, as the escape that JSON has for it."""
    return text.encode("utf-8", "backslashreplace")


class Voice:
    """One reply's values, as its templates ask for them."""

    def __init__(self, contract: Contract, asked: Asked) -> None:
        self.contract = contract
        self.asked = asked
        self.rng = random.Random(f"{contract.name}/{asked.number}")
        self.values: dict[str, Any] = {
            "id": self.new_id(),
            "other_id": self.new_id(),
            "request_id": make_id("{hex:32}", self.rng),
            "created": asked.now,
            "created_iso": f"{_iso(asked.now)}.{self.rng.randrange(10**9):09d}Z",
            "model": self._model(),
            "asked_model": asked.model,
            "finish": NOTHING[contract.get("stream.before_finish", "null")],
            "usage": ABSENT,
            "prompt": ABSENT,
            "completion": ABSENT,
            "obfuscation": ABSENT,
        }

    def new_id(self) -> str:
        return make_id(self.contract.get("reply.id", "{hex:16}"), self.rng)

    def _model(self) -> str:
        """The model's name in replies: as asked, from a pattern, or from a table of the names that
        resolve."""
        resolved = self.contract.get("models.resolved", "{model}")
        if isinstance(resolved, Mapping):
            resolved = resolved.get(self.asked.model, resolved.get("*", "{model}"))
        return str(fill(resolved, {"model": self.asked.model}))

    def finish(self, say: Say) -> Any:
        """The provider's word for why the reply ends."""
        reasons = self.contract.get("reply.finish", {})
        if self.asked.stream:
            reasons = {**reasons, **self.contract.get("stream.finish", {})}
        ending = say.ending
        if ending == "tool_calls" and self.asked.named_tool and say.finish is None:
            return reasons.get("named_tool", reasons.get("tool_calls", ending))
        return reasons.get(ending, ending)

    def counts(self, say: Say, share: float = 1.0) -> dict[str, Any]:
        """The token counts, each for a placeholder; `share` is the part of the reply that is out already."""
        if say.usage is None:
            absent = ("prompt", "completion", "total", "reasoning_tokens", "thought_tokens", "counts")
            return dict.fromkeys(absent, ABSENT)
        prompt, whole = say.usage.get("prompt", 0), say.usage.get("completion", 0)
        completion = whole if share >= 1 else max(1, round(whole * share))
        return {
            "prompt": prompt,
            "completion": completion,
            "total": prompt + completion,
            "reasoning_tokens": say.usage.get("reasoning", 0),
            "thought_tokens": say.usage.get("reasoning", len(say.reasoning)) if say.reasoning else ABSENT,
        }

    def usage(self, say: Say, template: Any, share: float = 1.0) -> Any:
        """The usage object, or `ABSENT` where the mock or the provider has none."""
        if say.usage is None or template is None:
            return ABSENT
        return fill(template, self.values | self.counts(say, share))

    def call_values(self, call: Call, number: int, arguments: str, before: int = 0) -> dict[str, Any]:
        """What a tool call's template may quote; `before` is how many blocks of content stand before the
        calls."""
        sent: Any = arguments
        if self.contract.get("reply.arguments", "text") == "object":
            sent = _decoded(arguments)
        call_id = call.id or make_id(self.contract.get("reply.call_id", "call_{hex:8}"), self.rng)
        return {
            "index": number,
            "block": number + before,
            "id": call_id,
            "name": call.name,
            "arguments": sent,
        }


def _decoded(arguments: str) -> Any:
    """Arguments as an object; those that were cut short are none, since an object cannot be half sent."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return {}


def _iso(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
