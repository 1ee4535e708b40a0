"""A recorded stream taken apart: its chunks by the part they play, and a chunk as a template."""

from __future__ import annotations

import json
from typing import Any

from onpaper.exchange import Reply
from onpaper.probe.fact import Evidence, literal
from onpaper.probe.replies import SPOKEN, templated
from onpaper.wire import sse

Chunk = dict[str, Any]


class Stream:
    """A recorded stream taken apart.

    `preamble` comes before any choice, `pieces` are the chunks up to the finish, `closing` is the one with
    the finish reason, `after` are those that follow.
    """

    def __init__(self, case: str, reply: Reply) -> None:
        self.case, self.reply = case, reply
        self.body = reply.body
        events, _ = sse.decode([self.body])
        self.sentinel = any(event.data.strip() == "[DONE]" for event in events)
        self.chunks = [value for event in events if isinstance(value := _json(event.data), dict)]
        self.preamble = [chunk for chunk in self.chunks[:1] if not choice_of(chunk)]
        spoken = self.chunks[len(self.preamble) :]
        finishing = next(
            (n for n, one in enumerate(spoken) if choice_of(one).get("finish_reason")), len(spoken) - 1
        )
        self.pieces = spoken[:finishing]
        self.closing: Chunk = spoken[finishing] if spoken else {}
        self.after = spoken[finishing + 1 :]

    @classmethod
    def of(cls, evidence: Evidence, case: str) -> Stream | None:
        reply = evidence.reply(case)
        if reply is None or not evidence.answered(case):
            return None
        return cls(case, reply) if "event-stream" in (reply.header("content-type") or "") else None

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [delta_of(chunk) for chunk in self.pieces]

    @property
    def calls(self) -> list[list[dict[str, Any]]]:
        """The tool-call fragments, grouped by chunk."""
        every = [delta_of(chunk).get("tool_calls") for chunk in [*self.pieces, self.closing]]
        return [[one for one in group if isinstance(one, dict)] for group in every if group]


def _json(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def choice_of(chunk: Chunk) -> dict[str, Any]:
    choices = chunk.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def delta_of(chunk: Chunk) -> dict[str, Any]:
    """The delta of a chunk's first choice; empty when there is none."""
    delta = choice_of(chunk).get("delta")
    return delta if isinstance(delta, dict) else {}


def chunk_template(chunk: Chunk) -> dict[str, Any]:
    """A chunk as a template; one with no choices has none."""
    template = templated(chunk, {**SPOKEN, "obfuscation": "{obfuscation}"})
    choice = choice_of(chunk)
    if choice:
        names = {"index": "{index}", "delta": "{delta}", "finish_reason": "{finish}"}
        template["choices"] = [templated(choice, names)]
    elif "choices" in chunk:
        template["choices"] = literal(chunk["choices"])
    if choice:
        template.setdefault("usage", "{usage}")  # left out where there are no counts
    return template


def bare(template: dict[str, Any]) -> dict[str, Any]:
    """A chunk's template without what comes and goes."""
    return {key: value for key, value in template.items() if key not in ("usage", "obfuscation")}
