"""The structure of an answer as a set of `(axis, value)`: what a client can trip over, without the words.

The axes are those on which providers differ in recordings: framing, the keys of chunks, choices, deltas and usage,
null against missing, the first and the closing delta, tool-call fragments, finish reasons, identity, error bodies.
Nothing here knows a provider, and no text of a reply is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from onpaper.exchange import Exchange, Headers, header
from onpaper.truth.shapes import kind, shape
from onpaper.wire import ndjson, sse

CALLS: list[dict[str, Any]] = [{}]
"""Stands for tool calls in the shape of what holds them: they have axes of their own."""

Feature = tuple[str, str]
"""`(axis, value)`, such as `("delta of the opening", "{content: '', role: 'assistant'}")`."""


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
        if re.match(r"(llm_provider-)?(x-)?ratelimit|retry-after", lower):
            yield "header", re.sub(r"\d+", "0", lower)


# ---- errors ------------------------------------------------------------------------------------------------------


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


# ---- one JSON body -----------------------------------------------------------------------------------------------


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
            yield from (("model", _keys(one)) for one in listing if isinstance(one, dict))
        else:
            yield "reply", f"200 {shape(value)}"
        return
    yield "reply", _keys(value)
    yield from _kinds("reply", value, ("choices", "usage"))
    yield "usage of a reply", shape(value["usage"]) if "usage" in value else "missing"
    yield from _identity("reply", [value], asked)
    for choice in value["choices"] if isinstance(value["choices"], list) else ():
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        calls = message.get("tool_calls")
        calls = calls if isinstance(calls, list) else []
        yield "choice of a reply", _keys(choice)
        yield from _kinds("choice of a reply", choice, ("message", "finish_reason", "index", "delta"))
        after = "tool calls" if calls else "text"
        yield "message", f"{after}: {shape(message | ({'tool_calls': CALLS} if calls else {}))}"
        yield "finish of a reply", f"{after}: {_word(choice, 'finish_reason')}"
        for call in calls:
            yield "tool call", shape(call)


# ---- a stream ----------------------------------------------------------------------------------------------------


def stream_features(body: bytes, asked: Mapping[str, Any], framed: bool = True) -> Iterator[Feature]:
    """The features of an event stream of chat-completion chunks."""
    if framed:
        yield from _framing(body)
    events, _ = sse.decode([body])
    chunks: list[dict[str, Any]] = []
    ended = False
    for event in events:
        if event.data.strip() == "[DONE]":
            ended = True
            continue
        try:
            value = json.loads(event.data)
        except ValueError:
            yield "chunk", "not JSON"
            continue
        if isinstance(value, dict) and "choices" in value and event.type == "message":
            chunks.append(value)
        else:
            named = "" if event.type == "message" else f"event {event.type}: "
            yield "error in a stream", f"{named}{shape(value)}"
        if isinstance(value, dict) and value.get("error"):
            yield "error in a stream", f"{'beside choices' if 'choices' in value else 'alone'}"
    yield "end of a stream", "[DONE]" if ended else "no sentinel"
    yield from _identity("chunk", chunks, asked)
    yield from _chunk_features(chunks)


def _framing(body: bytes) -> Iterator[Feature]:
    newline = "CRLF" if b"\r\n" in body else "LF" if b"\n" in body else "CR"
    yield "line end", newline
    for line in set(re.split(rb"\r\n|\n|\r", body)):
        name, colon, value = line.partition(b":")
        if not name and colon:
            yield "comment", re.sub(r"\d+", "0", value.decode("utf-8", "replace").strip())
        elif name == b"data":
            yield "data line", "data: " if value.startswith(b" ") else "data:"
        elif colon and re.fullmatch(rb"[a-z]+", name):
            yield "field", name.decode()


def _chunk_features(chunks: list[dict[str, Any]]) -> Iterator[Feature]:
    begun: set[Any] = set()
    finished: dict[Any, int] = {}
    with_tools = any(_calls(choice) for chunk in chunks for choice in _choices(chunk))
    counted: list[str] = []
    for chunk in chunks:
        choices = _choices(chunk)
        part = "usage" if finished else "preamble"
        for choice in choices:
            index = choice.get("index", 0)
            final = isinstance(choice.get("finish_reason"), str) and choice["finish_reason"] != ""
            if index in finished:
                part = "again" if final else "after"
                finished[index] += final
            elif final:
                part = "closing" if index in begun else "only"
                finished[index] = 1
            else:
                part = "piece" if index in begun else "opening"
            begun.add(index)
            yield from _choice_features(choice, part, with_tools)
        yield "chunk", f"{part}: {_keys(chunk)}"
        yield from _kinds("chunk", chunk, ("choices", "usage"))
        if part == "preamble":
            yield "preamble", shape(chunk)
        if chunk.get("usage"):
            counted.append(part)
            yield "usage", shape(chunk["usage"])
        elif "usage" in chunk:
            yield "usage where there is none", f"{shape(chunk['usage'])}"
        for key, value in _elsewhere(chunk):
            yield f"usage in {key}", shape(value)
    if counted:
        everywhere = len(counted) == len(chunks) and len(chunks) > 1
        yield "place of usage", "every chunk" if everywhere else ", ".join(dict.fromkeys(counted))
    if any(times > 1 for times in finished.values()):
        yield "finish", "sent twice"


def _choice_features(choice: dict[str, Any], part: str, with_tools: bool) -> Iterator[Feature]:
    yield "choice", f"{part}: {_keys(choice)}"
    yield from _kinds("choice", choice, ("delta", "finish_reason", "index", "text"))
    after = "tool calls" if with_tools else "text"
    yield (f"finish of the {part}", f"{after}: {_word(choice, 'finish_reason')}" if part in ("closing", "only", "again")
           else _word(choice, "finish_reason"))  # fmt: skip
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return
    calls = _calls(choice)
    plain = delta | ({"tool_calls": CALLS} if calls else {})
    yield f"delta of the {part}", shape(plain, said=part == "piece")
    if len(calls) > 1:
        yield "tool fragments", "several in one chunk"
    for call in calls:
        function = call.get("function") if isinstance(call.get("function"), dict) else {}
        yield "tool fragment", ("first: " if function.get("name") else "next: ") + shape(call)


def _choices(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    choices = chunk.get("choices")
    return [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []


def _calls(choice: dict[str, Any]) -> list[dict[str, Any]]:
    delta = choice.get("delta")
    calls = delta.get("tool_calls") if isinstance(delta, dict) else None
    return [one for one in calls if isinstance(one, dict)] if isinstance(calls, list) else []


def _elsewhere(chunk: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Counts that are not in the chunk's own `usage`."""
    for key, value in chunk.items():
        if key != "usage" and isinstance(value, dict) and isinstance(value.get("usage"), dict):
            yield key, value["usage"]
    for choice in _choices(chunk):
        if isinstance(choice.get("usage"), dict):
            yield "a choice", choice["usage"]


# ---- lines -------------------------------------------------------------------------------------------------------


def line_features(body: bytes, framed: bool = True) -> Iterator[Feature]:
    """The features of a chat reply in lines of JSON, streamed or in one line."""
    decoder = ndjson.Decoder()
    lines = [*decoder.feed(body), *decoder.finish()]
    values = [json.loads(line) for line in lines if line.strip()]
    if framed:
        yield "line end", "LF" if body.endswith(b"\n") else "none after the last line"
    for value in values:
        if not isinstance(value, dict) or "message" not in value:
            yield "error in a stream", shape(value)
            continue
        done = value.get("done") is True
        part = ("closing" if len(values) > 1 else "only") if done else "piece"
        message = dict(value["message"])
        calls = message.get("tool_calls") or []
        if calls:
            message["tool_calls"] = CALLS
        yield "line", f"{part}: {_keys(value)}"
        yield from _kinds("line", value, ("message", "done", "done_reason"))
        yield f"message of the {part}", shape(message, said=True)
        yield from (("tool call", shape(call)) for call in calls)
        if done:
            yield "finish", _word(value, "done_reason")


# ---- parts -------------------------------------------------------------------------------------------------------


def _keys(value: Mapping[str, Any]) -> str:
    return "{" + ", ".join(sorted(value)) + "}"


def _kinds(axis: str, value: Mapping[str, Any], but: Iterable[str]) -> Iterator[Feature]:
    for key, item in value.items():
        if key not in but:
            yield f"{axis}.{key}", shape(item, key=key)


def _word(value: Mapping[str, Any], key: str) -> str:
    """A word of a fixed vocabulary as it is; or null, or missing."""
    return kind(value[key]) if key in value and not isinstance(value[key], str) else repr(value.get(key, "missing")).strip("'") or "''"


def _identity(axis: str, values: list[dict[str, Any]], asked: Mapping[str, Any]) -> Iterator[Feature]:
    named = [value.get("id") for value in values if value.get("id")]
    if len(values) > 1:
        if named:
            yield f"id of a {axis}", "constant" if len(set(named)) == 1 else "changes"
        models = {value["model"] for value in values if value.get("model")}
        if len(models) > 1:
            yield f"model of a {axis}", "changes"
    model = next((value["model"] for value in values if value.get("model")), None)
    if model is not None and isinstance(asked.get("model"), str):
        yield f"model of a {axis}", "as asked" if model == asked["model"] else "another name"
