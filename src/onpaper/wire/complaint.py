"""An error in a provider's words: its status, headers and envelope before any reply, or its place inside a
stream."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from typing import Any

from onpaper.exchange import Headers
from onpaper.mock import Trouble
from onpaper.wire import sse
from onpaper.wire.template import fill
from onpaper.wire.voice import Voice, compact, utf8

UNQUOTED: dict[str, Any] = {
    "param": "messages",
    "name": "messages",
    "inside": None,
    "at_inside": "",
    "loc": ["body", "messages"],
    "dotted": "messages",
    "place": "body.messages",
    "arrows": "body -> messages",
    "role": "user",
    "title": "Messages",
    "camel": "messages",
    "value": "null",
    "number": "0",
    "brief": "None",
    "json_value": None,
    "json_type": "null",
    "json_body": {},
    "members": 1,
    "reason": "it is not valid",
    "expected": "an array",
    "got": "null",
    "allowed": "'messages'",
    "pydantic_kind": "list_type",
    "pydantic": "Input should be a valid list",
    "serde": "invalid type: null, expected a sequence",
    "nlohmann": "type must be array, but is null",
    "limit": 1,
    "range": "at least 1",
    "minimum": 1,
    "maximum": 1,
    "rule_code": None,
    "hint": "",
    "instead": "",
    "item": "messages",
    "column": 2,
    "key": "sk-********",
    "key_end": "****",
    "method": "POST",
    "path": "/",
    "params": "['messages']",
    "upstream": "upstream",
    "exception": "UpstreamException",
    "said": "an error of the upstream",
}
"""What an error quotes that no request provoked: one that a mock asks for by its situation."""


def answer(voice: Voice, trouble: Trouble, quoted: Mapping[str, Any]) -> tuple[int, Headers, bytes]:
    """`(status, headers, body)` of an error before any reply; `quoted` is what its words may quote."""
    contract = voice.contract
    situation = contract.get(f"errors.{trouble.situation}", {}) if trouble.situation else {}
    values = _values(voice, trouble, situation, quoted)
    body = fill(situation.get("envelope", contract.get("errors.envelope", "{message}")), values)
    raw = body if isinstance(body, str) else compact(body)
    kind = situation.get("content_type", contract.get("errors.content_type"))
    if kind is None:
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
    wanted = {**contract.get("errors.headers", {}), **situation.get("headers", {})}
    headers = {name: str(fill(value, values)) for name, value in wanted.items() if value}
    if trouble.retry_after is not None:
        headers["retry-after"] = values["retry_after_date" if trouble.retry_after_date else "retry_after"]
    status = trouble.status or situation.get("status", 500)
    kinds = (("content-type", kind),) if kind else ()
    return status, (*kinds, *headers.items()), utf8(raw)


def _values(
    voice: Voice, trouble: Trouble, situation: Mapping[str, Any], quoted: Mapping[str, Any]
) -> dict[str, Any]:
    after = 1 if trouble.retry_after is None else trouble.retry_after
    values = voice.values | UNQUOTED | {"param": trouble.param or UNQUOTED["param"]} | dict(quoted)
    values["retry_after"] = f"{after:g}"
    values["retry_after_date"] = email.utils.formatdate(voice.asked.now + after, usegmt=True)
    status = trouble.status or situation.get("status", 500)
    values["status"], values["status_text"] = status, str(status)
    message = trouble.message if trouble.message is not None else situation.get("message", "")
    members = {
        "status": status,
        "message": fill(message, values),
        "type": trouble.type or fill(situation.get("type", "{null}"), values),
        "code": trouble.code if trouble.code is not None else fill(situation.get("code", "{null}"), values),
        "param": trouble.param or fill(situation.get("param", "{null}"), values),
    }
    return values | members


def event(voice: Voice, trouble: Trouble, framing: sse.Framing) -> list[bytes]:
    """The bytes of an error inside a stream, and of what the provider sends after it."""
    contract = voice.contract
    situation = contract.get(f"errors.{trouble.situation}", {}) if trouble.situation else {}
    values = _values(voice, trouble, situation, {})
    body = fill(contract.get("stream.error.body", contract.get("errors.envelope", "{message}")), values)
    if contract.get("stream.error.in_chunk"):
        delta = fill(contract.get("stream.delta.closing", {}), voice.values)
        chunk = fill(contract.get("stream.chunk", {}), voice.values | {"index": 0, "delta": delta})
        body = chunk | body if isinstance(body, dict) else chunk
    data = body if isinstance(body, str) else compact(body)
    if contract.protocol == "ndjson":
        return [utf8(data) + b"\n"]
    field = contract.get("stream.error.field")
    if field:
        end = sse.NEWLINES[framing.newline]
        out = [utf8(f"{field}: {data}") + end + end]
    else:
        out = [sse.encode(sse.Event(contract.get("stream.error.event", "message"), data), framing)]
    if contract.get("stream.error.sentinel") and contract.get("stream.sentinel"):
        out.append(sse.encode(sse.Event("message", "[DONE]"), framing))
    return out
