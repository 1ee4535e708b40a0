"""Requests and replies put together from what a correct client and a correct server write."""

from __future__ import annotations

import json
from typing import Any

from onpaper.exchange import Chunk, Exchange, Reply, Request

KEY = "sk-onpaper-Canary7Qd2fXw9"
KINDS = {
    "sse": "text/event-stream; charset=utf-8",
    "lines": "application/x-ndjson",
    "json": "application/json",
}

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Say hello."}]}
WHOLE = BODY | {"stream": False}
STREAMED = BODY | {"stream": True, "stream_options": {"include_usage": True}}
UNCOUNTED = BODY | {"stream": True}


def request(body: Any = None, path: str = "/v1/chat/completions", **headers: str) -> Request:
    """A POST of a body as JSON, or a GET where there is none. A header that is given as empty is left out."""
    method, data = ("GET", b"") if body is None else ("POST", json.dumps(body).encode())
    named = {"authorization": f"Bearer {KEY}", "content_type": "application/json" if body else ""} | headers
    return Request(method, path, _headers(named), data)


def reply(body: bytes, kind: str, status: int = 200, **headers: str) -> Reply:
    """A reply labelled as one of KINDS, or as `kind` says."""
    named = {"content_type": KINDS.get(kind, kind)} | headers
    return Reply(status, _headers(named), (Chunk(0.1, body),))


def _headers(named: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in named.items() if value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


# ---- a stream of chunks ----------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}


def chunk(delta: Any, finish: str | None = None, **changed: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    usual = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return usual | {"choices": choices} | changed


HEL = chunk({"role": "assistant", "content": "Hel"})
LO = chunk({"content": "lo"})
STOP = chunk({}, "stop")
COUNTS = chunk({}, choices=[], usage=USAGE)
DONE = b"[DONE]"


def events(*data: Any) -> bytes:
    """Server-sent events: bytes as they are, anything else as JSON."""
    return b"".join(b"data: " + _bytes(one) + b"\n\n" for one in data)


def stream(*data: Any, asked: Any = STREAMED, after: bytes = b"") -> Exchange:
    return Exchange(request(asked), reply(events(*data) + after, "sse"))


def calling(name: str | None, arguments: str) -> Exchange:
    """A stream that calls one tool."""
    function = {"arguments": arguments} | ({"name": name} if name else {})
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    return stream(chunk({"role": "assistant", "tool_calls": [call]}), chunk({}, "tool_calls"), COUNTS, DONE)


# ---- a reply in one piece --------------------------------------------------------------------------------


def completion(**changed: Any) -> dict[str, Any]:
    """A completion; `changed` is what its choice has otherwise."""
    message = {"role": "assistant", "content": "Hello"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"} | changed
    usual = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return usual | {"choices": [choice], "usage": USAGE}


def whole(value: Any, kind: str = "json", status: int = 200, **headers: str) -> Exchange:
    return Exchange(request(WHOLE), reply(_bytes(value), kind, status, **headers))


TOO_MANY = {"error": {"message": "slow down", "type": "throttling_error", "param": None, "code": "429"}}


def listed(value: Any, path: str = "/v1/models") -> Exchange:
    return Exchange(request(path=path), reply(_bytes(value), "json"))


# ---- Ollama's own protocol -------------------------------------------------------------------------------


def line(content: str, **changed: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"model": "m", "created_at": "2026-11-20T12:00:00Z", "message": message, "done": False} | changed


LAST_LINE = line("", done=True, done_reason="stop", prompt_eval_count=11, eval_count=2)


def lines(*values: Any) -> Exchange:
    data = b"".join(_bytes(one) + b"\n" for one in values)
    return Exchange(request(UNCOUNTED, "/api/chat"), reply(data, "lines"))
