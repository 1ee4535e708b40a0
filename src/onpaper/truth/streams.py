"""The features of an event stream: framing, the parts of its choices, tool fragments, the places of usage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from onpaper.truth.parts import CALLS, Feature, identity, keys, kinds, word
from onpaper.truth.shapes import shape
from onpaper.wire import sse


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
    yield from identity("chunk", chunks, asked)
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
    begun: set[str] = set()
    finished: dict[str, int] = {}
    with_tools = any(_calls(choice) for chunk in chunks for choice in _choices(chunk))
    counted: list[str] = []
    for chunk in chunks:
        choices = _choices(chunk)
        part = "usage" if finished else "preamble"
        for choice in choices:
            index = str(choice.get("index", 0))
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
        yield "chunk", f"{part}: {keys(chunk)}"
        yield from kinds("chunk", chunk, ("choices", "usage"))
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
    yield "choice", f"{part}: {keys(choice)}"
    yield from kinds("choice", choice, ("delta", "finish_reason", "index", "text"))
    after = "tool calls" if with_tools else "text"
    reason = word(choice, "finish_reason")
    yield f"finish of the {part}", f"{after}: {reason}" if part in ("closing", "only", "again") else reason
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return
    calls = _calls(choice)
    plain = delta | ({"tool_calls": CALLS} if calls else {})
    yield f"delta of the {part}", shape(plain, said=part == "piece")
    if len(calls) > 1:
        yield "tool fragments", "several in one chunk"
    for call in calls:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
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
