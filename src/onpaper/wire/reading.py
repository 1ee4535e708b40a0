"""What a reply says: text, reasoning, tool calls, usage, finish reason, error, read strictly from its bytes.

This is the reading a backend is held to. The policies (the last usage wins, an error object makes the whole
reply an error, index 0 is the reply, …) are those of the clauses, and each is tested against real recordings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from onpaper.wire import ndjson, sse

USAGE_PATHS: tuple[str, ...] = ("usage", "choices.*.usage")
"""Where a chunk may carry its counts; a contract adds the odd ones."""


@dataclass(slots=True)
class ToolCall:
    """One call of a tool; `arguments` is the text as sent, or an object where the protocol sends objects."""

    id: str = ""
    name: str = ""
    arguments: Any = ""

    @property
    def decoded(self) -> Any:
        """The arguments as a value: `{}` for empty text. Raises ValueError when they are not JSON."""
        if not isinstance(self.arguments, str):
            return self.arguments
        return parsed(self.arguments) if self.arguments.strip() else {}


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts; None where the reply did not say a count that can be one."""

    prompt: int | None = None
    completion: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that the reply itself reports, in its own words. `code` is as sent."""

    message: str
    code: Any = None
    type: Any = None


@dataclass(slots=True)
class Reading:
    """All that a reply says. `problems` lists what makes it broken, in words; empty for a sound reply."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    usage: Usage | None = None
    finish: str | None = None
    error: Fault | None = None
    sentinel: bool = False
    problems: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    chunks: int = 0

    @property
    def complete(self) -> bool:
        """Whether the reply reached its end: a finish reason or the sentinel, and no error or problem."""
        return self.error is None and not self.problems and (self.sentinel or self.finish is not None)


def count(value: Any) -> int | None:
    """A token count, or None for what cannot be one (negative, text, null, a fraction, a truth value)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def parsed(text: str) -> Any:
    """The value of a JSON text. Raises ValueError, also for one that is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def fault_of(value: Any) -> Fault | None:
    """The error that a JSON value reports, in any envelope seen in the wild, or None when it reports none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    if isinstance(inner, dict) and inner:
        message = inner.get("message") or inner.get("detail") or json.dumps(inner)
        return Fault(_words(message), inner.get("code"), inner.get("type") or inner.get("status"))
    if isinstance(inner, str) and inner:
        return Fault(inner, value.get("code"), value.get("error_type") or value.get("type"))
    if inner:
        return Fault(_words(inner))
    if "choices" in value or ("message" in value and "done" in value):
        return None
    for key in ("error_message", "message", "detail", "errors", "fault", "title"):
        if value.get(key):
            return Fault(_words(value[key]), value.get("code") or value.get("error_code"), value.get("type"))
    return None


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def text_of(content: Any) -> tuple[str, str]:
    """`(text, reasoning)` of a message's content: text, null, or a list of typed parts."""
    if isinstance(content, str):
        return content, ""
    text = reasoning = ""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict):
            kind = part.get("type")
            if kind in ("thinking", "reasoning"):
                reasoning += _nested_text(part.get("thinking") or part.get("summary") or part.get("text"))
            elif isinstance(part.get("text"), str):
                text += part["text"]
    return text, reasoning


def _nested_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else ()
    return "".join(
        _nested_text(part.get("text")) if isinstance(part, dict) else _nested_text(part) for part in parts
    )


def _reasoning_of(message: dict[str, Any]) -> str:
    for key in ("reasoning_content", "reasoning"):
        if isinstance(message.get(key), str) and message[key]:
            return str(message[key])
    details = message.get("reasoning_details")
    found = ""
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            found += _nested_text(detail.get("text") or detail.get("summary"))
    return found


class Assembler:
    """Puts the chunks of one streamed chat completion together."""

    def __init__(self, usage_paths: Sequence[str] = USAGE_PATHS) -> None:
        self.reading = Reading()
        self._paths = [path.split(".") for path in usage_paths]
        self._calls: list[tuple[Any, ToolCall]] = []

    def feed(self, data: str, kind: str = "message") -> None:
        """Take one event's data. After the sentinel nothing counts."""
        reading = self.reading
        if reading.sentinel:
            return
        if data.strip() == "[DONE]":
            reading.sentinel = True
            return
        if not data.strip():
            return
        reading.chunks += 1
        try:
            chunk = parsed(data)
        except ValueError:
            if kind == "error":
                reading.error = reading.error or Fault(data)
            else:
                reading.problems.append(f"a chunk is not JSON: {data[:200]!r}")
            return
        if kind == "error":
            reading.error = reading.error or fault_of(chunk) or Fault(data)
        self._take(chunk)

    def _take(self, chunk: Any) -> None:
        reading = self.reading
        fault = fault_of(chunk)
        if fault is not None:
            reading.error = reading.error or fault
        if not isinstance(chunk, dict):
            if fault is None:
                reading.problems.append(f"a chunk is not an object: {json.dumps(chunk)[:200]}")
            return
        found = find_usage(chunk, self._paths)
        if found is not None:
            reading.usage = found
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and (choice.get("index") or 0) == 0:
                self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        reading = self.reading
        if choice.get("error"):
            reading.error = reading.error or fault_of({"error": choice["error"]})
        delta = choice.get("delta")
        if isinstance(delta, dict):
            text, reasoning = text_of(delta.get("content"))
            if text:
                reading.text += text
                reading.pieces.append(text)
            reading.reasoning += _reasoning_of(delta) or reasoning
            if isinstance(delta.get("refusal"), str):
                reading.refusal += delta["refusal"]
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                if isinstance(call, dict):
                    self._call(call)
        if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]:
            reading.finish = choice["finish_reason"]
            if reading.finish == "error" and reading.error is None:
                reading.error = Fault("finish_reason is error", "error")

    def _call(self, delta: dict[str, Any]) -> None:
        """One tool-call fragment: it continues a call, or starts one.

        An index names a call, but the same index with a new id is another call, and without an index a new id
        (or a fragment that brings a name to a call whose arguments already stand) starts one.
        """
        index, call_id = delta.get("index"), delta.get("id") or ""
        function = delta.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = function.get("name") or "", function.get("arguments")
        current = None
        if index is not None:
            current = next((call for key, call in reversed(self._calls) if key == index), None)
        elif self._calls and not (call_id or name):
            current = self._calls[-1][1]
        elif call_id:
            current = next((call for _, call in self._calls if call.id == call_id), None)
        if current is not None and call_id and current.id and call_id != current.id and name:
            current = None
        if current is None:
            current = ToolCall()
            self._calls.append((index, current))
            self.reading.tool_calls.append(current)
        current.id = current.id or call_id
        current.name = current.name or name
        if isinstance(arguments, str) and isinstance(current.arguments, str):
            current.arguments += arguments
        elif arguments not in (None, ""):
            if current.arguments:
                self.reading.problems.append("the arguments of a tool call come in pieces of which some are no text")
            current.arguments = arguments


def find_usage(chunk: dict[str, Any], paths: Iterable[Sequence[str]]) -> Usage | None:
    """The counts of a chunk; the first path that holds an object wins, so that none is counted twice."""
    for path in paths:
        for value in _walk(chunk, path):
            if isinstance(value, dict):
                found = Usage(count(value.get("prompt_tokens")), count(value.get("completion_tokens")))
                if found != Usage():
                    return found
    return None


def _walk(value: Any, path: Sequence[str]) -> Iterable[Any]:
    if not path:
        yield value
    elif path[0] == "*":
        for item in value if isinstance(value, list) else ():
            yield from _walk(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _walk(value[path[0]], path[1:])


def read_stream(chunks: Iterable[bytes], usage_paths: Sequence[str] = USAGE_PATHS) -> Reading:
    """Read a chat-completion stream (SSE)."""
    decoder, assembler = sse.Decoder(), Assembler(usage_paths)
    for chunk in chunks:
        for event in decoder.feed(chunk):
            assembler.feed(event.data, event.type)
    reading = assembler.reading
    if decoder.pending and not reading.sentinel:
        reading.problems.append("the stream ends inside an event")
    if not reading.sentinel and reading.finish is None and reading.error is None:
        reading.problems.append("the stream ends without a finish reason and without [DONE]")
    return reading


def read_reply(body: bytes, usage_paths: Sequence[str] = USAGE_PATHS) -> Reading:
    """Read a chat completion that came as one JSON body."""
    reading = Reading()
    try:
        value = parsed(body.decode("utf-8", "replace"))
    except ValueError:
        reading.problems.append(f"the body is not JSON: {body[:200]!r}")
        return reading
    reading.error = fault_of(value)
    if not isinstance(value, dict):
        reading.problems.append("the body is not an object")
        return reading
    reading.usage = find_usage(value, [path.split(".") for path in usage_paths])
    choices = value.get("choices")
    choices = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    choice = next((c for c in choices if (c.get("index") or 0) == 0), None)
    if choice is None:
        if reading.error is None:
            reading.problems.append("the reply has no choices")
        return reading
    if choice.get("error"):
        reading.error = reading.error or fault_of({"error": choice["error"]})
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    reading.text, reasoning = text_of(message.get("content"))
    reading.reasoning = _reasoning_of(message) or reasoning
    reading.refusal = message["refusal"] if isinstance(message.get("refusal"), str) else ""
    _read_calls(reading, message.get("tool_calls"))
    finish = choice.get("finish_reason")
    reading.finish = finish if isinstance(finish, str) and finish else None
    return reading


def _read_calls(reading: Reading, calls: Any) -> None:
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = function.get("arguments")
            reading.tool_calls.append(
                ToolCall(
                    call.get("id") or "", function.get("name") or "", "" if arguments is None else arguments
                )
            )


def read_lines(chunks: Iterable[bytes]) -> Reading:
    """Read a chat reply in Ollama's own protocol: NDJSON, or its single object when it was not streamed.

    Source: https://github.com/ollama/ollama/blob/main/docs/api.md (checked 2026-11-20).
    """
    reading, decoder = Reading(), ndjson.Decoder()
    lines = [line for chunk in chunks for line in decoder.feed(chunk)]
    for line in [*lines, *decoder.finish()]:
        reading.chunks += 1
        try:
            value = parsed(line)
        except ValueError:
            reading.problems.append(f"a line is not JSON: {line[:200]!r}")
            continue
        _read_line(reading, value)
    if not reading.sentinel and reading.error is None and not reading.problems:
        reading.problems.append("the stream ends without a line that says done")
    return reading


def _read_line(reading: Reading, value: Any) -> None:
    reading.error = reading.error or fault_of(value)
    if not isinstance(value, dict):
        reading.problems.append("a line is not an object")
        return
    message = value.get("message")
    if isinstance(message, dict):
        text, _ = text_of(message.get("content"))
        if text:
            reading.text += text
            reading.pieces.append(text)
        if isinstance(message.get("thinking"), str):
            reading.reasoning += message["thinking"]
        _read_calls(reading, message.get("tool_calls"))
    if value.get("done") is True:
        reading.sentinel = True
        reading.finish = value.get("done_reason") or None
        found = Usage(count(value.get("prompt_eval_count")), count(value.get("eval_count")))
        reading.usage = found if found != Usage() else reading.usage
