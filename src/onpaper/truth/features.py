"""The structure of an answer as a set of `(axis, value)`: what a client can trip over, without the words.

The axes are those on which providers differ in recordings: framing, the keys of chunks, choices, deltas and
usage, null against missing, the first and the closing delta, tool-call fragments, finish reasons, identity,
error bodies. Nothing here knows a provider, and no text of a reply is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from onpaper.exchange import Exchange, Headers, header
from onpaper.truth.parts import CALLS, Feature, identity, keys, kinds, word
from onpaper.truth.shapes import shape
from onpaper.truth.streams import stream_features
from onpaper.wire import ndjson


def features(exchange: Exchange, *, framed: bool = True) -> frozenset[Feature]:
    """The features of an exchange's reply: a stream, one JSON body, or an error, told apart by what it is.

    `framed` is false for a recording that kept the JSON and lost the bytes around it.
    """
    reply = exchange.reply
    if reply is None:
        return frozenset()
    try:
        request = exchange.request.json()
    except ValueError:
        request = {}
    asked = request if isinstance(request, dict) else {}
    found = set(_limits(reply.headers))
    content_type = (header(reply.headers, "content-type") or "").strip().lower()
    body = reply.body
    if reply.status >= 400:
        found |= set(error_features(reply.status, content_type, body, framed))
    elif _is_lines(body, content_type):
        found |= set(line_features(body, framed))
        if framed and content_type:
            streamed = asked.get("stream") is not False
            found.add((f"content type of a {'stream' if streamed else 'reply'}", content_type))
    elif asked.get("stream") is True or content_type.startswith("text/event-stream"):
        found |= set(stream_features(body, asked, framed))
        if framed and content_type:
            found.add(("content type of a stream", content_type))
    else:
        found |= set(reply_features(body, asked, framed))
        if framed and content_type:
            found.add(("content type of a reply", content_type))
    return frozenset(found)


def _is_lines(body: bytes, content_type: str) -> bool:
    first = body.lstrip()[:1] == b"{" and body.split(b"\n", 1)[0]
    if "ndjson" in content_type:
        return True
    try:
        value = json.loads(first) if first else None
    except ValueError:
        return False
    return isinstance(value, dict) and "done" in value and "created_at" in value


def _limits(headers: Headers) -> Iterator[Feature]:
    """The names of the headers that tell a client about its limits."""
    for name, _ in headers:
        lower = name.lower()
        if re.match(r"([a-z_]+-)?(x-)?ratelimit|retry-after", lower):
            yield "header", re.sub(r"\d+", "0", lower)


# ---- errors ------------------------------------------------------------------------------------------------


def error_features(status: int, content_type: str, body: bytes, framed: bool = True) -> Iterator[Feature]:
    """The features of an error answer: its status with the shape of its body, and how that is labelled."""
    yield "error", f"{status} {_body_shape(body)}"
    if framed and content_type:
        yield "content type of an error", content_type


def _body_shape(body: bytes) -> str:
    try:
        return shape(json.loads(body))
    except ValueError:
        return "text" if body.strip() else "''"


# ---- one JSON body -----------------------------------------------------------------------------------------


def reply_features(body: bytes, asked: Mapping[str, Any], framed: bool = True) -> Iterator[Feature]:
    """The features of a reply in one piece, or of a list of models."""
    try:
        value = json.loads(body)
    except ValueError:
        yield "reply", "not JSON"
        return
    if framed and body[:1].isspace():
        yield "reply", "white space before the JSON"
    if not isinstance(value, dict) or "choices" not in value:
        listing = value.get("data") if isinstance(value, dict) else value
        if isinstance(listing, list):
            yield "model list", shape({**value, "data": []}) if isinstance(value, dict) else "[]"
            yield from (("model", keys(one)) for one in listing if isinstance(one, dict))
        else:
            yield "reply", f"200 {shape(value)}"
        return
    yield "reply", keys(value)
    yield from kinds("reply", value, ("choices", "usage"))
    yield "usage of a reply", shape(value["usage"]) if "usage" in value else "missing"
    yield from identity("reply", [value], asked)
    choices = value["choices"] if isinstance(value["choices"], list) else []
    for choice in (one for one in choices if isinstance(one, dict)):
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        calls = message.get("tool_calls")
        calls = calls if isinstance(calls, list) else []
        yield "choice of a reply", keys(choice)
        yield from kinds("choice of a reply", choice, ("message", "finish_reason", "index", "delta"))
        after = "tool calls" if calls else "text"
        yield "message", f"{after}: {shape(message | ({'tool_calls': CALLS} if calls else {}))}"
        yield "finish of a reply", f"{after}: {word(choice, 'finish_reason')}"
        for call in calls:
            yield "tool call", shape(call)


# ---- lines -------------------------------------------------------------------------------------------------


def line_features(body: bytes, framed: bool = True) -> Iterator[Feature]:
    """The features of a chat reply in lines of JSON, streamed or in one line."""
    decoder = ndjson.Decoder()
    lines = [*decoder.feed(body), *decoder.finish()]
    values = []
    for line in filter(str.strip, lines):
        try:
            values.append(json.loads(line))
        except ValueError:
            yield "line", "not JSON"
    if framed:
        yield "line end", "LF" if body.endswith(b"\n") else "none after the last line"
    for value in values:
        if not isinstance(value, dict) or not isinstance(value.get("message"), dict):
            yield "error in a stream", shape(value)
            continue
        done = value.get("done") is True
        part = ("closing" if len(values) > 1 else "only") if done else "piece"
        message = dict(value["message"])
        calls = message.get("tool_calls")
        calls = calls if isinstance(calls, list) else []
        if calls:
            message["tool_calls"] = CALLS
        yield "line", f"{part}: {keys(value)}"
        yield from kinds("line", value, ("message", "done", "done_reason"))
        yield f"message of the {part}", shape(message, said=True)
        yield from (("tool call", shape(call)) for call in calls)
        if done:
            yield "finish", word(value, "done_reason")
