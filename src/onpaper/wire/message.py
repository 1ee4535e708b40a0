"""A reply in one piece: what a mock says as the one JSON object of a chat completion."""

from __future__ import annotations

import json
from typing import Any

from onpaper.mock import Say
from onpaper.wire.template import ABSENT, fill
from onpaper.wire.voice import NOTHING, Voice

REASONING_PART = {"type": "thinking", "thinking": [{"type": "text", "text": "{text}"}]}
TEXT_PART = {"type": "text", "text": "{text}"}


def body(voice: Voice, say: Say) -> Any:
    """The JSON of a reply in one piece."""
    contract = voice.contract
    counts = voice.counts(say)
    values = voice.values | counts | {"usage": voice.usage(say, contract.get("reply.usage"))}
    values["finish"] = voice.finish(say)
    messages = [message(voice, say) for _ in range(voice.asked.choices)]
    values["message"] = messages[0]
    choice = contract.get("reply.choice", {})
    values["choices"] = [
        fill(choice, values | {"index": index, "message": one}) for index, one in enumerate(messages)
    ]
    return fill(contract.get("reply.body", {}), values)


def message(voice: Voice, say: Say) -> Any:
    """The message of one choice."""
    contract = voice.contract
    mode = contract.get("reply.reasoning", "field")
    reasoning = "".join(say.reasoning) if mode != "hidden" else ""
    text: Any = "".join(say.text)
    refusal = "".join(say.refusal)
    in_text = refusal and contract.get("reply.refusal", "missing") == "missing"
    if in_text:
        text = text + refusal  # a provider without the field says it in the content
    if reasoning and mode == "tags":
        text = f"<think>{reasoning}</think>{text}"
    elif reasoning and mode == "parts":
        parts = [fill(contract.get("reply.reasoning_part", REASONING_PART), {"text": reasoning})]
        text = [*parts, fill(contract.get("reply.text_part", TEXT_PART), {"text": text})] if text else parts
    if not text and say.tool_calls:
        text = NOTHING[contract.get("reply.content_with_tools", "null")]
    elif not text and not refusal:
        text = NOTHING[contract.get("reply.no_content", "empty")]
    elif refusal and not in_text:
        text = None
    elif contract.get("reply.content_as") == "object":
        text = _decoded(text)
    values = {
        "content": text,
        "reasoning": reasoning
        if reasoning and mode == "field"
        else NOTHING[contract.get("reply.no_reasoning", "missing")],
        "refusal": refusal if refusal and not in_text else NOTHING[contract.get("reply.refusal", "missing")],
        "tool_calls": [whole_call(voice, call, number) for number, call in enumerate(say.tool_calls)]
        or {"null": None, "empty": [], "missing": ABSENT}[contract.get("reply.no_tools", "missing")],
    }
    values["thought"] = reasoning or None
    return fill(contract.get("reply.message", {}), voice.values | values)


def _decoded(text: Any) -> Any:
    """The object that a text is the JSON of, or the text."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return text
    return value if isinstance(value, dict) else text


def whole_call(voice: Voice, call: Any, number: int) -> Any:
    """A tool call with all its arguments."""
    values = voice.call_values(call, number, "".join(call.arguments))
    return fill(voice.contract.get("reply.tool_call", {}), values)
