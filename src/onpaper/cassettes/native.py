"""A chat completion's request in the words of Ollama's own chat protocol.

Source of the protocol: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion.
"""

from __future__ import annotations

import json
from typing import Any

_OPTIONS = {
    "max_tokens": "num_predict",
    **{name: name for name in ("temperature", "top_p", "top_k", "min_p", "seed", "stop")},
    **{name: name for name in ("presence_penalty", "frequency_penalty")},
}
"""Members that move into `options`, with their names there."""

_NOT_THERE = frozenset({"stream_options", "tool_choice", "response_format", "chat_template_kwargs"})


def in_native_words(body: bytes) -> bytes:
    """The same request in that protocol; members that it has no words for go out as they are."""
    asked: dict[str, Any] = json.loads(body)
    options = {_OPTIONS[key]: value for key, value in asked.items() if key in _OPTIONS}
    told = {key: value for key, value in asked.items() if key not in _OPTIONS and key not in _NOT_THERE}
    told["messages"] = _messages(asked.get("messages", []))
    told["stream"] = asked.get("stream", False)  # it streams unless told not to
    if options:
        told["options"] = options
    if "response_format" in asked:
        told["format"] = asked["response_format"].get("json_schema", {}).get("schema", "json")
    if "chat_template_kwargs" in asked:
        told["think"] = asked["chat_template_kwargs"].get("enable_thinking", True)
    return json.dumps(told, ensure_ascii=False).encode("utf-8")


def _messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Arguments are objects there, and a tool's result names the tool instead of the call."""
    names: dict[str, str] = {}
    told = []
    for message in messages:
        message = {key: value for key, value in message.items() if value is not None}
        if "tool_calls" in message:
            names |= {call["id"]: call["function"]["name"] for call in message["tool_calls"]}
            message["tool_calls"] = [_call(call) for call in message["tool_calls"]]
            message.setdefault("content", "")
        if "tool_call_id" in message:
            message["tool_name"] = names.get(message.pop("tool_call_id"), "")
        told.append(message)
    return told


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {"function": {"name": function["name"], "arguments": json.loads(function["arguments"])}}
